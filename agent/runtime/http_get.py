"""Requests one HTTP resource within a deadline and a limit of size: no redirect, no proxy, verified certificates."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Event, Thread
from urllib.parse import SplitResult, urlsplit

_CHUNK_BYTES = 65_536


class HttpError(Exception):
    """A URL is invalid, or its server gave no complete answer; the message names the cause."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and the moments on CLOCK_MONOTONIC before the request was sent and after the last byte."""

    status: int
    content_type: str
    body: bytes
    sent_ns: int
    received_ns: int


def checked_url(url: str) -> SplitResult:
    """Return the parts of an http or https URL without credentials, query and fragment; else raise HttpError."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError if it is not a port
    except ValueError as error:
        raise HttpError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable() or " " in url:
        raise HttpError(f"{url!r} is not a URL such as http://host:19795")
    if parts.username is not None or parts.password is not None:
        raise HttpError("a URL with a user name or a password would be visible in the list of processes")
    if parts.query or parts.fragment:
        raise HttpError(f"{url!r} has a query or a fragment; give the address of the service only")
    return parts


class _UnixConnection(HTTPConnection):
    """A connection to the unix socket at a path."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(
    url: str,
    deadline_seconds: float,
    max_bytes: int,
    context: ssl.SSLContext | None = None,
    unix_socket: str = "",
    authorization: str = "",
) -> Answer:
    """Return the response of a GET, whatever its status is. Raises HttpError.

    `context` verifies the certificate of the server, by default with the authorities of the system. `unix_socket` is
    the path of a socket of this host to connect to in place of the host of the URL. `authorization` is the value of
    that header, empty for none.
    """
    parts = checked_url(url)
    host, path = parts.hostname or "", parts.path or "/"
    if unix_socket:
        connection: HTTPConnection = _UnixConnection(unix_socket, deadline_seconds)
    elif parts.scheme == "https":
        context = context or ssl.create_default_context()
        connection = HTTPSConnection(host, parts.port, timeout=deadline_seconds, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=deadline_seconds)
    try:
        return _within(deadline_seconds, connection, path, max_bytes, authorization)
    except TimeoutError as error:
        raise HttpError(f"{parts.netloc} did not answer within {deadline_seconds:g} s") from error
    except (OSError, HTTPException, ValueError) as error:
        raise HttpError(f"{parts.netloc}: {error or type(error).__name__}") from error


def _within(seconds: float, connection: HTTPConnection, path: str, max_bytes: int, secret: str) -> Answer:
    """Return the response. Raises TimeoutError after `seconds`, even if the name of the host is not resolved by then.

    A thread does the work, since nothing else can leave the resolver of the system; it then ends on its own.
    """
    done: list[Answer | Exception] = []
    opened: list[socket.socket] = []
    over = Event()

    def work() -> None:
        try:
            with closing(connection):
                connection.connect()
                opened.append(connection.sock)
                if not over.is_set():
                    done.append(_exchange(connection, path, max_bytes, secret))
        except Exception as error:  # noqa: BLE001  raised again in the calling thread
            done.append(error)

    worker = Thread(target=work, name="http-get", daemon=True)
    worker.start()
    worker.join(seconds)
    over.set()
    if not done:
        for each in opened:
            _abort(each)
        raise TimeoutError
    outcome = done.pop()
    try:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
    finally:
        del outcome  # a cycle of the exception and this frame would keep the socket open


def _exchange(connection: HTTPConnection, path: str, max_bytes: int, secret: str) -> Answer:
    headers = {"Accept-Encoding": "identity", "Connection": "close"}
    if secret:
        headers["Authorization"] = secret
    sent_ns = time.monotonic_ns()
    connection.request("GET", path, headers=headers)
    with closing(connection.getresponse()) as response:
        body = _read(response, max_bytes)
        return Answer(response.status, response.getheader("Content-Type", ""), body, sent_ns, time.monotonic_ns())


def _abort(connected: socket.socket) -> None:
    """End a connection, so that a read in another thread returns."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _read(response: HTTPResponse, max_bytes: int) -> bytes:
    """Return the body. Raises ValueError if it is longer than `max_bytes`, HTTPException if it is incomplete."""
    body = bytearray()
    while chunk := response.read(min(_CHUNK_BYTES, max_bytes + 1 - len(body))):
        body += chunk
        if len(body) > max_bytes:
            raise ValueError(f"its answer is longer than {max_bytes} bytes")
    if response.length:
        raise IncompleteRead(bytes(body), response.length)
    return bytes(body)
