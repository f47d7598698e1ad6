"""Binds the TCP sockets of the HTTP server, and explains failures."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_HIGHEST_PORT = 0xFFFF
BACKLOG = 128
_REMEDIES: Mapping[int, str] = {
    errno.EADDRINUSE: "another process listens there (`ss -ltnp` shows which): stop it, or choose another port",
    errno.EADDRNOTAVAIL: "no network interface of this host has this address: choose one that `ip address` shows",
    errno.EACCES: "ports below 1024 need a privilege: choose a port from 1024 up",
    errno.EAFNOSUPPORT: "this host does not speak IPv6: choose an IPv4 address",
}


class ListenError(OSError):
    """An address that cannot be bound: the requested `listen`, the `cause`, and the `remedy`."""

    def __init__(self, listen: str, cause: str, remedy: str) -> None:
        super().__init__(f"cannot listen on {listen!r}: {cause}; {remedy}")
        self.listen = listen
        self.cause = cause
        self.remedy = remedy


def bind(listen: str, beside: socket.socket | None = None) -> socket.socket:
    """Return a non-blocking socket that listens on `listen`; port 0 selects a free one.

    `beside` is a listening socket of this process that the new one replaces. Both may listen at the same time, even if
    one address includes the other, as 0.0.0.0 includes 127.0.0.1. Raises ListenError.
    """
    family, address = resolve(listen)
    listener = socket.socket(family, socket.SOCK_STREAM)
    shared = [each for each in (listener, beside) if each and beside]
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in shared:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        remedy = _REMEDIES.get(error.errno or 0, "choose another address")
        raise ListenError(listen, error.strerror or str(error), remedy) from error
    finally:
        for each in shared:  # so that no other process can share the port
            if each.fileno() >= 0:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    listener.setblocking(False)
    return listener


def resolve(listen: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return the address family and socket address of `listen`, IPv4 if a name has several. Raises ListenError."""
    host, _, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not host
        or (":" in host) != bracketed
        or not (port.isascii() and port.isdecimal() and int(port) <= _HIGHEST_PORT)
    ):
        raise ListenError(listen, "this is not host:port", "write it as 127.0.0.1:19795 or [::1]:19795")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise ListenError(listen, cause, "write the address of this host as a number") from error
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def listens_on(listener: socket.socket, listen: str) -> bool:
    """Return whether `listener` is bound to the address and port of `listen`. Raises ListenError."""
    family, address = resolve(listen)
    return listener.family == family and listener.getsockname()[:2] == address[:2]


def display(listener: socket.socket) -> str:
    """Return host:port as in a URL, with the port that is bound."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this host can connect; an IPv4 address may be mapped into IPv6."""
    address = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
