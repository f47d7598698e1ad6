"""Exports the latest tick of every probe, and the state of the probes, to Prometheus."""

from __future__ import annotations

import math
import platform
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from agent.api.dcgm import DcgmView
from agent.api.host_metrics import host_families, uncertainty_family
from agent.api.series import ExportedProbe, ExportedSeries, exported_series
from agent.api.series_limit import PREFIX, LimitedCollector, SeriesLimit
from agent.api.serving_metrics import serving_families
from agent.api.store_metrics import store_families
from agent.sampling.probe_reader import overdue_ns
from probes.model import METRICS, Device, Metric, MetricType, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from agent.api.counters import CounterView
    from agent.api.dcgm import WattsAndJoules
    from agent.attribution.snapshot import ServingSnapshot
    from agent.sampling.host_total import HostReading
    from agent.sampling.probe_reader import ProbeHealth
    from agent.sampling.store_state import StoreState
    from probes.model import Channel
    from store.records import Layout, Tick

SERIES_LABELS = ("device", "kind", "domain", "source")
REJECTED_LABELS = ("probe", "device", "domain", "metric", "reason")
ATTRIBUTES = ("driver", "driver_version", "model", "pci_address", "serial")
"""The attributes of a device that are labels of its info series, for every device; empty if unknown."""

UP = Metric("probe_up", MetricType.GAUGE, "1 if the probe's last read returned values that are still fresh, else 0.")
READ_SECONDS = Metric("probe_read_seconds", MetricType.GAUGE, "Time the probe's last read took, in seconds.")
LAST_SUCCESS = Metric(
    "probe_last_success_timestamp_seconds", MetricType.GAUGE, "Unix time of the probe's last read that returned values."
)
MISSED = Metric(
    "probe_reads_missed", MetricType.COUNTER, "Scheduled reads skipped because the read before them was late."
)
THROTTLED = Metric("probe_reads_throttled", MetricType.COUNTER, "Scheduled reads that the CPU budget did not allow.")
LATE = Metric("probe_reads_late", MetricType.COUNTER, "Reads that began half a period or 1 ms late, whichever is less.")
SAMPLED = Metric(
    "probe_sample_timestamp_seconds", MetricType.GAUGE, "Unix time of the sample that the probe's counters show now."
)
FAILED = Metric("probe_read_errors", MetricType.COUNTER, "Reads that returned no value at all.")
REJECTED = Metric("samples_rejected", MetricType.COUNTER, "Readings rejected, by reason.")
DROPPED = Metric("samples_dropped", MetricType.COUNTER, "Reads of a whole probe dropped before they could be stored.")
LEFT_OUT = Metric(
    "series_left_out", MetricType.GAUGE, "Series of sensors and probes that /metrics/all has and /metrics leaves out."
)
LOST = Metric(
    "energy_lost_seconds", MetricType.COUNTER, "Pauses whose energy is in no total because it is not known, in seconds."
)


class CounterTotals(Protocol):
    """The totals of counters across restarts: the values to export, their times, and the pauses that they omit."""

    def exported_value(self, tick: Tick, position: int) -> float:
        """Return the total to export for the counter at a position of a tick."""

    def exported_at_ns(self, tick: Tick) -> int:
        """Return the Unix time of the sample whose totals are exported for a tick."""

    def lost_seconds(self) -> Mapping[tuple[str, ...], float]:
        """Return the length of the pauses with unknown energy, by channel key."""


