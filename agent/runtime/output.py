"""Opens a file that a command writes: a regular file appears complete or not at all.

A regular file is written beside its path and renamed, and retains its mode and owner. Devices, pipes and open
descriptors (`/dev/stdout`, `/dev/fd/3`) are written directly. Links are followed as `path_walk` allows.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from agent.runtime.path_walk import Place, is_foreign, resolved
from agent.runtime.signals import interruptible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = _WRITE | os.O_CREAT | os.O_EXCL
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""The errors of a disk, which another path on it does not avoid."""
_NO_SIBLING_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS}
"""Errors of a folder in which no file can be created beside one that is writable."""


@contextmanager
def output(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open `path` for writing; its content is on the disk after the block, and unchanged after a failure.

    `mode` applies to a regular file; the default is its present mode, or 0666 minus the umask. Raises OSError.
    """
    with interruptible(), resolved(path) as place:
        if place.descriptor is not None:
            with os.fdopen(os.dup(place.descriptor), "wb") as stream:
                yield stream
            return
        status = place.status()
        _check(place, status)
        if status is None or stat.S_ISREG(status.st_mode):
            with _regular(place, status, mode) as stream:
                yield stream
        else:
            with os.fdopen(os.open(place.name, _WRITE, dir_fd=place.directory), "wb") as stream:
                yield stream


def check_output(path: Path) -> None:
    """Raise OSError if `path` cannot be written, before the work whose result it is for; nothing is changed.

    Whether a file can be created is tried, as permissions alone do not decide it. A pipe or a device is not opened.
    """
    with resolved(path) as place:
        if place.descriptor is not None:
            if fcntl.fcntl(place.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise OSError(errno.EBADF, "it is open for reading only")
            return
        status = place.status()
        _check(place, status)
        if status is not None and not stat.S_ISREG(status.st_mode):
            return
        part = _part()
        try:
            os.close(os.open(part, _CREATE, 0o600, dir_fd=place.directory))
        except OSError as error:
            if status is None or error.errno not in _NO_SIBLING_ERRNOS:
                raise
        else:
            os.unlink(part, dir_fd=place.directory)


def _part() -> str:
    """Return the name of a file beside the one that is written."""
    return f".inferometer-{secrets.token_hex(8)}.part"


def _check(place: Place, status: os.stat_result | None) -> None:
    """Raise OSError for a folder, a file without write permission, or another user's file in a shared folder."""
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder")
    if stat.S_ISSOCK(status.st_mode):
        raise OSError(errno.ENXIO, "this is a socket")
    if is_foreign(status, os.fstat(place.directory)):
        owner = f"it belongs to user {status.st_uid}, in a folder that everyone may write"
        raise PermissionError(errno.EACCES, owner)
    if not os.access(place.name, os.W_OK, dir_fd=place.directory, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def _regular(place: Place, status: os.stat_result | None, mode: int | None) -> Iterator[BinaryIO]:
    part = _part()
    first_mode = 0o666 if status is None and mode is None else 0o600  # private until it has its final mode
    try:
        fresh = os.open(part, _CREATE, first_mode, dir_fd=place.directory)
    except OSError as error:
        if status is None or error.errno not in _NO_SIBLING_ERRNOS:
            raise
        with _in_place(place) as stream:
            yield stream
        return
    try:
        with os.fdopen(fresh, "wb") as stream:
            alike = _copy_ownership(fresh, status, mode)
            yield stream
            stream.flush()
            os.fsync(fresh)
        if alike and _renamed(part, place):
            return
        with _in_place(place) as stream, _reading(part, place.directory) as source:
            while block := source.read(1 << 20):
                stream.write(block)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=place.directory)


def _copy_ownership(fresh: int, status: os.stat_result | None, mode: int | None) -> bool:
    """Give a new file the mode and the owner of the one it replaces; return whether that was allowed."""
    if status is not None and (status.st_uid, status.st_gid) != (os.fstat(fresh).st_uid, os.fstat(fresh).st_gid):
        try:
            os.fchown(fresh, status.st_uid, status.st_gid)
        except PermissionError:
            return False
    if mode is None and status is not None:
        mode = stat.S_IMODE(status.st_mode)
    if mode is not None:
        os.fchmod(fresh, mode)
    return True


def _renamed(part: str, place: Place) -> bool:
    """Rename the finished file to its path; return False if the path is a mount point, as in containers."""
    try:
        os.rename(part, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _in_place(place: Place) -> BinaryIO:
    return os.fdopen(os.open(place.name, _WRITE | os.O_TRUNC, dir_fd=place.directory), "wb")


def _reading(part: str, directory: int) -> BinaryIO:
    return os.fdopen(os.open(part, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory), "rb")
