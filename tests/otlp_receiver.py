"""A collector that receives OTLP over HTTP with protobuf, and returns what it received as plain values."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric: `kind` is sum or gauge, a sum with `monotonic` and `cumulative` if it is."""

    metric: str
    kind: str
    unit: str
    value: float
    attributes: dict[str, str]
    start_ns: int
    at_ns: int


@dataclass(slots=True)
class Receiver:
    """The points and the resources of every export, the headers of the last one, and the status that it answers."""

    url: str = ""
    status: int = 200
    exports: int = 0
    points: list[Point] = field(default_factory=list)
    resource: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def latest(self, metric: str) -> dict[str, Point]:
        """Return the last point of a metric for each component, by its id."""
        return {point.attributes["hw.id"]: point for point in self.points if point.metric == metric}

    def take(self, body: bytes) -> None:
        """Store one export."""
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            self.resource = {each.key: each.value.string_value for each in resource.resource.attributes}
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                kind = metric.WhichOneof("data")
                content = getattr(metric, kind)
                if kind == "sum" and (not content.is_monotonic or content.aggregation_temporality != 2):
                    kind = "other sum"
                for point in content.data_points:
                    attributes = {each.key: each.value.string_value for each in point.attributes}
                    value = getattr(point, point.WhichOneof("value"))
                    self.points.append(
                        Point(
                            metric.name,
                            kind,
                            metric.unit,
                            value,
                            attributes,
                            point.start_time_unix_nano,
                            point.time_unix_nano,
                        )
                    )
        self.exports += 1


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive on a free port of loopback inside the block."""
    receiver = Receiver()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.headers = {name.lower(): value for name, value in self.headers.items()}
            if receiver.status == 200 and self.path == "/v1/metrics":
                receiver.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/v1/metrics"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
