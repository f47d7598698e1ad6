from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.registry import REGISTRY

from agent.api.metrics import ATTRIBUTES, Exporter, known_devices
from agent.sampling.probe_reader import ProbeHealth
from agent.sampling.store_state import StoreState
from exported import GPU, HOST, LAYOUT, NOW, POWER, SECOND, Losing, export, state, tick
from probes.model import METRICS, Device, Kind, Source
from store.records import Layout

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


def samples(exporter: Exporter, name: str) -> list[Sample]:
    return [sample for family in exporter.registry.collect() for sample in family.samples if sample.name == name]


def values(exporter: Exporter, name: str) -> list[float]:
    return [sample.value for sample in samples(exporter, name)]


def test_a_tick_is_exported_with_the_labels_of_its_channels():
    exporter = export(ticks=[tick(250.0, 1000.5)])
    labels = {"device": "GPU-1", "kind": "gpu", "domain": "board", "source": "measured"}
    assert samples(exporter, "inferometer_power_watts")[0].labels == labels
    assert values(exporter, "inferometer_power_watts") == [250.0]
    assert values(exporter, "inferometer_energy_joules_total") == [1000.5]


def test_the_latest_tick_replaces_the_one_before():
    assert values(export(ticks=[tick(1.0, 2.0), tick(3.0, 4.0)]), "inferometer_power_watts") == [3.0]


def test_a_value_that_was_not_read_is_not_exported():
    exporter = export(ticks=[tick(math.nan, 4.0)])
    assert values(exporter, "inferometer_power_watts") == []
    assert values(exporter, "inferometer_energy_joules_total") == [4.0]


def test_estimated_and_measured_values_are_separate_series():
    layout = Layout(1, "gpu", (POWER, replace(POWER, source=Source.ESTIMATED)))
    shown = samples(export([layout], ticks=[tick(5.0, 6.0)]), "inferometer_power_watts")
    assert {sample.labels["source"]: sample.value for sample in shown} == {"measured": 5.0, "estimated": 6.0}


@pytest.mark.parametrize(("period_seconds", "limit_seconds"), [(0.01, 10), (1.0, 10), (60.0, 180)])
def test_a_tick_is_exported_for_three_periods_and_at_least_ten_seconds(period_seconds: float, limit_seconds: int):
    for age_ns, shown in ((limit_seconds * SECOND, [5.0]), (limit_seconds * SECOND + 1, [])):
        exporter = export(states=[state("gpu", period_seconds)], ticks=[tick(5.0, 6.0)], now_ns=NOW + age_ns)
        assert values(exporter, "inferometer_power_watts") == shown
        assert values(exporter, "inferometer_probe_up") == [float(bool(shown))]


def test_a_lost_probe_exports_no_values():
    lost = state()
    lost.up, lost.lost = False, True
    exporter = export(states=[lost], ticks=[tick(5.0, 6.0)])
    assert values(exporter, "inferometer_power_watts") == []
    assert values(exporter, "inferometer_energy_joules_total") == []
    assert values(exporter, "inferometer_probe_up") == [0.0]


def test_a_probe_is_down_after_a_failed_read_while_its_fresh_values_are_exported():
    failing = state()
    failing.up, failing.failed = False, 1
    exporter = export(states=[failing], ticks=[tick(5.0, 6.0)])
    assert values(exporter, "inferometer_probe_up") == [0.0]
    assert values(exporter, "inferometer_probe_read_errors_total") == [1.0]
    assert values(exporter, "inferometer_power_watts") == [5.0]


def test_a_probe_that_has_not_read_yet_is_down_and_has_no_read_time_or_last_success():
    exporter = export(states=[ProbeHealth("gpu", 1.0)])
    assert values(exporter, "inferometer_probe_up") == [0.0]
    assert values(exporter, "inferometer_probe_read_seconds") == []
    assert values(exporter, "inferometer_probe_last_success_timestamp_seconds") == []


