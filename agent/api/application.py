"""The WSGI application: checks the Host and Origin of a request, and calls the view of its path."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.api import wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    View = Callable[[WSGIEnvironment], "Response"]

_METHOD_NOT_ALLOWED = wsgi.failure(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a GET; `headers` are added to those that every response has."""

    body: bytes
    content_type: str = wsgi.PLAIN
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


class Application:
    """Answers a GET or HEAD with the view that `routes` has for its path.

    If `hosts` is given, the Host header of a request must be an address, a name without a dot, or one of `hosts`. This
    prevents DNS rebinding: a web page whose name resolves to this host cannot read it through a local browser.
    """

    def __init__(self, routes: Mapping[str, View], hosts: Collection[str] | None = None) -> None:
        self._routes = routes
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._route(environ)(environ, start_response)

    def _route(self, environ: WSGIEnvironment) -> WSGIApplication:
        if self._hosts is not None and (reason := refusal_reason(environ, self._hosts)):
            return wsgi.failure(HTTPStatus.FORBIDDEN, reason=reason)
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _METHOD_NOT_ALLOWED
        view = self._routes.get(environ["PATH_INFO"])
        return wsgi.failure(HTTPStatus.NOT_FOUND) if view is None else _wsgi_response(view(environ))


def refusal_reason(environ: WSGIEnvironment, hosts: Collection[str]) -> str:
    """Return the reason to refuse a request for its Host or Origin header, empty if it is allowed.

    A public DNS name has a dot, so an attacker cannot own a name without one. Browsers always send a Host header.
    """
    host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
    name = _host_name(host)
    if host and not (name and ("." not in name or name in hosts or _is_address(name))):
        return f"the Host header {host!r} does not name this host; exporter.hosts lists the allowed names"
    if origin is not None and (not host or _host_and_port(origin) != host.lower()):
        return f"web pages from {origin!r} may not read these metrics"
    return ""


def _host_name(host: str) -> str:
    """Return the name or address in a Host header, in lower case; empty if it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _host_and_port(origin: str) -> str:
    """Return host:port of an Origin header, in lower case; empty if it is malformed or names none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _wsgi_response(response: Response) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        start_response(f"{response.status.value} {response.status.phrase}", [*headers, *response.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    return application
