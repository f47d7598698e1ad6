"""The WSGI application of the service: metrics, health and a landing page; checks who asks before it answers."""

from __future__ import annotations

import gzip
import html
import ipaddress
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder

from agent.api import wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from agent.api.metrics import Exporter

_OTHER_METHODS = wsgi.failure(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
_RETRY = ("Retry-After", "1")


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a GET; `headers` come beside those that every response has."""

    body: bytes
    content_type: str = wsgi.PLAIN
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


class Application:
    """Routes a GET or HEAD to one of `pages` by its path.

    With `hosts`, which may be empty, a request must name this host: by an address, a name without a dot, or one of
    `hosts`. That refuses DNS rebinding, by which a web page makes a browser on this host ask under a name of its own.
    """

    def __init__(
        self, pages: Mapping[str, Callable[[WSGIEnvironment], Response]], hosts: Collection[str] | None = None
    ) -> None:
        self._pages = pages
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._route(environ)(environ, start_response)

    def _route(self, environ: WSGIEnvironment) -> WSGIApplication:
        if self._hosts is not None and (reason := refusal_reason(environ, self._hosts)):
            return wsgi.failure(HTTPStatus.FORBIDDEN, reason=reason)
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _OTHER_METHODS
        page = self._pages.get(environ["PATH_INFO"])
        return wsgi.failure(HTTPStatus.NOT_FOUND) if page is None else _wsgi_response(page(environ))


def service_pages(exporter: Exporter) -> Mapping[str, Callable[[WSGIEnvironment], Response]]:
    """Return the pages of a service that runs, by path."""
    return {
        "/": lambda _: _index(exporter.version),
        "/metrics": lambda environ: _metrics(exporter, environ),
        "/-/healthy": _healthy,
        "/-/ready": lambda _: _ready(*exporter.ready()),
    }


def starting_pages(reason: str = "starting") -> Mapping[str, Callable[[WSGIEnvironment], Response]]:
    """Return the pages of a service that has nothing to export yet: healthy, not ready for `reason`, no metrics."""
    starting = Response(f"{reason}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE, headers=(_RETRY,))
    return {"/metrics": lambda _: starting, "/-/healthy": _healthy, "/-/ready": lambda _: starting}


def refusal_reason(environ: WSGIEnvironment, hosts: Collection[str]) -> str:
    """Return why a request is refused for its Host or Origin, nothing if it is not.

    A public DNS name has a dot, so a name without one cannot be an attacker's. Browsers always send a Host.
    """
    host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
    name = _host_name(host)
    if host and not (name and ("." not in name or name in hosts or _is_address(name))):
        return f"the Host header {host!r} does not name this host; exporter.hosts lists the names that may be used"
    if origin is not None and (not host or _host_and_port(origin) != host.lower()):
        return f"pages of {origin!r} may not read this host"
    return ""


def parse_accept(header: str) -> dict[str, float]:
    """Return the weight of each element of an Accept or Accept-Encoding header (RFC 9110, 12.4.2), 1 unless given."""
    weights = {}
    for element in header.split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        pairs = [(key.strip(), value.strip()) for key, _, value in (each.partition("=") for each in parameters)]
        given = next((value for key, value in pairs if key.lower() == "q"), "1")
        others = [f"{key}={value}" for key, value in pairs if key.lower() != "q"]
        weights[";".join((name, *others))] = _weight(given)
    return weights


def _weight(given: str) -> float:
    try:
        weight = float(given)
    except ValueError:
        return 1.0
    return 0.0 if math.isnan(weight) else weight


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


def _metrics(exporter: Exporter, environ: WSGIEnvironment) -> Response:
    """Answer a scrape, as text or OpenMetrics and compressed or not, as the client accepts."""
    formats = parse_accept(environ.get("HTTP_ACCEPT", ""))
    wanted = ",".join(name for name, weight in formats.items() if weight > 0)
    try:
        encode, content_type = choose_encoder(wanted if wanted.isascii() and wanted.isprintable() else "")
    except TypeError:  # a version that is no number
        encode, content_type = choose_encoder("")
    body = encode(exporter.registry)
    headers: tuple[tuple[str, str], ...] = (("Vary", "Accept, Accept-Encoding"),)
    encodings = {name.lower(): weight for name, weight in parse_accept(environ.get("HTTP_ACCEPT_ENCODING", "")).items()}
    if encodings.get("gzip", encodings.get("*", 0.0)) > 0:
        body, headers = gzip.compress(body, compresslevel=4, mtime=0), (*headers, ("Content-Encoding", "gzip"))
    return Response(body, content_type, headers=headers)


def _healthy(_: WSGIEnvironment) -> Response:
    return Response(b"healthy\n")


def _ready(is_ready: bool, reason: str) -> Response:
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(f"{reason}\n".encode(), status=status)


def _index(version: str) -> Response:
    page = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Inferometer</title></head>
<body>
<h1>Inferometer {html.escape(version)}</h1>
<p>Measures what an inference costs on this host.</p>
<ul>
<li><a href="/metrics">/metrics</a>: the latest reading of every sensor, for Prometheus</li>
<li><a href="/-/healthy">/-/healthy</a>: whether the service is alive</li>
<li><a href="/-/ready">/-/ready</a>: whether its probes give values and its store takes them</li>
</ul>
</body></html>
"""
    return Response(page.encode(), "text/html; charset=utf-8")
