"""Exchanges with one meter over HTTP: verified certificates, no redirect, no proxy, bounded in time and size."""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.deadline import NoAnswerError, within
from probes.errors import ReadError
from probes.meters.tls import context_of
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from probes.settings import MeterConfig

MOST_BYTES = 1 << 20
"""The longest body that is read."""
LATE_SECONDS = 60.0
"""The longest wait for each part of a late response."""
_CHUNK_BYTES = 1 << 16


class TlsError(ReadError):
    """The certificate of the meter is not the expected one, or its TLS failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `headers` have lower-case names, and the times are on CLOCK_MONOTONIC."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ns: int
    received_ns: int


class MeterHttp:
    """The http or https address of a meter. The connection stays open between requests.

    Several threads may request at the same time, each then on a connection of its own. Raises ProbeUnavailableError if
    the certificates of the meter cannot be used.
    """

    def __init__(self, meter: MeterConfig) -> None:
        parts = urlsplit(meter.url)
        self.place = parts.netloc
        self._prefix = parts.path.rstrip("/")
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            self._new: partial[HTTPConnection] = partial(HTTPSConnection, host, port, context=context_of(meter))
        else:
            self._new = partial(HTTPConnection, host, port)
        self._idle: HTTPConnection | None = None
        self._closed = False

    def request(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        late: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """Return the response, whatever its status is, within `seconds`. Raises ReadError, or TlsError.

        A later response is lost, or given to `late` if it comes within `LATE_SECONDS`.
        """
        connection, self._idle = self._idle or self._new(), None
        if connection.sock and _has_ended(connection.sock):
            connection.close()  # the request opens it again
        connection.timeout = LATE_SECONDS if late else seconds
        exchange = partial(_exchange, connection, method, self._prefix + path, {**(headers or {})}, body)
        try:
            answer: Answer = within(seconds, exchange, "meter-http", partial(_discard, connection, late))
        except NoAnswerError:
            if late is None:
                _abort(connection)
            raise ReadError(f"{self.place} did not answer within {seconds:.2g} s") from None
        except Exception as error:
            raise self._read_error(error, seconds) from error
        if self._idle is None and not self._closed:
            self._idle = connection
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the idle connection; each later request closes its own."""
        self._closed = True
        connection, self._idle = self._idle, None
        if connection:
            connection.close()

    def _read_error(self, error: Exception, seconds: float) -> Exception:
        said = f"{self.place}: {one_line(getattr(error, 'strerror', None) or str(error)) or type(error).__name__}"
        if isinstance(error, TimeoutError):
            return ReadError(f"{self.place} did not answer within {seconds:.2g} s")
        if isinstance(error, ssl.SSLError):
            return TlsError(said)
        return ReadError(said) if isinstance(error, (OSError, HTTPException, ValueError)) else error


def _exchange(connection: HTTPConnection, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Return the response, or close the connection."""
    sent_ns = time.monotonic_ns()
    try:
        if connection.sock:
            connection.sock.settimeout(connection.timeout)
        connection.request(method, path, body or None, {"User-Agent": "inferometer", **headers})
        with closing(connection.getresponse()) as response:
            content = _content(response)
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, content, sent_ns, time.monotonic_ns())
    except BaseException:
        connection.close()
        raise


def _content(response: HTTPResponse) -> bytes:
    """Return the body. Raises ValueError if it is too long, HTTPException if it is incomplete."""
    content = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        content += chunk
        if len(content) > MOST_BYTES:
            raise ValueError(f"its answer is longer than {MOST_BYTES} bytes")
    if response.length:
        raise IncompleteRead(bytes(content), response.length)
    return bytes(content)


def _has_ended(opened: socket.socket) -> bool:
    """Return whether the meter closed an idle connection, or sent something that belongs to no request."""
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return bool(poll.poll(0))


def _discard(connection: HTTPConnection, late: Callable[[Answer], object] | None, answer: Answer) -> None:
    connection.close()
    if late:
        late(answer)


def _abort(connection: HTTPConnection) -> None:
    """End a connection that another thread uses, so that its read returns."""
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
