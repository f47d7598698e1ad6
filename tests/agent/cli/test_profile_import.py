"""`inferometer profile import`: results of other tools over a store with a recording of known power."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from command import call
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
from store.records import Host

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


def imported(home: Path, *arguments: object) -> dict[str, Any]:
    """Import results and return the profile."""
    result = call(home, "profile", "import", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def refused(home: Path, *arguments: object) -> str:
    """Import results that are refused, and return the error."""
    result = call(home, "profile", "import", *arguments)
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    return result.stderr


def total(document: dict[str, Any], position: int = 0) -> dict[str, Any]:
    """Return the energy of all requests of a point: that of one, times their number."""
    point = document["points"][position]
    found = point["energy"]["joules_per_inference"]["total"]
    count = point["serving"]["completed"] if point["serving"] else sum(p["inferences"] for p in point["phases"])
    return {name: found[name] * count for name in ("mean", "lower", "upper")}


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


def test_offset_is_added_to_the_times_of_the_result(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, Power(((11.2, 10.0), (GUIDELLM_SECONDS, 100.0), (1.0, 10.0))))
    late = total(imported(tmp_path, GUIDELLM, "--offset", "1.2s"))
    early = total(imported(tmp_path, GUIDELLM, "--offset", "-1.2s"))
    assert late["mean"] == pytest.approx(100 * GUIDELLM_SECONDS, abs=100 * 0.1)
    assert early["mean"] == pytest.approx(100 * (GUIDELLM_SECONDS - 2.4) + 10 * 2.4, abs=100 * 0.1)


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
        _shift(benchmark, 100.0)
    record_power(tmp_path, GUIDELLM_START_NS + 90 * SECOND, 45, 140.0)
    document = imported(tmp_path, GUIDELLM, written(tmp_path, json.dumps(later), "second.json"))
    (point,) = document["points"]
    assert (point["repeats"], len(point["reported"])) == (2, 2)
    assert total(document)["mean"] == pytest.approx(2 * 120 * GUIDELLM_SECONDS)


def _shift(node: Any, seconds: float) -> None:
    """Move every Unix time in a result."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, (dict, list)):
            _shift(value, seconds)
        elif isinstance(value, float) and value > 1e9:
            node[key] = value + seconds


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
    assert document["engine"] == {"name": "llama.cpp", "version": "0c1e570", "provider": "CPU", "threads": 1}
    assert document["workload"]["parameter_count"] == 134_515_008
    prefill = document["points"][0]
    assert prefill["latency_seconds"]["p50"] == pytest.approx(0.354409393)
    assert total(document)["mean"] == pytest.approx(100 * 1.061124487)
    assert prefill["energy"]["joules_per_input_token"]["mean"] == pytest.approx(100 * 1.061124487 / 192)
    assert prefill["energy"]["joules_per_output_token"] is None
    assert total(document)["lower"] < 20  # a second of uncertainty in a second of work


