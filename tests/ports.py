"""Ports of loopback that stay free until a server of a test takes them, or takes them again."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

_PORTS = range(12_000, 32_000)
"""Below the ports that Linux gives to sockets without one, which tests that run at the same time open all the time."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that no socket uses; only another test that asks here could take it, and hardly ever does."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket(type=kind) as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
