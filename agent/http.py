"""Serves the exporter's metrics and the service's health over HTTP."""

from __future__ import annotations

import errno
import gzip
import html
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from prometheus_client.exposition import choose_encoder, gzip_accepted

from agent.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.exporter import Exporter

_LOOK_SECONDS = 0.5
_HIGHEST_PORT = 0xFFFF
_TEXT = "text/plain; charset=utf-8"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_REMEDIES: Mapping[int, str] = {
    errno.EADDRINUSE: "another process listens there (`ss -ltnp` shows which): stop it, or choose another port",
    errno.EADDRNOTAVAIL: "no network interface of this host has this address: choose one that `ip address` shows",
    errno.EACCES: "ports below 1024 need a privilege: choose a port from 1024 up",
    errno.EAFNOSUPPORT: "this host does not speak IPv6: choose an IPv4 address",
}

log = get_logger("http")


class ListenError(OSError):
    """The address cannot be listened on: `listen` as it was asked for, the `cause`, and the `remedy`."""

    def __init__(self, listen: str, cause: str, remedy: str) -> None:
        super().__init__(f"cannot listen on {listen!r}: {cause}; {remedy}")
        self.listen = listen
        self.cause = cause
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take: so many `connections` at once (one more is told to come back), each lasting so long.

    `silence_seconds` is how long a client may neither send nor take a byte, `connection_seconds` how long a connection,
    which serves one request, may last in all.
    """

    connections: int = 16
    silence_seconds: float = 5.0
    connection_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path answers a GET with; `extra` are headers beside those every answer has."""

    body: bytes
    content_type: str = _TEXT
    status: HTTPStatus = HTTPStatus.OK
    extra: tuple[tuple[str, str], ...] = ()


class Server:
    """Serves in threads of its own until `stop`; `address` is host:port as in a URL, with the port really used."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._thread = threading.Thread(target=listener.listen, name="http", daemon=True)
        host, port = (str(part) for part in listener.server_address[:2])
        self.address = f"[{host}]:{port}" if listener.address_family == socket.AF_INET6 else f"{host}:{port}"
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection; safe to call twice."""
        self._listener.end()
        self._thread.join()
        self._listener.server_close()
        self._listener.cut(0.0)


