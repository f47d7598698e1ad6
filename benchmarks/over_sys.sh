#!/bin/bash
# Runs a command for which /sys has the powercap zones of a simulated tree; the rest of /sys is unchanged.
# Usage: unshare --mount --propagation private bash over_sys.sh TREE COMMAND [ARGUMENT...]
# TREE holds class/powercap and devices/virtual/powercap. The mounts are of this process and its children alone.
set -eu
tree=$(realpath "$1")
shift
root="$tree/over"
mkdir -p "$root"
mount -t tmpfs -o mode=755 over-sys "$root"

# shown PATH EXCEPT: show the entries of /sys/PATH, except the named ones, at the same place below the new root
shown() {
  local entry to
  mkdir -p "$root$1"
  for entry in "/sys$1"/*; do
    to=$root$1/${entry##*/}
    case " $2 " in *" ${entry##*/} "*) continue ;; esac
    if [ -L "$entry" ]; then
      cp -P "$entry" "$to"
    elif [ -d "$entry" ]; then
      mkdir "$to" && mount --rbind "$entry" "$to"
    elif [ -e "$entry" ]; then
      touch "$to" && mount --bind "$entry" "$to"
    fi
  done
}

shown "" "class devices"
shown /class powercap
shown /devices virtual
shown /devices/virtual powercap
mkdir "$root/class/powercap" "$root/devices/virtual/powercap"
mount --bind "$tree/class/powercap" "$root/class/powercap"
mount --bind "$tree/devices/virtual/powercap" "$root/devices/virtual/powercap"
mount --rbind "$root" /sys
umount -l "$root"
exec "$@"
