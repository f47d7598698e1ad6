"""Sends the energy and power of the host to an OpenTelemetry collector (OTLP over HTTP, protobuf).

Names and attributes: https://opentelemetry.io/docs/specs/semconv/hardware/. This module needs the extra `otlp`.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from agent.runtime.logs import get_logger
from probes.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.api.metrics import Exporter
    from store.records import Host

    Reading = tuple[float, dict[str, str]]
    """A value, and its attributes."""

_TIMEOUT_SECONDS = 10.0
_REPORT_SECONDS = 600.0
_TYPES = {Kind.PSU: "power_supply", Kind.HOST: "enclosure", Kind.BOARD: "enclosure"}
"""The well-known types of hardware that have another name here; a kind that is not well-known is its own type."""

log = get_logger("otlp")


def device_readings(exporter: Exporter, metric: str) -> Iterator[Reading]:
    """Yield the values of a metric of energy; `hw.parent` is the component that includes one, as they overlap."""
    for channel, value in exporter.readings():
        if channel.metric == metric:
            kind = channel.device.kind
            attributes = {
                "hw.id": channel.path,
                "hw.type": _TYPES.get(kind, kind.value),
                "hw.name": channel.device.name or channel.device.id,
                "inferometer.source": channel.source.value,
            }
            if channel.contained_in:
                attributes["hw.parent"] = "/".join(channel.contained_in[0])
            yield value, attributes


def host_readings(exporter: Exporter, host: Host, metric: str) -> Iterator[Reading]:
    """Yield the energy or the power of the whole host, if it has one, with its boundary."""
    reading = exporter.host_reading()
    if reading:
        value = reading.joules if metric == "energy_joules" else reading.watts
        boundary = {"inferometer.boundary": reading.boundary.value, "inferometer.source": reading.source}
        if value is not None:
            yield value, {"hw.id": host.id, "hw.name": host.name, **boundary}


class OtlpExport:
    """Exports in a thread of the SDK until `stop`.

    Variables of OpenTelemetry set the rest, such as OTEL_EXPORTER_OTLP_HEADERS.
    """

    def __init__(self, exporter: Exporter, host: Host, endpoint: str, interval_seconds: float) -> None:
        _report_through_log()
        sent = OTLPMetricExporter(endpoint=endpoint, timeout=_TIMEOUT_SECONDS)
        reader = PeriodicExportingMetricReader(
            sent, export_interval_millis=interval_seconds * 1000, export_timeout_millis=_TIMEOUT_SECONDS * 1000
        )
        named = {"service.name": "inferometer", "service.version": exporter.version}
        resource = Resource.create({**named, "host.id": host.id, "host.name": host.name})
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("inferometer", exporter.version)

        for name, metric, unit, create, since in (
            ("energy", "energy_joules", "J", meter.create_observable_counter, _SinceFirst),
            ("power", "power_watts", "W", meter.create_observable_gauge, _unchanged),
        ):
            of_devices = since(partial(device_readings, exporter, metric))
            of_host = since(partial(host_readings, exporter, host, metric))
            create(f"hw.{name}", [partial(_observed, of_devices)], unit, f"{name.capitalize()} of the component.")
            create(f"hw.host.{name}", [partial(_observed, of_host)], unit, f"{name.capitalize()} of the host.")

    def stop(self, seconds: float) -> None:
        """Export once more if the collector answers within `seconds`, and end."""
        with suppress(Exception):  # the SDK raises plain exceptions after a time-out
            self._provider.shutdown(timeout_millis=seconds * 1000)


class _SinceFirst:
    """The energy of each series since its first reading, to which the SDK sets its start time.

    The total also contains the energy before: a backend would add it to its sum again after each start of the service.
    """

    def __init__(self, readings: Callable[[], Iterator[Reading]]) -> None:
        self._readings = readings
        self._first: dict[tuple[tuple[str, str], ...], float] = {}

    def __call__(self) -> Iterator[Reading]:
        for joules, attributes in self._readings():
            first = self._first.setdefault(tuple(sorted(attributes.items())), joules)
            yield max(0.0, joules - first), attributes


def _unchanged(readings: Callable[[], Iterator[Reading]]) -> Callable[[], Iterator[Reading]]:
    return readings


def _observed(readings: Callable[[], Iterator[Reading]], _: CallbackOptions) -> Iterator[Observation]:
    return (Observation(value, attributes) for value, attributes in readings())


class _Reports(logging.Handler):
    """Logs a problem of the SDK at most every ten minutes; it reports each failed attempt."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REPORT_SECONDS
            log.warning("the collector takes no metrics", reason=record.getMessage().partition("\n")[0][:300])


def _report_through_log() -> None:
    sdk = logging.getLogger("opentelemetry")
    sdk.propagate = False
    sdk.handlers = [_Reports()]
