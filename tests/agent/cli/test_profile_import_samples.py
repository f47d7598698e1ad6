"""`inferometer profile import`: the recordings that it takes samples from, and the options of host and time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from command import call
from imported_profiles import imported, refused, shift, total
from result_files import (
    BEFORE_NS,
    GUIDELLM,
    GUIDELLM_SECONDS,
    GUIDELLM_START_NS,
    LIFECYCLES,
    LLAMA_BENCH,
    METER,
    SECOND,
    record_around_guidellm,
    record_power,
    written,
)
from simulated import Power
from store.database import open_database
from store.records import Host
from store.writer import Writer
from stored import store_of

if TYPE_CHECKING:
    from pathlib import Path


def test_offset_is_added_to_the_times_of_the_result(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, Power(((11.2, 10.0), (GUIDELLM_SECONDS, 100.0), (1.0, 10.0))))
    late = total(imported(tmp_path, GUIDELLM, "--offset", "1.2s"))
    early = total(imported(tmp_path, GUIDELLM, "--offset", "-1.2s"))
    assert late["mean"] == pytest.approx(100 * GUIDELLM_SECONDS, abs=100 * 0.1)
    assert early["mean"] == pytest.approx(100 * (GUIDELLM_SECONDS - 2.4) + 10 * 2.4, abs=100 * 0.1)


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
    assert "no recording covers 2026-11-27T01:21:05.827Z to 2026-11-27T01:21:27.046Z" in error
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
    assert "no recording covers" in refused(tmp_path, GUIDELLM)


def test_a_run_that_is_not_recorded_beside_one_that_is_has_no_energy(tmp_path: Path) -> None:
    later = json.loads(GUIDELLM.read_text())
    later["benchmarks"][0]["config"]["strategy"]["streams"] = 4
    shift(later["benchmarks"][0], 100.0)
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
    assert "no samples of the host 'elsewhere' are stored" in refused(tmp_path, GUIDELLM, "--host", "elsewhere")
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


def test_compacted_samples_give_the_same_energy(tmp_path: Path) -> None:
    power = Power(((10.0, 40.0), (7.0, 100.0), (1.0, 60.0)))
    record_around_guidellm(tmp_path, power)
    before = total(imported(tmp_path, GUIDELLM))
    assert call(tmp_path, "db", "compact").returncode == 0
    assert json.loads(call(tmp_path, "db", "status", "--json").stdout)["chunks"] > 0
    assert total(imported(tmp_path, GUIDELLM)) == before


def test_a_host_without_samples_is_an_error_that_names_the_service(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path, host=Host("0123", "gpu-server", "boot"))
    engine = open_database(str(store_of(tmp_path)))
    Writer(engine).register(Host("4567", "idle", "boot"), [("meter", (METER,))], "daemon", 1)
    engine.dispose()
    assert "inferometer service install" in refused(tmp_path, GUIDELLM, "--host", "idle")


def test_a_result_given_twice_is_no_repeat(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    assert "at the same time as that of" in refused(tmp_path, GUIDELLM, written(tmp_path, GUIDELLM.read_text()))


def test_results_of_two_clients_at_the_same_time_are_refused(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    later = json.loads(GUIDELLM.read_text())
    shift(later["benchmarks"][0], 5.0)
    assert "at the same time as that of" in refused(tmp_path, GUIDELLM, written(tmp_path, json.dumps(later)))


def test_results_of_several_models_are_imported_one_by_one(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    other = GUIDELLM.read_text().replace("smollm2", "mistral")
    assert "several models (mistral, smollm2)" in refused(tmp_path, GUIDELLM, written(tmp_path, other))
