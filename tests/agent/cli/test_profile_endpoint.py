"""`inferometer profile endpoint` on a scripted server whose requests have a known energy."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from agent.runtime.typed_json import from_json
from agent.workloads.load_records import LoadWindow
from command import call, run
from profile_runs import document, stored
from scripted_answers import Answer
from scripted_server import ScriptedServer
from trees import powercap_zone

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    Runs = dict[str, subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.system

IDLE_WATTS, JOULES = 20.0, 2.0
TOKENS = 8
STEADY = Answer(first_seconds=0.5, gap_seconds=0.01, tokens=TOKENS, joules=JOULES, cached_tokens=3)
SLOW = replace(STEADY, first_seconds=2.0)
"""The first token takes long, so that the limit of a late client, a share of it, suits a busy test host."""
FAST = replace(STEADY, first_seconds=0.04)
FAULTY = (STEADY, Answer(status=500), replace(STEADY, fault="truncated"), STEADY)
SHORT = ("--idle-seconds", 0.5, "--warmup-seconds", 0, "--window-seconds", 2, "--force", "--json")
LONGEST_SECONDS = 180.0
"""A search takes half a minute, on a busy test host several times as long."""
SPARED = 20
"""The first requests of a run, which calibrate the lengths and try the point, get no fault."""
NEED_ENERGY = {"open", "closed", "whole"}
LENGTHS = ("--prompt-tokens", 16, "--output-tokens", TOKENS)
LEVEL = ("--slo", "ttft=900ms,e2e=3s", "--attainment", "40%")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs of every kind, two at a time, each on a server of its own that drives the counter of its own tree."""
    lines = {
        "sought": ((FAST,), 2, ("--rate", 12, "--find-max", "--slo", "e2e=200ms", "--attainment", "50%")),
        "open": (
            (SLOW,),
            None,
            ("--rate", 10, "--slo", "ttft=3s,e2e=5s", "--attainment", "40%", "--price-per-kwh", 0.5),
        ),
        "closed": ((STEADY,), None, ("--concurrency", 4)),
        "whole": ((STEADY,), None, ("--concurrency", 4, "--no-stream")),
        "faulty": (
            lambda number, _: FAULTY[number % 4] if number > SPARED else STEADY,
            None,
            ("--rate", 16, *LEVEL),
        ),
    }
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        waiting = {}
        for name, (answers, slots, options) in lines.items():
            sysfs = tmp_path_factory.mktemp(name)
            zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000)
            server = ScriptedServer(answers, slots=slots, idle_watts=IDLE_WATTS, energy_file=zone / "energy_uj")
            url = stack.enter_context(server).url
            constant = () if name in {"closed", "whole"} else ("--arrivals", "constant")
            line = ("profile", "endpoint", "--url", url, "--path.sysfs", sysfs, *LENGTHS, *SHORT, *constant, *options)
            waiting[name] = pool.submit(_run, home, name, *line)
        yield {name: future.result() for name, future in waiting.items()}


def _run(home: Path, name: str, *line: object) -> subprocess.CompletedProcess[str]:
    """Run a profile, up to three times if it needs energy and has none: tests beside this one can take all CPUs."""
    for _ in range(3):
        result = run(home, *line, longest_seconds=LONGEST_SECONDS)
        if name not in NEED_ENERGY or "no energy for" not in result.stderr:
            break
    return result


def only_point(runs: Runs, name: str) -> dict:
    assert runs[name].returncode == 0, runs[name].stderr
    (point,) = document(runs[name])["points"]
    return point


@pytest.mark.parametrize("name", ["open", "closed"])
def test_each_request_has_the_joules_that_its_server_drew(home: Path, runs: Runs, name: str) -> None:
    """The idle power over the rate, and the energy of the request itself; tokens share it."""
    point = only_point(runs, name)
    assert point["valid"], [each for each in point["checks"] if each["status"] == "failed"]
    energy, rate = point["energy"], point["inferences_per_second"]["mean"]
    total = energy["joules_per_inference"]["total"]
    assert total["mean"] == pytest.approx(IDLE_WATTS / rate + JOULES, rel=0.03)
    assert total["source"] == "measured"
    own = [window for window in stored(home, document(runs[name])["id"])[1] if window.point]
    drawn = [(IDLE_WATTS * window.seconds + JOULES * window.work) / window.output_tokens for window in own]
    assert energy["joules_per_output_token"]["mean"] == pytest.approx(fmean(drawn), rel=0.03)
    assert point["power"]["mean_watts"]["mean"] == pytest.approx(IDLE_WATTS + JOULES * rate, rel=0.03)
    assert (energy["joules_per_inference"]["idle"], energy["joules_per_inference"]["dynamic"]) == (None, None)


def test_an_open_loop_has_the_rate_the_latencies_and_the_goodput_that_were_scripted(runs: Runs) -> None:
    point = only_point(runs, "open")
    serving = point["serving"]
    assert (serving["arrivals"], serving["token_source"], serving["errors"]) == ("constant", "usage", {})
    assert serving["requests"] == serving["completed"] == pytest.approx(60, abs=3)
    assert serving["output_tokens"] == {"mean": TOKENS, "minimum": TOKENS, "maximum": TOKENS}
    assert serving["finish_reasons"] == {"length": serving["completed"]}
    assert serving["cached_input_tokens_per_second"] == pytest.approx(30, rel=0.1)
    assert serving["goodput"]["met"] is True
    assert serving["goodput"]["requests_per_second"] == pytest.approx(10, rel=0.05)
    assert point["time_to_first_token_seconds"]["p50"] == pytest.approx(2.0, abs=0.05)
    assert point["inter_token_latency_seconds"]["mean"] == pytest.approx(0.01, rel=0.3)
    assert serving["time_per_output_token_seconds"]["mean"] == pytest.approx(0.01, rel=0.3)
    assert point["cost"]["usage"]["per_inference"]["energy"]["mean"] == pytest.approx(
        point["energy"]["joules_per_inference"]["total"]["mean"] / 3.6e6 * 0.5 * 1.54
    )


