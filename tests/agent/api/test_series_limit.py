"""The number of series on /metrics: on every topology, on the largest host, and what is left out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from make_reference import serving_snapshot

from agent.api.series_limit import ACCELERATOR_SERIES, HOST_SERIES, PREFIX, PROBE_ORDER, SENSOR_ORDER
from agent.energy.bounds import Energy
from agent.energy.containment import ACCELERATORS
from agent.energy.counted_sensors import Boundary
from agent.sampling.host_total import HostReading
from agent.sampling.store_state import StoreState
from exported import NOW, SECOND, export, state, tick
from fake_gpus import H100
from probes.model import METRICS, Channel, Device, Kind, Reason, Source
from store.records import Layout
from topologies import TOPOLOGIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from prometheus_client import CollectorRegistry
    from prometheus_client.samples import Sample

    from agent.api.metrics import Exporter
    from machines import Topology


class Missing:
    """Totals that miss ten seconds of every counter."""

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self._keys = [channel.key for layout in layouts for channel in layout.channels]

    def exported_value(self, tick, position: int) -> float:
        return tick.values[position]

    def exported_at_ns(self, tick) -> int:
        return tick.end_ns

    def lost_seconds(self) -> dict[tuple[str, ...], float]:
        return dict.fromkeys(self._keys, 10.0)


def exporter_of(layouts: Sequence[Layout], value: float = 1.0) -> Exporter:
    """Return an exporter on which everything has happened: each sensor has a value, was rejected and lost time."""
    states = [state(layout.probe) for layout in layouts]
    for each, layout in zip(states, layouts, strict=True):
        each.rejected = {(position, reason): 1 for position in range(len(layout.channels)) for reason in Reason}
    channels = [channel for layout in layouts for channel in layout.channels]
    energy = tuple(channel for channel in channels if channel.metric in {"energy_joules", "power_watts"})
    parts = tuple(f"part {number}" for number in range(20))
    host = HostReading(
        Boundary.COMPONENTS, "mixed", energy, parts, 1.0, 1.0, 1.0, "EUR", NOW, 9 * SECOND, Energy(3.0, 2.0, 4.0)
    )
    ticks = [tick(*(value for _ in layout.channels), layout=layout.id) for layout in layouts]
    store = StoreState("", NOW, 2)
    return export(layouts, states, ticks, host=host, store=store, totals=Missing(layouts), process=True)


def samples(registry: CollectorRegistry) -> list[Sample]:
    return [sample for family in registry.collect() for sample in family.samples]


def counts(layouts: Sequence[Layout]) -> Counter[str]:
    """Return the number of series on /metrics of each accelerator, and of the rest of the host as ""."""
    devices = {channel.device for layout in layouts for channel in layout.channels}
    cards = {device.id for device in devices if device.kind in ACCELERATORS}
    of_probe = {layout.probe: {channel.device.id for channel in layout.channels} for layout in layouts}
    found: Counter[str] = Counter(dict.fromkeys(cards, 0))
    for sample in samples(exporter_of(layouts).limited_registry):
        owners = of_probe.get(sample.labels.get("probe", ""), {sample.labels.get("device", "")})
        owner = next(iter(owners)) if len(owners) == 1 else ""
        found[owner if owner in cards else ""] += 1
    return found


def within(found: Counter[str]) -> bool:
    return found[""] <= HOST_SERIES and all(number <= ACCELERATOR_SERIES for card, number in found.items() if card)


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda each: each.name)
def test_a_machine_has_100_series_and_12_of_each_accelerator_at_most(topology: Topology, tmp_path: Path):
    layouts = replace(topology, proc=topology.proc or "xeon_guest").layouts(tmp_path)
    found = counts(layouts)
    assert within(found), found
    devices = {channel.device for layout in layouts for channel in layout.channels}
    cards = {device.id for device in devices if device.kind in ACCELERATORS}
    assert len(found) == 1 + len(cards)


def large_host() -> list[Layout]:
    """Return eight processors, 40 chips with 20 sensors, 300 rails and 16 GPUs with every metric of 40 parts."""

    def every(device: Device, domains: Iterable[str], metrics: Iterable[str]) -> tuple[Channel, ...]:
        return tuple(Channel(device, domain, metric) for domain in domains for metric in metrics)

    numbers = [f"{number:03}" for number in range(300)]
    found = [(f"cpu/{n}", every(Device(f"package-{n}", Kind.CPU), ("package", "core"), METRICS)) for n in range(8)]
    found += [(f"hwmon/{n}", every(Device(n, Kind.BOARD), numbers[:20], ["temperature_celsius"])) for n in numbers[:40]]
    found.append(("rails", every(Device("board", Kind.BOARD), numbers, ["power_watts"])))
    gpus = [Device(f"GPU-{number}", Kind.GPU) for number in range(16)]
    found += [(f"nvml/{gpu.id}", every(gpu, ("board", *numbers[:40]), METRICS)) for gpu in gpus]
    return [Layout(number, probe, channels) for number, (probe, channels) in enumerate(found, 1)]


SENSORS = st.tuples(
    st.integers(0, 29), st.sampled_from(["board", "card", "package", "core", "a", "b"]), st.sampled_from(list(METRICS)),
    st.sampled_from(list(Source)),
)  # fmt: skip


@given(
    st.lists(st.sampled_from(list(Kind)), min_size=30, max_size=30),
    st.lists(st.lists(SENSORS, min_size=1, max_size=40), min_size=1, max_size=30),
)
@example([Kind.GPU] * 30, [[(4, "board", "energy_joules", Source.MEASURED)]] * 2)  # two probes of one sensor
def test_no_combination_of_sensors_has_more_series(kinds: list[Kind], probes: list[list[tuple[int, str, str, Source]]]):
    def channel(number: int, domain: str, metric: str, source: Source) -> Channel:
        uncertainty = 0.5 if source is Source.ESTIMATED else 0.0
        return Channel(Device(f"device-{number}", kinds[number]), domain, metric, source, uncertainty=uncertainty)

    found = counts([
        Layout(number, f"probe-{number}", tuple(dict.fromkeys(channel(*each) for each in own)))
        for number, own in enumerate(probes, 1)
    ])  # fmt: skip
    assert within(found), found


def test_the_largest_host_uses_its_series_up():
    found = counts(large_host())
    assert found.pop("") == HOST_SERIES
    assert set(found.values()) == {ACCELERATOR_SERIES}
    assert len(found) == 16


def test_estimated_power_has_its_uncertainty_within_the_limit():
    packages = [Device(f"package-{number}", Kind.CPU) for number in range(80)]
    channels = tuple(Channel(each, "package", "power_watts", Source.ESTIMATED, uncertainty=0.5) for each in packages)
    layouts = [Layout(1, "estimate", channels)]
    assert counts(layouts)[""] <= HOST_SERIES
    shown = samples(exporter_of(layouts).limited_registry)
    powers, bounds = (
        {sample.labels["device"] for sample in shown if sample.name == f"{PREFIX}{name}"}
        for name in ("power_watts", "power_uncertainty_ratio")
    )
    assert powers >= bounds
    assert len(powers) - len(bounds) <= 1


def test_a_gpu_shows_the_whole_board_and_one_sensor_of_each_metric(tmp_path: Path):
    topology = next(each for each in TOPOLOGIES if each.name == "two sockets and two GPUs")
    layouts = replace(topology, proc="xeon_guest").layouts(tmp_path)
    shown = samples(exporter_of(layouts).limited_registry)
    own = [
        (each.name.removeprefix(PREFIX), each.labels.get("domain", ""))
        for each in shown
        if "GPU-a" in {each.labels.get("device"), each.labels.get("probe", "").partition("/")[2]}
    ]
    assert len(own) == ACCELERATOR_SERIES
    assert {name for name, _ in own} >= {
        "device_info",
        "probe_up",
        "host_channel_info",
        "energy_joules_total",
        "power_watts",
        "utilization_ratio",
        "memory_used_bytes",
        "temperature_celsius",
        "power_limit_watts",
        "frequency_hertz",
    }
    whole = {"energy_joules_total", "power_watts", "utilization_ratio"}
    assert {domain for name, domain in own if name in whole} == {"board"}
    assert H100.name in {each.labels.get("name") for each in shown if each.labels.get("device") == "GPU-a"}


def test_a_small_host_shows_everything_but_the_details_of_sums():
    layouts = [Layout(1, "rapl", (Channel(Device("package-0", Kind.CPU), "package", "energy_joules"),))]
    exporter = exporter_of(layouts)
    added = {f"{PREFIX}samples_rejected_total", f"{PREFIX}energy_lost_seconds_total", f"{PREFIX}host_uncovered_info"}
    full, limited = (
        {(each.name, *sorted(each.labels.items())) for each in samples(registry) if each.name not in added}
        for registry in (exporter.registry, exporter.limited_registry)
    )
    assert full == limited
    assert not exporter.limit.left_out


def test_the_number_of_series_left_out_is_exported():
    exporter = exporter_of(large_host())
    full, limited = samples(exporter.registry), samples(exporter.limited_registry)
    chosen = {*(PREFIX + METRICS[name].name for name in METRICS), *(PREFIX + name for name in PROBE_ORDER)}
    chosen = {each for name in chosen for each in (name, f"{name}_total")} | {f"{PREFIX}device_info"}
    missing = sum(each.name in chosen for each in full) - sum(each.name in chosen for each in limited)
    (number,) = [each.value for each in limited if each.name == f"{PREFIX}series_left_out"]
    assert number == missing > 1000


def test_rejected_samples_and_lost_seconds_are_sums_that_lose_nothing():
    exporter = exporter_of(large_host())
    full, limited = samples(exporter.registry), samples(exporter.limited_registry)
    rejected, lost = f"{PREFIX}samples_rejected_total", f"{PREFIX}energy_lost_seconds_total"
    by_reason: Counter[str] = Counter()
    for each in full:
        if each.name == rejected:
            by_reason[each.labels["reason"]] += int(each.value)
    assert {each.labels["reason"]: each.value for each in limited if each.name == rejected} == by_reason
    assert all(each.labels.keys() == {"reason"} for each in limited if each.name == rejected)
    total = sum(each.value for each in full if each.name == lost)
    assert [(each.labels, each.value) for each in limited if each.name == lost] == [({}, total)]


def test_the_choice_does_not_depend_on_values():
    layouts = large_host()
    assert exporter_of(layouts).limit.left_out == exporter_of(layouts, math.nan).limit.left_out


def test_every_metric_of_a_sensor_and_a_probe_has_a_place_in_the_order():
    assert sorted(SENSOR_ORDER) == sorted(METRICS)
    families = exporter_of(large_host()).registry.collect()
    probes = {each.name.removeprefix(PREFIX) for each in families if each.name.startswith(f"{PREFIX}probe_")}
    assert sorted(PROBE_ORDER) == sorted(probes)


def test_a_measured_server_adds_the_series_that_the_page_states():
    snapshot = serving_snapshot()
    (server,) = snapshot.servers
    reasons = [
        "address",
        "connection",
        "content",
        "credentials",
        "metrics",
        "redirect",
        "size",
        "status",
        "timeout",
        "tls",
    ]
    snapshot = replace(snapshot, servers=(replace(server, errors=dict.fromkeys(reasons, 1)),))
    own = [each for each in samples(export(serving=snapshot).limited_registry) if "serving" in each.name]
    models = [each for each in own if "model" in each.labels]
    devices = [each for each in own if "device" in each.labels]
    assert len(devices) == 7
    assert len(models) <= 15
    assert len(own) - len(models) - len(devices) == 18
