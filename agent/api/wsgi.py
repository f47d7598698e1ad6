"""Parses an HTTP request and runs the WSGI application (PEP 3333) on it, without any socket."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from wsgiref.handlers import SimpleHandler

from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping
    from wsgiref.headers import Headers
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PLAIN = "text/plain; charset=utf-8"
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Default headers of every response."""

log = get_logger("http")


def respond(received: bytes, peer: str, server: tuple[str, int], application: WSGIApplication) -> bytes:
    """Return the complete response to a request with the head `received`; never raises.

    An invalid request gets its error status, and an application that raises results in 500. Bodies are not read.
    """
    request = _Request(received)
    log.debug("request", client=peer, line=request.requestline)
    output = BytesIO()
    run = failure(request.failure) if request.failure else application
    _Response(BytesIO(), output, StringIO(), _environ(request, peer, server)).run(run)
    return output.getvalue()


def failure(status: HTTPStatus, *headers: tuple[str, str], reason: str = "") -> WSGIApplication:
    """Return the application that answers every request with `status`, as text."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = f"{status.value} {status.phrase}{': ' if reason else ''}{reason}\n".encode()
        length = ("Content-Length", str(len(body)))
        start_response(f"{status.value} {status.phrase}", [("Content-Type", PLAIN), length, *headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return application


class _Request(BaseHTTPRequestHandler):
    """The standard library's parser without its socket; `failure` is the error status of an invalid request."""

    def __init__(self, received: bytes) -> None:
        self.failure: HTTPStatus | None = None
        self.command, self.path, self.request_version = "GET", "/", "HTTP/1.0"
        self.rfile = BytesIO(received)
        self.raw_requestline = self.rfile.readline()
        if not self.parse_request() and self.failure is None:
            self.failure = HTTPStatus.BAD_REQUEST

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002  the library's parameters
        self.failure = HTTPStatus(code)

    def handle_expect_100(self) -> bool:
        return True  # no body is read, so none is requested


class _Response(SimpleHandler):
    """The standard library's WSGI handler, with our headers and log; the connection closes afterwards."""

    http_version = "1.1"
    server_software = "inferometer"
    os_environ: MutableMapping[str, str] = {}  # noqa: RUF012  the library copies it; our environment is not included
    headers: Headers
    environ: WSGIEnvironment
    error_status = "500 Internal Server Error"
    error_headers = [("Content-Type", PLAIN)]  # noqa: RUF012  the library's attribute
    error_body = b"500 Internal Server Error\n"

    def cleanup_headers(self) -> None:
        super().cleanup_headers()
        for name, value in _HEADERS.items():
            self.headers.setdefault(name, value)
        self.headers["Connection"] = "close"

    def log_exception(self, exc_info: Any) -> None:
        log.error("no answer", path=self.environ.get("PATH_INFO"), exc_info=exc_info)


def _environ(request: _Request, peer: str, server: tuple[str, int]) -> dict[str, Any]:
    path, _, query = request.path.partition("?")
    environ = {
        "REQUEST_METHOD": request.command,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": request.request_version,
        "REMOTE_ADDR": peer,
        "CONTENT_LENGTH": "0",
    }
    for name, value in ({} if request.failure else request.headers).items():
        if name.lower() not in {"content-type", "content-length"} and "_" not in name:
            key = f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