def test_the_state_of_a_probe_is_exported():
    busy = state()
    busy.missed, busy.late, busy.throttled = 4, 7, 5
    exporter = export(states=[busy], ticks=[tick(5.0, 6.0)])
    assert values(exporter, "inferometer_probe_up") == [1.0]
    assert values(exporter, "inferometer_probe_read_seconds") == [0.002]
    assert values(exporter, "inferometer_probe_last_success_timestamp_seconds") == [1_700_000_000.0]
    assert values(exporter, "inferometer_probe_reads_missed_total") == [4.0]
    assert values(exporter, "inferometer_probe_reads_throttled_total") == [5.0]
    assert values(exporter, "inferometer_probe_reads_late_total") == [7.0]
    assert values(exporter, "inferometer_samples_dropped_total") == [3.0]


def test_rejected_readings_are_counted_by_channel_and_reason():
    refusing = state()
    refusing.rejected = {(0, "sentinel"): 2, (1, "reset"): 1}
    shown = samples(export(states=[refusing]), "inferometer_samples_rejected_total")
    assert [(sample.labels["metric"], sample.labels["reason"], sample.value) for sample in shown] == [
        ("energy_joules", "reset", 1.0),
        ("power_watts", "sentinel", 2.0),
    ]
    assert shown[0].labels | {"metric": "", "reason": ""} == {
        "probe": "gpu",
        "device": "GPU-1",
        "domain": "board",
        "metric": "",
        "reason": "",
    }


def test_rejected_readings_of_two_channels_with_one_key_are_added():
    refusing = state()
    refusing.rejected = {(0, "sentinel"): 2, (1, "sentinel"): 5}
    layout = Layout(1, "gpu", (replace(POWER, method="average"), replace(POWER, method="instant")))
    assert values(export([layout], [refusing]), "inferometer_samples_rejected_total") == [7.0]


@pytest.mark.parametrize("first", [5.0, math.nan])
def test_only_the_first_of_two_channels_with_one_key_is_exported(first: float):
    one = Layout(1, "gpu", (replace(POWER, method="average"), replace(POWER, method="instant")))
    other = Layout(2, "other", (POWER,))
    exporter = export([one, other], ticks=[tick(first, 6.0), tick(7.0, layout=2)])
    assert values(exporter, "inferometer_power_watts") == ([] if math.isnan(first) else [5.0])


def test_a_device_is_described_once_with_the_same_labels_as_every_other():
    bare, known = Device("package-0", Kind.CPU), Device("package-0", Kind.CPU, "Processor", (("model", "85"),))
    layouts = [Layout(number, "x", (replace(POWER, device=one),)) for number, one in enumerate((bare, known, GPU))]
    shown = samples(export(layouts), "inferometer_device_info")
    assert [sample.labels["device"] for sample in shown] == ["package-0", "GPU-1"]
    assert all(sample.labels.keys() == {"device", "kind", "name", *ATTRIBUTES} for sample in shown)
    assert all(sample.value == 1.0 for sample in shown)
    assert (shown[0].labels["name"], shown[0].labels["model"]) == ("Processor", "85")
    assert (shown[1].labels["serial"], shown[1].labels["pci_address"]) == ("42", "")


def test_the_device_attributes_of_the_first_probe_count():
    seen = [Device("a", Kind.GPU, "one", (("serial", "1"),)), Device("a", Kind.GPU, "two", (("serial", "2"),))]
    devices = known_devices([Layout(0, "x", tuple(replace(POWER, device=device) for device in seen))])
    assert list(devices) == [Device("a", Kind.GPU, "one", (("serial", "1"),))]


def test_a_service_without_probes_exports_its_version_and_is_not_ready():
    exporter = export([])
    assert samples(exporter, "inferometer_build_info")[0].labels == {"version": "1.2.3", "python": "3.11.2"}
    assert values(exporter, "inferometer_device_info") == []
    assert exporter.ready() == (False, "no probe: this host has no readable sensor")