def test_the_figures_are_those_of_the_stored_windows(home: Path, runs: Runs) -> None:
    found = document(runs["open"])
    (point,) = found["points"]
    _, windows = stored(home, found["id"])
    assert {window.phase for window in windows} == {"idle_loaded", "serving"}
    own = [window for window in windows if window.point]
    requests = [each for window in own for each in from_json(window.load, LoadWindow).requests]
    assert len(requests) == point["serving"]["requests"]
    assert point["latency_seconds"]["mean"] == pytest.approx(fmean(each.end_to_end_seconds for each in requests))
    assert point["inferences_per_second"]["mean"] == pytest.approx(
        fmean(window.requests_in_window / window.seconds for window in own)
    )


def test_the_server_counts_as_the_run_s_own_load(runs: Runs) -> None:
    found = document(runs["closed"])
    assert found["points"][0]["conditions"]["self_cpus"] is not None
    assert not [note for note in found["notes"] if "not visible" in note]
    assert [note for note in found["notes"] if note.startswith("the run did not start the server")]
    assert [note for note in found["notes"] if note.startswith("closed loop")]
    assert {(each["state"], each["when"]) for each in found["baselines"]} == {("loaded", "before"), ("loaded", "after")}
    assert [each["watts"]["mean"] for each in found["baselines"]] == pytest.approx([IDLE_WATTS] * 2, rel=0.03)


def test_without_streaming_the_energy_is_uncertain_by_the_cut_requests(runs: Runs) -> None:
    point = only_point(runs, "whole")
    total = point["energy"]["joules_per_inference"]["total"]
    assert point["time_to_first_token_seconds"] is None
    assert total["upper"] / total["mean"] > 1.05
    assert total["lower"] < IDLE_WATTS / point["inferences_per_second"]["mean"] + JOULES < total["upper"]


def test_faults_are_counted_and_are_part_of_no_latency(runs: Runs) -> None:
    point = only_point(runs, "faulty")
    serving = point["serving"]
    assert set(serving["errors"]) == {"http 500", "truncated"}
    assert serving["completed"] + sum(serving["errors"].values()) == serving["requests"]
    assert sum(serving["errors"].values()) == pytest.approx(serving["requests"] / 2, abs=2)
    assert point["latency_seconds"]["count"] == serving["completed"]
    assert point["latency_seconds"]["minimum"] >= 0.5
    assert serving["goodput"]["attained"] <= serving["completed"] / serving["requests"]
    failed = {each["name"] for each in point["checks"] if each["status"] == "failed"}
    assert failed >= {"no_errors", "requests_succeed"}
    assert (point["valid"], point["energy"]) == (False, None)


def test_a_run_without_a_success_is_an_error_that_names_the_failures(home: Path) -> None:
    with ScriptedServer(lambda number, _: Answer(status=503) if number > 5 else Answer()) as server:
        line = ("profile", "endpoint", "--url", server.url, *LENGTHS, *SHORT, "--window-seconds", 0.3, "--no-store")
        result = run(home, *line, "--rate", 60)
    assert result.returncode == 1
    found = document(result)
    assert found["points"] == []
    (note,) = [each for each in found["notes"] if each.startswith("no request succeeded at rate=60.0: ")]
    assert "x http 503" in note
    assert "no point is complete" in result.stderr


def test_the_highest_rate_of_two_slots_is_found_and_profiled(runs: Runs) -> None:
    """A request takes 0.11 s, so two slots serve 18 a second."""
    assert runs["sought"].returncode == 0, runs["sought"].stderr
    found = document(runs["sought"])
    rate = found["sustainable_rate"]
    assert rate["lowest_missed"] is None or rate["highest_met"] < rate["lowest_missed"]
    assert 5 <= rate["highest_met"] <= 19
    assert {each["outcome"] for each in rate["trials"]} <= {"met", "missed", "undecided"}
    points = {point["name"]: point for point in found["points"]}
    assert points[rate["point"]]["serving"]["goodput"]["met"] is True
    assert points[rate["point"]]["parameters"]["rate"] == rate["highest_met"]


def test_stored_loads_are_listed_shown_and_exported(home: Path, runs: Runs) -> None:
    found = document(runs["open"])
    listed = json.loads(call(home, "profiles", "list", "--workload", "endpoint", "--json").stdout)["profiles"]
    assert {each["model"] for each in listed} == {"scripted"}
    assert json.loads(call(home, "profiles", "export", found["id"]).stdout) == found
    text = call(home, "profiles", "show", found["id"]).stdout
    assert text.startswith("Best point")
    for words in ("1 request", "1M output tokens", "GOODPUT/S", "TTFT", "TPOT", "E2E", "J/OUTPUT TOKEN"):
        assert words in text
