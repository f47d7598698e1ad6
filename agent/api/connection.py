"""One connection of the HTTP server, its limits, and the interfaces of its socket and of the security before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from wsgiref.types import WSGIApplication


class NotReadyError(BlockingIOError):
    """The same call can go on when the socket is ready for `event`, which TLS may need in the other direction."""

    def __init__(self, event: int) -> None:
        super().__init__()
        self.event = event


class Client(Protocol):
    """The part of a non-blocking socket that the server uses; `recv` and `send` may raise NotReadyError."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def recv(self, size: int, /) -> bytes:
        """Return what the client sent, empty at its end."""

    def send(self, content: memoryview, /) -> int:
        """Send the start of `content`; return the number of its bytes."""

    def shutdown(self, how: int, /) -> None:
        """End the sending direction."""

    def close(self) -> None:
        """Close the connection."""


class Security(Protocol):
    """The encryption of a listener's connections, and the users that it admits."""

    def wrapped(self, client: socket.socket, /) -> Client:
        """Return the socket of a new connection with its encryption. Raises OSError."""

    def guarded(self, application: WSGIApplication, /) -> WSGIApplication:
        """Return the application for admitted users only."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of clients.

    At most `connections` are open; one more evicts the oldest that is not being answered. A request must be complete
    within `request_seconds` and `request_bytes`. A connection serves one request and ends after `connection_seconds`.
    """

    connections: int = 256
    request_seconds: float = 5.0
    request_bytes: int = 16_384
    connection_seconds: float = 15.0


class State(Enum):
    """The progress of a connection."""

    RECEIVING = "receiving"
    ANSWERING = "answering"
    SENDING = "sending"
    DRAINING = "draining"


@dataclass(eq=False, slots=True)
class Connection:
    """One connection; `opened` and `deadline` are times of CLOCK_MONOTONIC in seconds."""

    client: Client
    peer: str
    server: tuple[str, int]
    opened: float
    deadline: float
    security: Security | None = None
    state: State = State.RECEIVING
    received: bytearray = field(default_factory=bytearray)
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
