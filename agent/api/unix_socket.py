"""Binds the unix socket of the HTTP server: open to one group, and put in the place of a dead socket only."""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.api.sockets import BACKLOG, ListenError
from agent.runtime.path_walk import is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODE = 0o660
_CHOOSE = "choose another path for exporter.socket"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """An absolute path, and the name or number of the group that may connect; an empty group leaves it as it is."""

    path: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class SocketFile:
    """The file of a bound socket, by its device and inode numbers."""

    path: str
    device: int
    inode: int

    @classmethod
    def at(cls, path: str) -> SocketFile:
        """Return the file that is at a path now. Raises OSError."""
        status = os.lstat(path)
        return cls(path, status.st_dev, status.st_ino)

    def is_at(self, path: str) -> bool:
        """Return whether the file is at a path; False if it is gone or another one is in its place."""
        try:
            return SocketFile.at(path) == self
        except OSError:
            return False

    def restrict(self, address: UnixAddress) -> None:
        """Set mode and group as the address asks; a link in its place is not followed. Raises ListenError."""
        with _explained(address):
            group = _group_id(address)
            entry = os.open(self.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                held, status = f"/proc/self/fd/{entry}", os.fstat(entry)
                if (status.st_dev, status.st_ino) != (self.device, self.inode):
                    raise ListenError(address.path, "another program replaced the socket", _CHOOSE)
                if group is not None:
                    os.chown(held, -1, group)
                Path(held).chmod(_MODE)
            finally:
                os.close(entry)

    def remove(self) -> None:
        """Delete the file if it is still at its path."""
        if self.is_at(self.path):
            with suppress(OSError):
                Path(self.path).unlink()


def bind_unix(address: UnixAddress) -> tuple[socket.socket, SocketFile]:
    """Return a non-blocking socket that listens on a path with mode 0660, and its file.

    A socket file on which nobody listens is replaced; anything else at the path is refused. Raises ListenError.
    """
    with _explained(address), ExitStack() as undo:
        _group_id(address)
        _remove_dead_socket(address)
        listener = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(address.path)
        file = SocketFile.at(address.path)
        undo.callback(file.remove)
        file.restrict(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        undo.pop_all()
    return listener, file


def _remove_dead_socket(address: UnixAddress) -> None:
    """Delete the socket that an earlier process left at the path. Raises ListenError if anything else is there."""
    path = Path(address.path)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ListenError(address.path, "a file that is not a socket is there", _CHOOSE)
    if is_foreign(status, path.parent.stat()):
        raise ListenError(address.path, f"user {status.st_uid} owns the socket that is there", _CHOOSE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(address.path)
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError:  # a full backlog, another kind of socket or a lack of rights: it may be in use
            pass
    raise ListenError(address.path, "another process listens there", "stop it (`ss -lxp` shows which), or " + _CHOOSE)


def _group_id(address: UnixAddress) -> int | None:
    """Return the number of the group, None if none is given. Raises ListenError if there is no such group."""
    if not address.group:
        return None
    if address.group.isdecimal():
        return int(address.group)
    try:
        return grp.getgrnam(address.group).gr_gid
    except KeyError:
        remedy = f"make it (`groupadd --system {address.group}`), or change exporter.socket_group"
        raise ListenError(address.path, f"there is no group {address.group!r}", remedy) from None


@contextmanager
def _explained(address: UnixAddress) -> Iterator[None]:
    """Turn an error of the system into a ListenError with its remedy."""
    try:
        yield
    except ListenError:
        raise
    except FileNotFoundError as error:
        raise ListenError(address.path, "its folder does not exist", "make the folder, or " + _CHOOSE) from error
    except PermissionError as error:
        remedy = "let this user write to the folder, and make it a member of exporter.socket_group"
        raise ListenError(address.path, error.strerror or str(error), remedy) from error
    except OSError as error:
        raise ListenError(address.path, error.strerror or str(error), _CHOOSE) from error
