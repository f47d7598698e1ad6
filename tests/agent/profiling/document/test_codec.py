"""The profile as a document: its devices, and its fit to the published schema."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.cost.tariff import Tariff
from agent.energy.counted_sensors import coverage
from agent.energy.provenance import Provenance
from agent.host.records import HostSettings
from agent.profiling.analysis.idle import derive_baselines, derive_drift
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.document.codec import check, coverage_facts, device_facts, host_facts, to_json
from agent.profiling.points import NOTHING_KNOWN, analyze
from agent.profiling.records import SCHEMA_VERSION, Document
from agent.profiling.run_facts import EngineFacts, HostState, PlanFacts, WorkloadFacts
from agent.sampling.facts import SamplingConditions
from probes.model import Channel, Device, Kind, Reason
from published_schema import SCHEMA, validate
from simulated import SECOND
from store.records import Host, RunStatus, Series
from synthetic_run import CORE, DRAM, GPU, MODEL, PACKAGE, idle, power_steps, read, repeats, sensors, window

TARIFF = Tariff(price_per_kwh=0.25, currency="EUR", capital=900.0, utilization=0.3, carbon_intensity_g_per_kwh=300.0)
WINDOWS = [idle("idle_unloaded", 1, 3), idle("idle_loaded", 3, 5), *repeats((6, 8, 10, 12), tokens=(100, 20))]
POWER = power_steps((40, 3), (50, 2), (100, 60))


def document(found, windows=WINDOWS, tariff=TARIFF, run_environment=NOTHING_KNOWN):
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id="20260101-000000-abcd",
        created="2026-01-01T00:00:00+00:00",
        inferometer_version="0.1.0",
        status=RunStatus.COMPLETE,
        plan=PlanFacts("quick", 3.0, 2.0, 3, 1.5, 3, 0.05, 600.0, None, {"batch": [1]}, 42),
        host=host_facts(Host("machine", "name")),
        engine=EngineFacts("onnxruntime", "1.20", "CPU", None),
        workload=WorkloadFacts("transformer", {"layers": 2, "model": None}, "fp32", 10, 40, None),
        devices=device_facts([each.channel for each in found.series], found.coverage),
        coverage=coverage_facts(found.coverage, ()),
        host_state=HostState(HostSettings(("performance",), (3e9,), {"intel-rapl:0 long_term": 100.0}, 40.0), None),
        sampler=SamplingConditions("fifo", 1, 3, None, 0, 3),
        baselines=derive_baselines(windows, found),
        idle_drift=derive_drift(windows, found),
        points=analyze(windows, found, tariff, run_environment),
        tariff=tariff,
        notes=(),
    )


def test_a_whole_profile_fits_the_schema_and_reads_back():
    found = sensors(*(read(each, POWER, 14) for each in (PACKAGE, DRAM, CORE, GPU)))
    parsed = json.loads(to_json(document(found)))
    assert list(parsed)[:3] == ["schema", "schema_version", "id"]
    (point,) = parsed["points"]
    assert point["energy"]["joules_per_inference"]["total"]["mean"] == pytest.approx(60)
    assert point["energy"]["joules_per_inference"]["total"]["source"] == "measured"
    assert point["energy"]["estimated_share"] == 0
    assert point["cost"]["currency"] == "EUR"
    assert parsed["coverage"]["boundary"] == "components"
    assert parsed["tariff"]["price_per_kwh"] == 0.25
    check(parsed)


def test_a_profile_without_sensors_or_prices_fits_as_well():
    parsed = json.loads(to_json(document(sensors(), tariff=None)))
    parts = parsed["coverage"].pop("parts")
    assert {(part["name"], part["state"]) for part in parts} == {
        ("memory", "missing"),
        ("board, disks, network and fans", "missing"),
        ("power supply losses", "missing"),
    }
    assert parsed["coverage"] == {
        "boundary": "none",
        "includes": [],
        "not_covered": ["the whole host: nothing here measures power"],
        "source": None,
        "relative_uncertainty": None,
    }
    assert parsed["points"][0]["energy"] is None
    assert parsed["devices"] == []


def test_a_violation_is_named_with_its_place():
    parsed = json.loads(to_json(document(sensors())))
    parsed["points"][0]["energy"] = "much"
    with pytest.raises(ValueError, match=r"got `str` - at `\$\.points\[0\]\.energy`"):
        check(parsed)
    with pytest.raises(ValueError, match="missing required field `schema`"):
        check({})


def test_nan_is_refused():
    host = replace(document(sensors()).host, memory_bytes=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(replace(document(sensors()), host=host))


def test_a_value_of_another_type_is_refused_with_its_place():
    facts = replace(document(sensors()).workload, precision=8)
    with pytest.raises(ValueError, match=r"Expected `str \| null`, got `int` - at `\$\.workload\.precision`"):
        to_json(replace(document(sensors()), workload=facts))


def test_an_unknown_field_is_refused():
    parsed = json.loads(to_json(document(sensors())))
    with pytest.raises(ValueError, match="not a profile: Object contains unknown field `colour`"):
        check({**parsed, "colour": "red"})


def test_a_device_has_the_name_of_the_probe_with_the_most_facts():
    plain, named = Device("GPU-a", Kind.GPU), Device("GPU-a", Kind.GPU, "H200", (("serial", "1"),))
    channels = [Channel(plain, "board", "power_watts"), Channel(named, "sm", "frequency_hertz")]
    (facts,) = device_facts(channels, coverage(channels))
    assert (facts.name, facts.attributes) == ("H200", {"serial": "1"})
    assert [(each.domain, each.in_total) for each in facts.sensors] == [("board", True)]


def test_a_channel_that_two_probes_read_is_one_sensor():
    (facts,) = device_facts([PACKAGE, DRAM, PACKAGE], coverage([PACKAGE, DRAM]))
    assert sorted(each.domain for each in facts.sensors) == ["dram", "package"]


def test_coverage_states_the_uncertainty_of_its_widest_estimate():
    assert coverage_facts(coverage([MODEL, GPU]), [MODEL, GPU]).relative_uncertainty == 0.5
    assert coverage_facts(coverage([MODEL, GPU]), [MODEL, GPU]).source is Provenance.MIXED
    assert coverage_facts(coverage([GPU]), [GPU]).relative_uncertainty is None


def test_the_schema_on_disk_matches_the_records():
    script = Path(__file__).parents[4] / "docs/make_schema.py"
    spec = importlib.util.spec_from_file_location("make_schema", script)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert script.with_name("profile.schema.json").read_text(encoding="utf-8") == made.made()


def test_the_schema_closes_every_object_and_requires_every_field():
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in parts if "properties" in part)
    assert all(part["required"] == list(part["properties"]) for part in parts if "properties" in part)


# --- any run at all -------------------------------------------------------------------------------------------------

values = st.one_of(st.just(0.0), st.floats(0, 1e4), st.floats(1e6, 1e12))


@st.composite
def any_series(draw):
    channel = draw(st.sampled_from((PACKAGE, DRAM, CORE, GPU, MODEL)))
    channel = dataclasses.replace(
        channel,
        refresh_seconds=draw(st.sampled_from((0.0, 0.001, 0.1, 5.0))),
        resolution=draw(st.sampled_from((0.0, 0.001, 1.0))),
        uncertainty=channel.uncertainty and draw(st.floats(0, 2)),
        method=draw(st.sampled_from(("", "average"))),
        metric=draw(st.sampled_from(("energy_joules", "power_watts"))),
    )
    missing = draw(st.sets(st.integers(0, 250), max_size=8))
    times = [
        at for at in range(draw(st.sampled_from((0, 0, 0, 40))), 250, draw(st.integers(1, 4))) if at not in missing
    ]
    some = draw(st.lists(values, min_size=1, max_size=20))
    rises = [some[number % len(some)] for number in range(len(times))]
    shown = [rise - 0.02 for rise in rises] if channel.metric == "power_watts" else accumulate(rises)
    refused = draw(st.lists(st.tuples(st.integers(0, 250), st.sampled_from(Reason)), max_size=1))
    return Series(
        channel,
        tuple(at * SECOND // 10 for at in times),
        tuple(shown),
        tuple((at * SECOND // 10 + 1, reason) for at, reason in refused),
    )


@st.composite
def any_windows(draw):
    windows = [idle("idle_unloaded", 0.5, 2), idle("idle_loaded", 2, 3)][: draw(st.integers(0, 2))]
    start = 3.0
    phases = ("prefill", "decode")[: draw(st.integers(1, 2))]
    for repeat in range(1, draw(st.integers(2, 5)) + 1):
        for phase in phases:
            end = start + draw(st.floats(0.3, 2))
            inferences = draw(st.integers(0, 50).map(lambda number: number or draw(st.integers(0, 3))))
            tokens = (draw(st.integers(0, 9)), draw(st.integers(0, 9)))
            windows.append(window(repeat, start, end, phase, inferences, tokens=tokens))
            start = end
    return windows


@pytest.mark.system
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.lists(any_series(), max_size=5), any_windows(), st.sampled_from((None, TARIFF)))
def test_any_samples_make_a_document_that_fits_the_schema(series, windows, tariff):
    found = Sensors.of(series, 0.1)
    parsed = json.loads(to_json(document(found, windows, tariff)))
    validate(parsed)
    for point in parsed["points"]:
        assert point["valid"] or (point["energy"], point["power"], point["cost"]) == (None, None, None)
        if point["energy"]:
            total = point["energy"]["joules_per_inference"]["total"]
            assert 0 <= total["lower"] <= total["mean"] <= total["upper"]
            assert -1e-9 <= point["energy"]["estimated_share"] <= 1 + 1e-9
