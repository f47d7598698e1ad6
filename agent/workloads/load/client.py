"""The HTTP client of a load: a pool of connections to one server, without redirects and proxies."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from typing import TYPE_CHECKING

from agent.runtime.console import printable_line
from agent.workloads.load.connection import Connection
from agent.workloads.load.exchange import CONNECTION
from agent.workloads.load_records import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.workloads.load.exchange import Exchange
    from agent.workloads.load.target import Target

_TLS_FAILURE = "tls"
NO_TLS = "it does not answer TLS; an http server needs http:// in --url"
_NOT_TLS_REASONS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
_HANDSHAKE_SECONDS = 10.0


class Client:
    """Sends requests to one server.

    The host's addresses are looked up once, and the first one that accepts a connection is used. A request ends
    `timeout_seconds` after its intended time at the latest. A response with a redirect is an answer like any other.
    Proxy variables have no effect, because a proxy would become part of the measured server. A request on a connection
    that the server has closed meanwhile is sent once more. Once a server has closed a connection although it announced
    reuse, as llama.cpp does, each request has a new one.
    """

    def __init__(
        self,
        target: Target,
        headers: Mapping[str, str],
        timeout_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self.failure = ""
        self._target = target
        self._tls = tls
        self._headers = headers
        self._addresses: list[str] = []
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._reuses = True

    def head(self, method: str, path: str, content_type: str = "application/json") -> bytes:
        """Return the first part of every request to a path, up to the length of its body."""
        given = {name.lower() for name in self._headers}
        own = {
            "Host": self._target.authority,
            "User-Agent": "inferometer",
            "Accept": "*/*",
            "Content-Type": content_type,
        }
        headers = {**{name: text for name, text in own.items() if name.lower() not in given}, **self._headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")

    async def send(self, head: bytes, exchange: Exchange) -> Mapping[bytes, bytes]:
        """Send a request, wait for its end, and return the headers of the response; errors become its outcome."""
        exchange.sent_ns = time.monotonic_ns()
        exchange.intended_ns = exchange.intended_ns or exchange.sent_ns
        deadline = self._deadline(exchange)
        request = b"%s%d\r\n\r\n%s" % (head, len(exchange.body), exchange.body)
        while True:
            connection = self._pooled() or await self._connected(exchange, deadline)
            if connection is None:
                return {}
            reused = connection.answered > 0
            timer = asyncio.get_running_loop().call_at(deadline, connection.expire, TIMEOUT)
            try:
                await connection.exchange(request, exchange)
            finally:
                timer.cancel()
                self._release(connection)
            if not (reused and exchange.outcome == CONNECTION and exchange.attempts == 1):
                return connection.headers
            exchange.outcome = ""
            exchange.attempts += 1
            self._reuses = False

    def cause(self, exchange: Exchange) -> str:
        """Return the reason why a request got no response, in words."""
        if exchange.outcome == CONNECTION and not self.failure:
            return "it closed the connection"
        return printable_line(self.failure or exchange.outcome)

    def without_secrets(self, text: str) -> str:
        """Return a text of the server without the values of the headers, which a server can repeat in an error."""
        for value in self._headers.values():
            text = text.replace(value.rpartition(" ")[2] or value, "...") if value else text
        return text

    def close(self) -> None:
        """Close every connection, those of requests under way included."""
        for connection in tuple(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()

    def _pooled(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._open.discard(connection)
            self._reuses &= not connection.closed_at_once
        return None

    def _deadline(self, exchange: Exchange) -> float:
        waited_seconds = (time.monotonic_ns() - exchange.intended_ns) / 1e9
        return asyncio.get_running_loop().time() + self.timeout_seconds - waited_seconds

    async def _connected(self, exchange: Exchange, deadline: float) -> Connection | None:
        """Return a new connection, None if there is none; the outcome of the exchange is its failure then."""
        outcome = CONNECTION
        try:
            async with asyncio.timeout_at(deadline):
                return await self._connect()
        except TimeoutError:
            outcome = TIMEOUT
            self.failure = "no connection within the time limit"
        except ssl.SSLError as error:
            outcome = _TLS_FAILURE
            self.failure = NO_TLS if error.reason in _NOT_TLS_REASONS else str(error.reason or error.strerror or error)
        except OSError as error:
            # asyncio's own text names a function and an address.
            self.failure = os.strerror(error.errno) if error.errno else error.strerror or str(error)
        exchange.end(outcome, time.monotonic_ns())
        return None

    async def _connect(self) -> Connection:
        self._addresses = self._addresses or self._target.addresses()
        loop, failure = asyncio.get_running_loop(), OSError("no address")
        name = self._target.host if self._tls else None
        for address in self._addresses:
            try:
                _, connection = await loop.create_connection(
                    Connection,
                    address,
                    self._target.port,
                    ssl=self._tls,
                    server_hostname=name,
                    ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
                )
            except ssl.SSLError:
                raise
            except ConnectionAbortedError as error:  # asyncio's error of a handshake that takes too long
                raise ssl.SSLError(0, NO_TLS) from error
            except OSError as error:
                failure = error
                continue
            self._addresses = [address]  # the next connection tries no other one
            self._open.add(connection)
            return connection
        raise failure

    def _release(self, connection: Connection) -> None:
        if connection.usable and self._reuses:
            self._idle.append(connection)
            return
        if connection.usable:
            connection.close()
        self._open.discard(connection)
