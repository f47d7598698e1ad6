"""Names the cause of a kernel file that cannot be read, and the remedy for that cause."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from probes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KERNEL_LOG = "look for the device in the kernel log (dmesg)"
_AGAIN = "run the command again"
_UNSUPPORTED = "nothing to do: the driver does not support this sensor on this device"
_GONE = "the device was removed or is switched off; " + _AGAIN
_REMEDIES: Mapping[int, str] = {
    errno.ENOENT: "the driver or the device was removed; " + _AGAIN,
    errno.EACCES: "run as root, or let the group of this user read the file",
    errno.EPERM: "the kernel or a security policy refuses it (lockdown, seccomp, SELinux): allow this process",
    errno.EIO: "the device did not answer its driver; " + _KERNEL_LOG,
    errno.ETIMEDOUT: "the device did not answer its driver; " + _KERNEL_LOG,
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.EAGAIN: "the sensor has no value yet; " + _AGAIN,
    errno.EBUSY: "the sensor is busy; " + _AGAIN,
    errno.ENODATA: "nothing to do: the firmware gives no value",
    errno.EOPNOTSUPP: _UNSUPPORTED,
    errno.EINVAL: _UNSUPPORTED,
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def is_denied(error: Exception) -> bool:
    """Return whether the mode of a file denies this user access."""
    return _number_of(error) == errno.EACCES


def cause_of(error: Exception, path: Path) -> str:
    """Return the cause in words, without the path, which the message already contains."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).removeprefix(f"{path}: ")


def remedy_for(error: Exception) -> str:
    """Return the remedy for an OSError, or for the ReadError of a file that was refused or that holds no number."""
    number = _number_of(error)
    if not number and isinstance(error, ReadError):
        return "the driver shows something other than a number; update the kernel, or report this line"
    return _REMEDIES.get(number, _KERNEL_LOG)


def _number_of(error: Exception) -> int:
    cause = error.__cause__ if isinstance(error, ReadError) else error
    return (cause.errno or 0) if isinstance(cause, OSError) else 0