def test_window_gives_the_time_of_a_result_without_one(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    requests = json.loads(LIFECYCLES.read_text())
    short = written(
        tmp_path, json.dumps([each for each in requests if each["start_time"] < 25100 and not each["error"]])
    )
    assert "give --window START/END" in refused(tmp_path, short)
    window = "2026-11-27T01:21:10Z/2026-11-27T01:21:25Z"
    document = imported(tmp_path, short, "--window", window)
    (report,) = document["points"][0]["reported"]
    seconds = report["duration_seconds"]
    assert report["start_uncertainty_seconds"] == pytest.approx((15 - seconds) / 2)
    assert document["points"][0]["power"]["mean_watts"]["mean"] == pytest.approx(100)
    assert "give a longer one" in refused(tmp_path, GUIDELLM, "--window", window)


def test_a_window_is_that_of_one_run(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    error = refused(tmp_path, LLAMA_BENCH, "--window", "2026-11-27T01:21:10Z/2026-11-27T01:21:25Z")
    assert "3 runs" in error


@pytest.mark.parametrize("text", ["now", "2026-11-27T01:21:10Z", "5m/10m", "/", "x/y"])
def test_a_wrong_window_is_a_usage_error(tmp_path: Path, text: str) -> None:
    result = call(tmp_path, "profile", "import", GUIDELLM, "--window", text)
    assert (result.returncode, "--window" in result.stderr) == (2, True)


@pytest.mark.parametrize("text", ["1", "fast", "--1s", "9d"])
def test_a_wrong_offset_is_a_usage_error(tmp_path: Path, text: str) -> None:
    result = call(tmp_path, "profile", "import", GUIDELLM, f"--offset={text}")
    assert (result.returncode, "--offset" in result.stderr) == (2, True)


def test_without_a_recording_of_the_interval_the_error_lists_the_recorded_ones(tmp_path: Path) -> None:
    record_power(tmp_path, GUIDELLM_START_NS - 3600 * SECOND, 60)
    record_power(tmp_path, GUIDELLM_START_NS + 3600 * SECOND, 30, program="measure")
    error = refused(tmp_path, GUIDELLM)
    assert "no recording of this host covers 2026-11-27T01:21:05.827Z to 2026-11-27T01:21:27.046Z" in error
    assert "2026-11-27T00:21:05.827Z to 2026-11-27T00:22:05.827Z (the service)" in error
    assert "2026-11-27T02:21:05.827Z to 2026-11-27T02:21:35.827Z (inferometer measure)" in error
    assert json.loads(call(tmp_path, "profiles", "list", "--json").stdout) == {"profiles": []}


def test_a_partly_recorded_interval_is_refused(tmp_path: Path) -> None:
    record_power(tmp_path, GUIDELLM_START_NS + 5 * SECOND, 60)
    error = refused(tmp_path, GUIDELLM)
    assert "2026-11-27T01:21:10.827Z to" in error


def test_an_interval_over_a_restart_of_the_service_is_refused(tmp_path: Path) -> None:
    record_power(tmp_path, GUIDELLM_START_NS - BEFORE_NS, 20)
    record_power(tmp_path, GUIDELLM_START_NS + 11 * SECOND, 20)
    assert "no recording of this host covers" in refused(tmp_path, GUIDELLM)


def test_a_run_that_is_not_recorded_beside_one_that_is_has_no_energy(tmp_path: Path) -> None:
    later = json.loads(GUIDELLM.read_text())
    later["benchmarks"][0]["config"]["strategy"]["streams"] = 4
    _shift(later["benchmarks"][0], 100.0)
    record_around_guidellm(tmp_path)
    document = imported(tmp_path, GUIDELLM, written(tmp_path, json.dumps(later), "second.json"))
    known, unknown = document["points"]
    assert (known["valid"], unknown["valid"], unknown["energy"]) == (True, False, None)
    assert unknown["latency_seconds"] == known["latency_seconds"]


def test_a_long_gap_in_the_recording_makes_the_point_invalid(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, period=5.0)
    (point,) = imported(tmp_path, GUIDELLM)["points"]
    assert (point["valid"], point["energy"]) == (False, None)


def test_samples_of_another_host_count_only_if_it_is_named(tmp_path: Path) -> None:
    other = Host("0123", "gpu-server", "boot")
    record_around_guidellm(tmp_path, host=other)
    error = refused(tmp_path, GUIDELLM)
    assert "no samples of this host are stored; --host takes one of: gpu-server (0123)" in error
    assert "no samples of the host elsewhere are stored" in refused(tmp_path, GUIDELLM, "--host", "elsewhere")
    for name in ("gpu-server", "0123"):
        document = imported(tmp_path, GUIDELLM, "--host", name)
        assert (document["host"]["name"], document["host"]["boot_id"]) == ("gpu-server", "boot")


def test_a_host_whose_name_is_not_unique_is_named_by_its_id(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, host=Host("0123", "node", "boot"))
    record_around_guidellm(tmp_path, host=Host("4567", "node", "boot"))
    assert "several hosts have the name node" in refused(tmp_path, GUIDELLM, "--host", "node")
    assert imported(tmp_path, GUIDELLM, "--host", "4567")["host"]["id"] == "4567"


def test_the_recording_of_a_run_counts_if_the_service_recorded_nothing(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, program="measure")
    assert total(imported(tmp_path, GUIDELLM))["mean"] == pytest.approx(100 * GUIDELLM_SECONDS)
    record_around_guidellm(tmp_path, 50.0)
    assert total(imported(tmp_path, GUIDELLM))["mean"] == pytest.approx(50 * GUIDELLM_SECONDS)


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
