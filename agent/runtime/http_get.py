"""Requests one HTTP resource within a deadline and a limit of size: no redirect, no proxy, verified certificates."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Timer
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


def get(url: str, deadline_seconds: float, max_bytes: int, context: ssl.SSLContext | None = None) -> Answer:
    """Return the response of a GET, whatever its status is. Raises HttpError.

    `context` verifies the certificate of the server, by default with the authorities of the system.
    """
    parts = checked_url(url)
    host, path = parts.hostname or "", parts.path or "/"
    if parts.scheme == "https":
        context = context or ssl.create_default_context()
        connection: HTTPConnection = HTTPSConnection(host, parts.port, timeout=deadline_seconds, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=deadline_seconds)
    ends = time.monotonic() + deadline_seconds
    try:
        answer = _exchange(connection, path, ends, max_bytes)
    except (OSError, HTTPException, ValueError) as error:
        if time.monotonic() < ends:
            raise HttpError(f"{parts.netloc}: {error or type(error).__name__}") from error
        answer = None
    if answer is None or time.monotonic() >= ends:
        raise HttpError(f"{parts.netloc} did not answer within {deadline_seconds:g} s")
    return answer


def _exchange(connection: HTTPConnection, path: str, ends: float, max_bytes: int) -> Answer:
    with closing(connection):
        connection.connect()
        timer = Timer(max(0.0, ends - time.monotonic()), _abort, (connection.sock,))
        timer.daemon = True
        timer.start()
        try:
            sent_ns = time.monotonic_ns()
            connection.request("GET", path, headers={"Accept-Encoding": "identity", "Connection": "close"})
            response = connection.getresponse()
            body = _read(response, max_bytes)
            return Answer(response.status, response.getheader("Content-Type", ""), body, sent_ns, time.monotonic_ns())
        finally:
            timer.cancel()


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