class Listener(ThreadingHTTPServer):
    """One thread per connection, with a bound on their number and on how long each may last."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False
    request_queue_size = 64

    def __init__(
        self, family: socket.AddressFamily, address: tuple[Any, ...], exporter: Exporter, limits: Limits
    ) -> None:
        self.address_family = family
        self.exporter = exporter
        self.limits = limits
        self._slots = threading.BoundedSemaphore(limits.connections)
        self._open: dict[socket.socket, float] = {}
        self._ended = False
        super().__init__(address, Conversation)

    def server_bind(self) -> None:
        """Bind without asking the resolver for the host's name, which may take seconds and is used nowhere."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, or turn it away at once while all are busy."""
        if not self._slots.acquire(blocking=False):
            log.debug("turned away", client=client_address[0])
            request.settimeout(0)
            with suppress(OSError):  # the client is already gone
                request.sendall(_FULL)
            self.shutdown_request(request)
            return
        self._open[request] = time.monotonic()
        request.settimeout(self.limits.silence_seconds)
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the host gives no more threads
            self._release(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._release(request)

    def listen(self) -> None:
        """Serve until `end`; twice a second, but only while anyone is connected, look who has been for too long."""
        while not self._ended:
            self.timeout = _LOOK_SECONDS if self._open else None
            self.handle_request()
            self.cut(self.limits.connection_seconds)

    def end(self) -> None:
        """Take no further connection, and let `listen` return."""
        self._ended = True
        with suppress(OSError):  # it was ended before
            self.socket.shutdown(socket.SHUT_RDWR)

    def cut(self, seconds: float) -> None:
        """Close connections opened at least `seconds` ago, which wakes and ends their threads."""
        limit = time.monotonic() - seconds
        for request, since in self._open.copy().items():
            if since <= limit:
                with suppress(OSError):  # its thread was faster
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the base class's parameters
        """Note what ended a connection early: a client that went away, or a fault of ours."""
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("connection ended", client=client_address[0], reason=str(error))
        else:
            log.error("connection fault", client=client_address[0], exc_info=error)

    def _release(self, request: socket.socket) -> None:
        del self._open[request]
        self._slots.release()


class Conversation(BaseHTTPRequestHandler):
    """One request and its answer; the connection is closed after it."""

    server: Listener
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET or a HEAD."""
        page = PAGES.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            answer = page(self)
        except Exception:  # the edge of a thread: told to the client and the log, the next scrape may work
            log.exception("no answer", path=self.path)
            answer = _failure(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815  as above

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002  the base class's parameters
        """Answer with the status alone, as text; a method other than GET and HEAD is not allowed anywhere."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._send(_failure(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD")))
        else:
            self._send(_failure(HTTPStatus(code)))

    def version_string(self) -> str:
        """Return the `Server` header: the program, and nothing of what it runs on."""
        return "inferometer"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Log a request where someone looks for it."""
        log.debug("request", client=self.client_address[0], line=format % args)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        for name, value in answer.extra:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def serve(exporter: Exporter, listen: str, limits: Limits = Limits()) -> Server:
    """Serve `exporter` on `listen`, "host:port" or "[IPv6 address]:port"; port 0 takes a free one.

    Raises ListenError if that is no address, not one of this host's, or taken.
    """
    family, address = resolve(listen)
    try:
        return Server(Listener(family, address, exporter, limits))
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another address")
        raise ListenError(listen, error.strerror or str(error), remedy) from error


def resolve(listen: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return the address family and socket address of `listen`; of a name with several addresses, an IPv4 one."""
    host, _, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not host
        or (":" in host) != bracketed
        or not (port.isascii() and port.isdecimal() and int(port) <= _HIGHEST_PORT)
    ):
        raise ListenError(listen, "this is no host:port", "write it as 127.0.0.1:19795 or [::1]:19795")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise ListenError(listen, cause, "write the address of this host as a number") from error
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def metrics(request: Conversation) -> Answer:
    """Answer a scrape, as text or OpenMetrics and compressed or not, as the client accepts."""
    accept = " ".join(request.headers.get("Accept", "").split())  # part of it comes back in a header: on one line
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # a version that is no number
        encode, content_type = choose_encoder("")
    body = encode(request.server.exporter.registry)
    varies = ("Vary", "Accept, Accept-Encoding")
    if not gzip_accepted(request.headers.get("Accept-Encoding", "")):
        return Answer(body, content_type, extra=(varies,))
    packed = gzip.compress(body, compresslevel=4, mtime=0)
    return Answer(packed, content_type, extra=(varies, ("Content-Encoding", "gzip")))


def healthy(request: Conversation) -> Answer:  # noqa: ARG001  every page takes the request
    """Answer that the process is alive and answers."""
    return Answer(b"healthy\n")


def ready(request: Conversation) -> Answer:
    """Answer whether any probe gives fresh values."""
    is_ready, reason = request.server.exporter.ready()
    return Answer(f"{reason}\n".encode(), status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


def landing(request: Conversation) -> Answer:
    """Answer a person who came with a browser."""
    version = html.escape(request.server.exporter.version)
    page = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Inferometer</title></head>
<body>
<h1>Inferometer {version}</h1>
<p>Measures what an inference costs on this host.</p>
<ul>
<li><a href="/metrics">/metrics</a>: the latest reading of every sensor, for Prometheus</li>
<li><a href="/-/healthy">/-/healthy</a>: whether the service is alive</li>
<li><a href="/-/ready">/-/ready</a>: whether its probes give values</li>
</ul>
</body></html>
"""
    return Answer(page.encode(), "text/html; charset=utf-8")


PAGES: Mapping[str, Callable[[Conversation], Answer]] = {
    "/": landing,
    "/metrics": metrics,
    "/-/healthy": healthy,
    "/-/ready": ready,
}


def _failure(status: HTTPStatus, *extra: tuple[str, str]) -> Answer:
    return Answer(f"{status.value} {status.phrase}\n".encode(), status=status, extra=extra)
