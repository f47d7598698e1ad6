"""A scripted server of metrics: each request gets the next bytes of a script, or none until the server ends."""

from __future__ import annotations

import gzip
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def response(body: bytes | str, status: str = "200 OK", *headers: str, packed: bool = False) -> bytes:
    """Return a whole response with its length, compressed on request."""
    content = body.encode() if isinstance(body, str) else body
    if packed:
        content, headers = gzip.compress(content, mtime=0), (*headers, "Content-Encoding: gzip")
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + content


HANG = b""
"""The script of a server that accepts a request and never answers."""


@dataclass
class MetricsServer:
    """A server on loopback; `script` is the response now, a part of one leaves the connection open after it."""

    script: bytes = b""
    requests: list[bytes] = field(default_factory=list)
    closes: bool = True
    family: socket.AddressFamily = socket.AF_INET

    @property
    def url(self) -> str:
        """The URL of the metrics."""
        return f"http://127.0.0.1:{self.port}/metrics"

    @contextmanager
    def running(self, port: int = 0) -> Iterator[MetricsServer]:
        """Serve until the end of the block."""
        host = "127.0.0.1" if self.family is socket.AF_INET else "::1"
        connections: list[socket.socket] = []
        with socket.create_server((host, port), family=self.family) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(listener, connections), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                for each in connections:
                    each.close()
                thread.join(5)

    def _accept(self, listener: socket.socket, connections: list[socket.socket]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self.requests.append(connection.recv(65536))
            if self.script:
                connection.sendall(self.script)
            if self.closes and self.script:
                connection.close()
