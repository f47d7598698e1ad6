from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from msgspec import convert
from msgspec.structs import replace

from agent.exports.benchmark_report import EXPORTER
from agent.exports.records import ExportError, ExportRequest
from agent.profiling.device_facts import DeviceFacts
from agent.profiling.records import Document
from command import ROOT
from planner_documents import load, profile, with_watts

SCHEMA = json.loads((ROOT / "tests/fixtures/benchmark_report/br_v0_2_json_schema.json").read_text(encoding="utf-8"))
CLOSED = load((512, 256), 0.1, 0.02, 2.0, concurrency=4)
OPEN = load((512, 256), 0.1, 0.02, 2.0, 40, rate=2.0)


def exported(*points, **facts):
    found = EXPORTER.files(ExportRequest((profile(*points),), facts)).files
    reports = {name: json.loads(content) for name, content in found.items()}
    for report in reports.values():
        Draft202012Validator(SCHEMA).validate(report)
    return reports


def test_each_point_is_a_report_that_the_published_schema_accepts():
    reports = exported(CLOSED, OPEN)
    assert list(reports) == ["stage_0.json", "stage_1.json"]
    assert {report["version"] for report in reports.values()} == {"0.2"}
    assert {report["run"]["eid"] for report in reports.values()} == {profile(CLOSED).id}


def test_measured_profile_of_the_documentation_is_accepted():
    example = convert(json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8")), Document)
    found = EXPORTER.files(ExportRequest((example,), {}))
    for content in found.files.values():
        Draft202012Validator(SCHEMA).validate(json.loads(content))
    assert found.notes == ("3 reports; the power is estimated",)


def test_figures_are_in_the_units_of_the_schema():
    performance = exported(CLOSED)["stage_0.json"]["results"]["request_performance"]["aggregate"]
    first = performance["latency"]["time_to_first_token"]
    assert (first["units"], first["mean"], first["p99"]) == ("s", pytest.approx(0.1), pytest.approx(0.4))
    assert performance["latency"]["time_per_output_token"]["units"] == "s/token"
    assert performance["throughput"]["output_token_rate"] == {"units": "tokens/s", "mean": 512.0}
    assert performance["throughput"]["request_rate"] == {"units": "queries/s", "mean": 2.0}
    assert performance["requests"]["input_length"] == {"units": "count", "mean": 512.0, "min": 512, "max": 512}


def test_percentile_without_enough_requests_is_absent():
    latency = exported(OPEN)["stage_0.json"]["results"]["request_performance"]["aggregate"]["latency"]
    assert "p99" not in latency["request_latency"]


def test_power_is_in_watts_and_energy_and_cost_are_in_the_profiling_results():
    results = exported(CLOSED)["stage_0.json"]["results"]
    (machine,) = results["observability"]["components"]
    assert machine["aggregate"]["power_consumption"]["units"] == "Watts"
    assert machine["aggregate"]["power_consumption"]["mean"] == 100.0
    found = results["profiling"]["inferometer"]
    assert found["energy"]["joules_per_request"]["mean"] == 50.0
    assert found["cost"]["currency"] == "USD"


def test_machine_is_a_generic_component_with_its_boundary_and_prices():
    _, machine = exported(CLOSED)["stage_0.json"]["scenario"]["stack"]
    described = machine["standardized"]
    assert (described["kind"], described["boundary"], described["tariff"]["capital"]) == ("generic", "package", 35040)
    assert described["idle_watts"][0]["mean"] == 40.0


def test_estimated_power_is_labeled_in_the_run_and_in_the_results():
    report = exported(with_watts(CLOSED, 3.0, "estimated"))["stage_0.json"]
    assert "power: estimated" in report["run"]["keywords"]
    assert report["results"]["observability"]["power_source"] == "estimated"
    assert report["results"]["profiling"]["inferometer"]["energy"]["joules_per_request"]["source"] == "estimated"


def test_closed_and_open_loops_have_their_own_field():
    closed, opened = (each["scenario"]["load"]["standardized"] for each in exported(CLOSED, OPEN).values())
    assert (closed["concurrency"], closed["input_seq_len"]) == (4, {"distribution": "fixed", "value": 512})
    assert (opened["rate_qps"], "concurrency" in opened) == (2.0, False)


def test_profile_without_a_load_is_refused():
    with pytest.raises(ExportError) as refused:
        EXPORTER.files(ExportRequest((profile(),), {}))
    assert refused.value.missing == ("a load on a server: the profiles have none",)
    assert refused.value.command == "inferometer profile endpoint --url URL"


def test_several_devices_need_their_parallelism():
    gpu = {"id": "GPU-1", "kind": "gpu", "name": "H100", "attributes": {}, "sensors": [
        {"domain": "board", "metric": "power_watts", "source": "measured", "method": "nvml", "refresh_seconds": 0.1,
         "relative_uncertainty": None, "in_total": True}]}  # fmt: skip
    devices = convert([gpu, {**gpu, "id": "GPU-2"}], tuple[DeviceFacts, ...])
    document = replace(profile(CLOSED), devices=devices)
    with pytest.raises(ExportError, match="the devices of a tensor-parallel group: --set tp=N"):
        EXPORTER.files(ExportRequest((document,), {}))
    (content,) = EXPORTER.files(ExportRequest((document,), {"tp": "2"})).files.values()
    accelerator = json.loads(content)["scenario"]["stack"][0]["standardized"]["accelerator"]
    assert accelerator == {"model": "H100", "count": 2, "parallelism": {"tp": 2}}
