"""One HTTP/1.1 connection: writes a request, and stamps each part of the response as soon as it has been read.

asyncio calls the protocol directly after the read from the socket, so no other work lies between the read and its
time. The parser is that of httptools.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httptools

from agent.workloads.load.exchange import CONNECTION, MALFORMED, TRUNCATED

if TYPE_CHECKING:
    from agent.workloads.load.exchange import Exchange

_MOST_HEADER_BYTES = 1 << 16
_FIRST_FINAL_STATUS = 200
_SOON_NS = 1_000_000_000


class Connection(asyncio.Protocol):
    """A connection that answers one exchange at a time. `usable` states whether it can take the next one."""

    def __init__(self) -> None:
        self.usable = False
        self.answered = 0
        self._answered_ns = self._lost_ns = 0
        self.headers: dict[bytes, bytes] = {}
        self._exchange: Exchange | None = None
        self._done: asyncio.Future[None] | None = None
        self._began = self._delimited = False
        self._header_bytes = self._unparsed_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open connection."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self.usable = True

    @property
    def closed_at_once(self) -> bool:
        """Whether the server closed the connection soon after an answer, although it announced to reuse it."""
        return self.answered > 0 and 0 < self._lost_ns - self._answered_ns < _SOON_NS

    async def exchange(self, request: bytes, exchange: Exchange) -> None:
        """Send a request, and return when its response or the connection has ended."""
        self._exchange, self._done = exchange, self._loop.create_future()
        self._began = self._delimited = False
        self._unparsed_bytes = 0
        self._transport.write(request)
        try:
            await self._done
        finally:
            self._exchange = self._done = None
            if not exchange.ended:
                self.close()

    def expire(self, outcome: str) -> None:
        """End the exchange under way with this outcome, and the connection."""
        self._end(outcome, time.monotonic_ns())

    def close(self) -> None:
        """Close the connection at once."""
        self.usable = False
        self._transport.abort()

    def data_received(self, received: bytes) -> None:
        """Read a part of the response."""
        self._at_ns = time.monotonic_ns()
        if self._exchange is None:
            self.close()
            return
        self._unparsed_bytes = 0 if self._began else self._unparsed_bytes + len(received)
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(MALFORMED, self._at_ns)
        if self._unparsed_bytes > _MOST_HEADER_BYTES and not self._began:  # the parser stores an endless header
            self._end(MALFORMED, self._at_ns)

    def connection_lost(self, _error: Exception | None) -> None:
        """End the exchange under way: a response without a length is complete, every other one is truncated."""
        self.usable = False
        at_ns = self._lost_ns = time.monotonic_ns()
        exchange = self._exchange
        if exchange is None:
            return
        if self._began and not self._delimited and _error is None:
            exchange.complete(at_ns)
        self._end(TRUNCATED if self._began else CONNECTION, at_ns)

    def on_message_begin(self) -> None:
        """Start a response; httptools calls this and the following methods."""
        self.headers = {}
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, up to a limit."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise ValueError("the headers are too large")
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Take the status."""
        status = self._parser.get_status_code()
        if self._exchange is not None and status >= _FIRST_FINAL_STATUS:
            self._began = True
            self._delimited = b"content-length" in self.headers or b"transfer-encoding" in self.headers
            self._exchange.begin(status)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.receive(body, self._at_ns)
        if exchange.ended:
            self._end(exchange.outcome, self._at_ns)

    def on_message_complete(self) -> None:
        """End the exchange, and decide whether the connection can take another one."""
        if self._exchange is None or not self._began:
            return
        self._exchange.complete(self._at_ns)
        self.answered += 1
        self._answered_ns = self._at_ns
        if not self._parser.should_keep_alive():
            self.close()
        self._finish()

    def _end(self, outcome: str, at_ns: int) -> None:
        """End the exchange before its response is complete; the connection cannot take another one."""
        if self._exchange is not None:
            self._exchange.end(outcome, at_ns)
        self.close()
        self._finish()

    def _finish(self) -> None:
        self._exchange = None
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
