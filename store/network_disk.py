"""Determines the file system of a path, and refuses those on which SQLite's locks do not work."""

from __future__ import annotations

import re
from pathlib import Path

from store.errors import StoreError

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "beegfs", "gpfs", "fuse.sshfs", "fuse.glusterfs")
)
_OCTAL = re.compile(r"\\(\d{3})")


def refuse_network_disk(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise StoreError if a path is on a network file system: another host's daemon would not see the lock."""
    try:
        kind = file_system(path, mounts.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return
    if kind in _NETWORK:
        cause = f"it is on a network file system ({kind}), where SQLite's locks and its log do not work between hosts"
        raise StoreError(str(path), cause, "Use a database on a local disk with --database, or a PostgreSQL server")


def file_system(path: Path, mountinfo: str) -> str:
    """Return the type of a path's file system from the text of /proc/self/mountinfo (proc(5)); empty if unknown."""
    found = (-1, "")
    for line in mountinfo.splitlines():
        before, _, behind = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and behind:  # noqa: PLR2004  the fifth field is the mount point
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            if path.is_relative_to(point) and len(point) >= found[0]:
                found = (len(point), behind.split(" ")[0])
    return found[1]
