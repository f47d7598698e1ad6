"""`inferometer profile import`: results of other tools over a store with a recording of known power."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from command import call
from imported_profiles import imported, refused, shift, total
from result_files import (
    AIPERF,
    AIPERF_SUMMARY,
    BEFORE_NS,
    GUIDELLM,
    GUIDELLM_SECONDS,
    GUIDELLM_START_NS,
    LIFECYCLES,
    LLAMA_BENCH,
    REPORT,
    RESULTS,
    SECOND,
    VLLM,
    record_around_guidellm,
    record_power,
    written,
)
from simulated import Power

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import in the zone in which the results were made."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def check_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in document["points"][0]["checks"] if check["name"] == name)


def test_the_energy_is_that_of_the_interval_of_the_load(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    document = imported(tmp_path, GUIDELLM)
    (point,) = document["points"]
    assert total(document)["mean"] == pytest.approx(100 * GUIDELLM_SECONDS)
    assert point["energy"]["joules_per_output_token"]["mean"] == pytest.approx(100 * GUIDELLM_SECONDS / 480)
    assert point["energy"]["joules_per_input_token"]["mean"] == pytest.approx(100 * GUIDELLM_SECONDS / 1860)
    assert point["power"]["mean_watts"]["mean"] == pytest.approx(100)
    assert (point["name"], point["valid"], point["repeats"]) == ("concurrency=2", True, 1)
    assert point["energy"]["joules_per_inference"]["idle"] is None
    assert document["workload"]["name"] == "guidellm"
    assert document["workload"]["settings"]["model"] == "smollm2"


def test_power_outside_the_interval_does_not_count(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, Power(((10.0, 40.0), (GUIDELLM_SECONDS, 100.0), (1.0, 40.0))))
    found = total(imported(tmp_path, GUIDELLM))
    assert found["mean"] == pytest.approx(100 * GUIDELLM_SECONDS, abs=60 * 0.1)  # a sampling period at each edge
    assert found["lower"] <= 100 * GUIDELLM_SECONDS <= found["upper"]


def test_a_profile_of_an_import_is_stored_listed_shown_and_deleted(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    document = imported(tmp_path, GUIDELLM, "--price-per-kwh", "0.25", "--currency", "EUR")
    assert document["points"][0]["cost"]["usage"]["per_million_output_tokens"]["energy"]["mean"] > 0
    listed = json.loads(call(tmp_path, "profiles", "list", "--workload", "guidellm", "--json").stdout)["profiles"]
    assert [each["id"] for each in listed] == [document["id"]]
    shown = call(tmp_path, "profiles", "show")
    assert shown.returncode == 0
    assert "concurrency=2" in shown.stdout
    assert "imported from benchmarks.json of guidellm 0.8.1" in " ".join(shown.stdout.split())
    assert "As guidellm 0.8.1 reports them, in ms, by its own definitions" in shown.stdout
    assert re.search(r"concurrency=2 +TPOT +87\.8 +77\.9", shown.stdout)  # its TPOT includes the TTFT
    assert re.search(r"concurrency=2 +TPOT +44\.3", shown.stdout)
    assert "Import several results of the same load. [repeats]" in " ".join(shown.stdout.split())
    assert json.loads(call(tmp_path, "profiles", "export").stdout) == document
    assert call(tmp_path, "profiles", "delete", document["id"], "--yes").returncode == 0


def test_the_own_figures_of_the_tool_are_copied(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    (point,) = imported(tmp_path, GUIDELLM)["points"]
    own = json.loads(GUIDELLM.read_text())["benchmarks"][0]["metrics"]["time_per_output_token_ms"]["successful"]
    (report,) = point["reported"]
    assert (report["tool"], report["version"], report["file"]) == ("guidellm", "0.8.1", "benchmarks.json")
    assert report["started"] == "2026-11-27T01:21:05.827Z"
    assert report["figures"]["time_per_output_token_seconds"]["mean"] == pytest.approx(own["mean"] / 1e3)


def test_checks_without_an_observer_are_unknown(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    document = imported(tmp_path, GUIDELLM)
    unknown = {
        "settings_unchanged",
        "cpu_quota_not_reached",
        "arrivals_uncapped",
        "server_elsewhere",
        "client_not_limiting",
        "background_load",
        "workload_dominates",
        "steal_time",
        "idle_drift",
        "steady",
        "energy_spread",
    }
    statuses = {check["name"]: check["status"] for check in document["points"][0]["checks"]}
    assert {name for name in unknown if statuses[name] != "unknown"} == set()
    assert statuses["samples_bracket_window"] == statuses["gap_between_samples"] == "passed"
    assert (check_of(document, "repeats")["status"], check_of(document, "repeats")["severity"]) == ("failed", "warning")


def test_results_of_the_same_load_are_repeats(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    later = json.loads(GUIDELLM.read_text())
    for benchmark in later["benchmarks"]:
        shift(benchmark, 100.0)
    record_power(tmp_path, GUIDELLM_START_NS + 90 * SECOND, 45, 140.0)
    document = imported(tmp_path, GUIDELLM, written(tmp_path, json.dumps(later), "second.json"))
    (point,) = document["points"]
    assert (point["repeats"], len(point["reported"])) == (2, 2)
    assert total(document)["mean"] == pytest.approx(2 * 120 * GUIDELLM_SECONDS)


def test_vllms_local_time_in_whole_seconds_widens_the_energy(tmp_path: Path) -> None:
    result = json.loads(VLLM.read_text())
    result["start_times"] = [each + 1e6 for each in result["start_times"]]  # another boot
    ended = 1_795_742_582 * SECOND  # 2026-11-27 01:23:02 UTC
    start_ns = ended - round(result["duration"] * SECOND)
    record_power(tmp_path, start_ns - BEFORE_NS, 50)
    document = imported(tmp_path, written(tmp_path, json.dumps(result)))
    (report,) = document["points"][0]["reported"]
    seconds, half = report["duration_seconds"], report["start_uncertainty_seconds"]
    assert half == pytest.approx(1.5)
    found = total(document)
    assert found["mean"] == pytest.approx(100 * seconds)
    assert found["lower"] == pytest.approx(100 * (seconds - 2 * half), abs=25)
    assert found["upper"] == pytest.approx(100 * (seconds + 2 * half), abs=25)  # a sampling period at each edge
    assert "to within ±1.5 s" in " ".join(document["notes"])


def test_requests_and_summary_of_aiperf_are_one_run(tmp_path: Path) -> None:
    record_power(tmp_path, 1_795_742_715 * SECOND, 60)
    document = imported(tmp_path, AIPERF, AIPERF_SUMMARY)
    (point,) = document["points"]
    assert point["name"] == "concurrency=2"
    assert total(document)["mean"] == pytest.approx(100 * 42.786941254)
    assert point["reported"][0]["figures"]["inter_token_latency_seconds"]["p99"] == pytest.approx(0.22222806732933336)


def test_a_summary_without_requests_has_energy_and_the_tools_own_latencies(tmp_path: Path) -> None:
    record_power(tmp_path, 1_795_742_715 * SECOND, 60)
    document = imported(tmp_path, AIPERF_SUMMARY)
    (point,) = document["points"]
    assert total(document)["mean"] == pytest.approx(100 * 42.786941184)
    assert point["mean_latency_seconds"]["mean"] == pytest.approx(2.8188236056666667)
    assert (point["latency_seconds"], point["time_to_first_token_seconds"], point["phases"]) == (None, None, [])
    assert (point["serving"]["requests"], point["serving"]["completed"]) == (30, 30)
    assert call(tmp_path, "profiles", "show").returncode == 0
    assert call(tmp_path, "profiles", "list").returncode == 0


def test_a_stage_of_inference_perf_has_its_failures_and_the_energy_of_all_its_requests(tmp_path: Path) -> None:
    record_power(tmp_path, 1_795_742_620 * SECOND, 70)
    document = imported(tmp_path, LIFECYCLES, REPORT)
    (point,) = document["points"]
    assert point["serving"]["errors"] == {"ServerDisconnectedError": 3}
    assert point["energy"]["joules_per_output_token"]["mean"] == pytest.approx(100 * 43.299631707 / 432)
    assert point["serving"]["output_tokens"] == {"mean": 16.0, "minimum": 16, "maximum": 16}


def test_a_benchmark_of_llama_cpp_needs_no_server(tmp_path: Path) -> None:
    record_power(tmp_path, 1_795_742_775 * SECOND, 30)
    document = imported(tmp_path, LLAMA_BENCH)
    assert [point["name"] for point in document["points"]] == [
        "prompt_tokens=64 output_tokens=0",
        "prompt_tokens=0 output_tokens=16",
        "prompt_tokens=64 output_tokens=16",
    ]
    engine = {name: value for name, value in document["engine"].items() if value is not None}
    assert engine == {"name": "llama.cpp", "version": "0c1e570", "provider": "CPU", "threads": 1}
    assert document["workload"]["parameter_count"] == 134_515_008
    prefill = document["points"][0]
    assert prefill["latency_seconds"]["p50"] == pytest.approx(0.354409393)
    assert total(document)["mean"] == pytest.approx(100 * 1.061124487)
    assert prefill["energy"]["joules_per_input_token"]["mean"] == pytest.approx(100 * 1.061124487 / 192)
    assert prefill["energy"]["joules_per_output_token"] is None
    assert total(document)["lower"] < 20  # a second of uncertainty in a second of work


def test_requests_that_the_tool_ended_are_named(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    result = json.loads(GUIDELLM.read_text())
    result["benchmarks"][0]["metrics"]["request_totals"]["incomplete"] = 2
    document = imported(tmp_path, written(tmp_path, json.dumps(result)))
    assert any("ended 2 requests unfinished" in note for note in document["notes"])


@pytest.mark.parametrize("name", ["guidellm/errors.json", "vllm-bench/errors.json", "aiperf/errors.jsonl"])
def test_a_run_without_a_successful_request_is_refused(tmp_path: Path, name: str) -> None:
    record_around_guidellm(tmp_path)
    assert "no request succeeded" in refused(tmp_path, RESULTS / name)


def test_results_of_two_tools_are_imported_one_by_one(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    assert "vllm-bench and guidellm" in refused(tmp_path, VLLM, GUIDELLM)


def test_a_store_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    assert "inferometer.db" in refused(tmp_path, GUIDELLM)


def test_no_prompt_and_no_path_of_the_result_is_stored(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    imported(tmp_path, GUIDELLM)
    stored = b"".join(each.read_bytes() for each in (tmp_path / "state/inferometer").iterdir() if each.is_file())
    assert b"m happy to help" not in stored
    assert os.fsencode(GUIDELLM.parent) not in stored
