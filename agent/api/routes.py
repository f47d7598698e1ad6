"""The routing table of the service, and its views: metrics, health and a landing page."""

from __future__ import annotations

import gzip
import html
import math
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder

from agent.api import dcgm
from agent.api.application import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from wsgiref.types import WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from agent.api.application import View
    from agent.api.metrics import Exporter


def service_routes(exporter: Exporter) -> Mapping[str, View]:
    """Return the views of a running service, by path."""
    return {path: partial(view, exporter) for path, view in ROUTES.items()}


def starting_routes(reason: str = "starting") -> Mapping[str, View]:
    """Return the views of a service without an exporter yet: healthy, and 503 with the reason on all other paths."""
    retry = ("Retry-After", "1")
    starting = Response(f"{reason}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE, headers=(retry,))
    return {path: lambda _: starting for path in ROUTES} | {_HEALTHY_PATH: lambda _: _HEALTHY}


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


def _metrics(exporter: Exporter, environ: WSGIEnvironment) -> Response:
    return _exposition(exporter.limited_registry, environ)


def _all_metrics(exporter: Exporter, environ: WSGIEnvironment) -> Response:
    return _exposition(exporter.registry, environ)


def _exposition(registry: CollectorRegistry, environ: WSGIEnvironment) -> Response:
    """Answer a scrape, as text or OpenMetrics and compressed or not, as the client accepts."""
    formats = parse_accept(environ.get("HTTP_ACCEPT", ""))
    wanted = ",".join(name for name, weight in formats.items() if weight > 0)
    try:
        encode, content_type = choose_encoder(wanted if wanted.isascii() and wanted.isprintable() else "")
    except TypeError:  # a version that is not a number
        encode, content_type = choose_encoder("")
    body = encode(registry)
    headers: tuple[tuple[str, str], ...] = (("Vary", "Accept, Accept-Encoding"),)
    encodings = {name.lower(): weight for name, weight in parse_accept(environ.get("HTTP_ACCEPT_ENCODING", "")).items()}
    if encodings.get("gzip", encodings.get("*", 0.0)) > 0:
        body, headers = gzip.compress(body, compresslevel=4, mtime=0), (*headers, ("Content-Encoding", "gzip"))
    return Response(body, content_type, headers=headers)


def _healthy(_exporter: Exporter, _environ: WSGIEnvironment) -> Response:
    return _HEALTHY


def _ready(exporter: Exporter, _environ: WSGIEnvironment) -> Response:
    is_ready, reason = exporter.ready()
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(f"{reason}\n".encode(), status=status)


def _dcgm(exporter: Exporter, _environ: WSGIEnvironment) -> Response:
    return Response(exporter.dcgm_page().encode(), dcgm.CONTENT_TYPE)


def _counters(exporter: Exporter, _environ: WSGIEnvironment) -> Response:
    if exporter.counters is None:
        return Response(b"no sensors\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
    return Response(exporter.counters.encoded(), "application/json")


def _index(exporter: Exporter, _environ: WSGIEnvironment) -> Response:
    page = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Inferometer</title></head>
<body>
<h1>Inferometer {html.escape(exporter.version)}</h1>
<p>Measures what an inference costs on this host.</p>
<ul>
<li><a href="/metrics">/metrics</a>: the latest readings, for Prometheus, in a bounded number of series</li>
<li><a href="/metrics/all">/metrics/all</a>: the latest reading of every sensor, and the details of every probe</li>
<li><a href="/dcgm/metrics">/dcgm/metrics</a>: the accelerators, in the metrics of dcgm-exporter</li>
<li><a href="/api/v1/counters">/api/v1/counters</a>: every sensor, for a profile made on another host</li>
<li><a href="/-/healthy">/-/healthy</a>: whether the service is alive</li>
<li><a href="/-/ready">/-/ready</a>: whether its probes give values and its store takes them</li>
</ul>
</body></html>
"""
    return Response(page.encode(), "text/html; charset=utf-8")


_HEALTHY_PATH = "/-/healthy"
_HEALTHY = Response(b"healthy\n")
ROUTES: Mapping[str, Callable[[Exporter, WSGIEnvironment], Response]] = {
    "/": _index,
    "/metrics": _metrics,
    "/metrics/all": _all_metrics,
    "/dcgm/metrics": _dcgm,
    "/api/v1/counters": _counters,
    _HEALTHY_PATH: _healthy,
    "/-/ready": _ready,
}
"""The view of each path; a line here adds one."""
