"""Finds the processes of an inference server on this host, from the port of its URL."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORWARDERS = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "ssh", "sshd", "kubectl"})
"""Programs that pass connections on to a server elsewhere, in a container or on another host."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_STATE, _INODE = 3, 9
_LISTEN = "0A"
"""Fields of /proc/net/tcp, and the state of a listening socket (Linux: TCP_LISTEN)."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server of a URL; `origin` is the URL without user, path and query, which can be secret.

    `local` states whether its address is one of this host. `processes` are those that listen on its port; None if they
    are not visible: of another user, in a container, or behind a program that passes connections on.
    """

    origin: str
    local: bool
    processes: frozenset[int] | None


def find_server(url: str, procfs: str = "/proc") -> Server:
    """Return the place of a server and its processes; a host name that cannot be resolved is not local."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
    local = _is_local(parts.hostname or "", port)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return Server(origin, local, listening_processes(port, Path(procfs)) if local else None)


def _is_local(name: str, port: int) -> bool:
    """Return whether every address of a name is one of this host: only those can be bound (ip(7), EADDRNOTAVAIL)."""
    with suppress(OSError, UnicodeError):
        addresses = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM)
        return all(_can_bind(family, address[0]) for family, _, _, _, address in addresses)
    return False


def _can_bind(family: int, address: str | int) -> bool:
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as bound:
        bound.bind((address, 0))
        return True
    return False


def listening_processes(port: int, procfs: Path) -> frozenset[int] | None:
    """Return all processes that share a socket that listens on a TCP port; None if none is visible, or it forwards.

    /proc/net/tcp has the inodes of the sockets (proc(5)), /proc/PID/fd those that a process has open.
    """
    inodes = {inode for name in ("tcp", "tcp6") for inode in _listening_inodes(procfs / "net" / name, port)}
    holders = {int(folder.name): _sockets(folder) & inodes for folder in procfs.glob("[0-9]*")} if inodes else {}
    holders = {pid: own for pid, own in holders.items() if own}
    visible = set[str]().union(*holders.values())
    if not holders or visible != inodes or any(read_text(procfs / str(pid) / "comm") in _FORWARDERS for pid in holders):
        return None
    return frozenset(holders)


def _sockets(folder: Path) -> set[str]:
    """Return the inodes of the sockets that a process has open; none if it ended or belongs to another user."""
    found = set[str]()
    with suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.update(_SOCKET.findall(str(descriptor.readlink())))
    return found


def _listening_inodes(table: Path, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets in a table of the kernel that listen on a port."""
    with suppress(OSError):
        for line in table.read_text(encoding="ascii", errors="replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > _INODE and fields[_STATE] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[_INODE]