class Exporter(Collector):
    """Collects from memory only: a scrape reads neither disk nor sensor.

    `layouts` and `states` are the sampler's, in the same order. `dropped` returns the number of dropped ticks, `now_ns`
    the Unix time on the clock of the ticks. `totals` has the total to export for each counter; without it, the probe's
    value is exported. `host` returns the host's totals, None if there are none; `store` returns the state of the store,
    `serving` that of the measured inference servers. `watts_and_joules` returns the mean power of an energy counter,
    and the energy integrated from a power, by key. `process` adds the CPU time, memory and files of the process.
    `registry` contains only this exporter, `limited_registry` those of its series that `limit` chooses.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        states: Sequence[ProbeHealth],
        dropped: Callable[[], int],
        now_ns: Callable[[], int],
        version: str,
        totals: CounterTotals | None = None,
        host: Callable[[], HostReading | None] = lambda: None,
        store: Callable[[], StoreState | None] = lambda: None,
        serving: Callable[[], ServingSnapshot | None] = lambda: None,
        *,
        watts_and_joules: WattsAndJoules = lambda _: (None, None),
        counters: CounterView | None = None,
        python: str = platform.python_version(),
        process: bool = True,
    ) -> None:
        self.version = version
        self.counters = counters
        self._python = python
        self._dropped = dropped
        self._now_ns = now_ns
        self._totals = totals
        self._host = host
        self._store = store
        self._serving = serving
        self._uncertainties = uncertainty_family(layouts)
        self._exported = tuple(
            ExportedProbe(layout, state, lines, overdue_ns(state.period_seconds))
            for layout, state, lines in zip(layouts, states, exported_series(layouts), strict=True)
        )
        self._devices = tuple(known_devices(layouts))
        shown = (each.layout.channels[line.position] for each in self._exported for line in each.lines)
        self._dcgm = DcgmView(self._devices, shown, watts_and_joules)
        self.limit = SeriesLimit(self._exported, self._devices)
        self.registry, self.limited_registry = CollectorRegistry(), CollectorRegistry()
        self.registry.register(self)
        self.limited_registry.register(LimitedCollector(self, self.limit))
        if process:
            for registry in (self.registry, self.limited_registry):
                ProcessCollector(registry=registry)

    def ready(self) -> tuple[bool, str]:
        """Return whether a probe has fresh values and the store works, and a sentence about all that do not."""
        is_ready, reason = self._probes_ready()
        state = self._store()
        trouble = state.summary() if state else ""
        if not trouble:
            return is_ready, reason
        return False, trouble if is_ready and reason == "ready" else f"{reason}; {trouble}"

    def _probes_ready(self) -> tuple[bool, str]:
        now_ns = self._now_ns()
        stale = [exported.state.probe for exported in self._exported if self._fresh(exported, now_ns) is None]
        if not self._exported:
            return False, "no probe: this host has no readable sensor"
        if all(exported.state.latest is None for exported in self._exported):
            return False, f"no tick yet from {', '.join(stale)}"
        if not stale:
            return True, "ready"
        return len(stale) < len(self._exported), f"no fresh tick from {', '.join(stale)}"

    def collect(self) -> Iterable[Family]:
        """Return the metric families that have a sample now."""
        now_ns = self._now_ns()
        families = chain(
            self._sensor_families(now_ns),
            (self._uncertainties,),
            self._host_totals(),
            self._info_families(),
            self._probe_families(now_ns),
            self._rejection_families(),
            self._gap_families(),
            store_families(self._store()),
            serving_families(self._serving()),
        )
        return [family for family in families if family.samples]

    def _fresh(self, exported: ExportedProbe, now_ns: int) -> Tick | None:
        tick = exported.state.latest
        if tick is None or exported.state.lost or now_ns - tick.end_ns > exported.stale_ns:
            return None
        return tick

    def dcgm_page(self) -> str:
        """Return the accelerators as dcgm-exporter shows them."""
        values = self._values(self._now_ns())
        return self._dcgm.page({channel.key: value for channel, _, value in values})

    def readings(self) -> Iterator[tuple[Channel, float]]:
        """Yield the channels of /metrics that have a fresh value, with the value; that of a counter is its total."""
        for channel, _, value in self._values(self._now_ns()):
            if self.limit.has(channel):
                yield channel, value

    def host_reading(self) -> HostReading | None:
        """Return the host's totals, None without a fresh one."""
        reading = self._host()
        return reading if reading and self._now_ns() - reading.at_ns <= reading.stale_ns else None

    def _sensor_families(self, now_ns: int) -> Iterable[Family]:
        families = {name: _family(metric, SERIES_LABELS) for name, metric in METRICS.items()}
        for _, line, value in self._values(now_ns):
            families[line.metric].add_metric(line.labels, value)
        return families.values()

    def _values(self, now_ns: int) -> Iterator[tuple[Channel, ExportedSeries, float]]:
        """Yield every channel that has a fresh value, with its series and the value; that of a counter is its total."""
        for exported in self._exported:
            tick = self._fresh(exported, now_ns)
            for line in exported.lines if tick else ():
                if tick is None or math.isnan(tick.values[line.position]):
                    continue
                counts = METRICS[line.metric].type is MetricType.COUNTER
                totals = self._totals if counts else None
                value = totals.exported_value(tick, line.position) if totals else tick.values[line.position]
                yield exported.layout.channels[line.position], line, value

    def _host_totals(self) -> Iterable[Family]:
        reading = self.host_reading()
        return host_families(reading) if reading else ()

    def _info_families(self) -> Iterator[Family]:
        devices = InfoMetricFamily(f"{PREFIX}device", "Attributes of a device; always 1.")
        for device in self._devices:
            attributes = dict(device.attributes)
            known = {name: attributes.get(name, "") for name in ATTRIBUTES}
            devices.add_metric((), {"device": device.id, "kind": device.kind.value, "name": device.name, **known})
        yield devices
        build = {"version": self.version, "python": self._python}
        yield InfoMetricFamily(f"{PREFIX}build", "Version of the exporter and of Python; always 1.", build)

    def _probe_families(self, now_ns: int) -> Iterable[Family]:
        own = (UP, READ_SECONDS, LAST_SUCCESS, SAMPLED, MISSED, THROTTLED, LATE, FAILED)
        families = [_family(metric, ("probe",)) for metric in own]
        up, read, success, sampled, missed, throttled, late, failed = families
        for exported in self._exported:
            state, probe, tick = exported.state, (exported.state.probe,), self._fresh(exported, now_ns)
            up.add_metric(probe, float(state.up and tick is not None))
            if tick:
                at_ns = self._totals.exported_at_ns(tick) if self._totals else tick.end_ns
                sampled.add_metric(probe, at_ns / 1e9)
            if state.ticks or state.failed:
                read.add_metric(probe, state.read_seconds)
            if state.last_success_ns:
                success.add_metric(probe, state.last_success_ns / 1e9)
            missed.add_metric(probe, state.missed)
            throttled.add_metric(probe, state.throttled)
            late.add_metric(probe, state.late)
            failed.add_metric(probe, state.failed)
        return families

    def _rejection_families(self) -> Iterator[Family]:
        counts: Counter[tuple[str, ...]] = Counter()
        for exported in self._exported:
            rejected = exported.state.rejected.copy()  # a sampling thread may add to it meanwhile
            for (position, reason), count in rejected.items():
                channel = exported.layout.channels[position]
                counts[exported.state.probe, channel.device.id, channel.domain, channel.metric, reason] += count
        family = _family(REJECTED, REJECTED_LABELS)
        for labels, count in sorted(counts.items()):
            family.add_metric(labels, count)
        yield family
        dropped = _family(DROPPED, ())
        dropped.add_metric((), self._dropped())
        yield dropped
        left_out = _family(LEFT_OUT, ())
        left_out.add_metric((), len(self.limit.left_out))
        yield left_out

    def _gap_families(self) -> Iterator[Family]:
        lost = _family(LOST, SERIES_LABELS)
        seconds = self._totals.lost_seconds() if self._totals else {}
        for exported in self._exported:
            for line in exported.lines:
                channel = exported.layout.channels[line.position]
                if channel.key in seconds:
                    lost.add_metric(line.labels, seconds[channel.key])
        yield lost


def known_devices(layouts: Sequence[Layout]) -> Iterable[Device]:
    """Return each device once, with the attributes of all probes; of conflicting values the first counts.

    A join in a query needs exactly one info series per device.
    """
    devices: dict[str, Device] = {}
    for channel in chain.from_iterable(layout.channels for layout in layouts):
        later = channel.device
        first = devices.get(later.id, later)
        attributes = {**dict(later.attributes), **{name: value for name, value in first.attributes if value}}
        devices[later.id] = Device(first.id, first.kind, first.name or later.name, tuple(attributes.items()))
    return devices.values()


def _family(metric: Metric, labels: Sequence[str]) -> CounterMetricFamily | GaugeMetricFamily:
    family = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
    return family(PREFIX + metric.name, metric.help, labels=labels, unit=unit_of(metric.name))