def test_a_scrape_before_the_first_tick_has_no_measurement():
    names = {family.name.removeprefix("inferometer_") for family in export().registry.collect()}
    assert names.isdisjoint(METRICS)
    assert "probe_up" in names


def test_it_is_ready_after_the_first_tick_and_names_the_probes_without_one():
    layouts = [LAYOUT, Layout(2, "other", (replace(POWER, domain="module"),))]
    assert export(layouts).ready() == (False, "no tick yet from gpu, other")
    assert export(layouts, ticks=[tick(1.0, 2.0)]).ready() == (True, "no fresh tick from other")
    both = [tick(1.0, 2.0), tick(3.0, layout=2)]
    assert export(layouts, ticks=both).ready() == (True, "ready")
    late = export(layouts, ticks=both, now_ns=NOW + 11 * SECOND)
    assert late.ready() == (False, "no fresh tick from gpu, other")


def test_a_host_whose_only_probe_is_lost_is_not_ready():
    lost = state()
    lost.lost = True
    assert export(states=[lost], ticks=[tick(1.0, 2.0)]).ready() == (False, "no fresh tick from gpu")


def test_nothing_is_registered_in_the_global_registry():
    before = {family.name for family in REGISTRY.collect()}
    exporter = export(ticks=[tick(1.0, 2.0)], process=True)
    assert values(exporter, "process_resident_memory_bytes")[0] > 0
    assert {family.name for family in REGISTRY.collect()} == before


def test_a_failing_store_is_visible_in_ready_and_in_the_metrics():
    ticks = [tick(1.0, 2.0)]
    good = export(ticks=ticks, store=StoreState("", NOW, 2))
    assert good.ready() == (True, "ready")
    assert values(good, "inferometer_store_up") == [1.0]
    assert values(good, "inferometer_store_rows_waiting") == [2.0]
    assert values(good, "inferometer_store_last_commit_timestamp_seconds") == [NOW / 1e9]
    full = StoreState("the disk is full", None, 7)
    bad = export(ticks=ticks, store=full)
    assert bad.ready() == (False, "7 ticks wait for the store: the disk is full")
    assert export(store=full).ready() == (
        False,
        "no tick yet from gpu; 7 ticks wait for the store: the disk is full",
    )
    assert values(bad, "inferometer_store_up") == [0.0]
    assert values(bad, "inferometer_store_last_commit_timestamp_seconds") == []


def test_totals_are_exported_with_their_sample_time_and_their_lost_pauses():
    exporter = export(ticks=[tick(1.0, 20.0)], totals=Losing())
    assert values(exporter, "inferometer_energy_joules_total") == [10.0]
    assert values(exporter, "inferometer_power_watts") == [1.0]
    assert values(exporter, "inferometer_probe_sample_timestamp_seconds") == [NOW / 1e9 - 1]
    (lost,) = samples(exporter, "inferometer_energy_lost_seconds_total")
    assert (lost.labels["device"], lost.labels["domain"], lost.value) == ("GPU-1", "board", 10.0)


def test_a_probe_without_a_fresh_tick_has_no_sample_time():
    assert values(export(ticks=[]), "inferometer_probe_sample_timestamp_seconds") == []


def test_a_stale_host_reading_is_not_exported():
    names = {f"inferometer_host_{name}" for name in ("power_watts", "energy_joules_total", "cost_total")}
    for age_ns, shown_names in ((HOST.stale_ns, names), (HOST.stale_ns + 1, set())):
        families = export(ticks=[tick(1.0, 2.0)], host=HOST, now_ns=NOW + age_ns).registry.collect()
        assert names & {sample.name for family in families for sample in family.samples} == shown_names


def test_the_host_has_no_power_before_two_readings_and_no_cost_without_a_price():
    families = export(ticks=[tick(1.0, 2.0)], host=replace(HOST, watts=None, cost=None)).registry.collect()
    names = {sample.name for family in families for sample in family.samples}
    assert "inferometer_host_energy_joules_total" in names
    assert not names & {"inferometer_host_power_watts", "inferometer_host_cost_total"}
