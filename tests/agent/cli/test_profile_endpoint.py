"""The energy of `inferometer profile endpoint` on scripted servers whose requests have a known energy."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from agent.runtime.typed_json import from_json
from agent.workloads.load_records import LoadWindow
from command import call
from endpoint_runs import CONSTANT, IDLE_WATTS, JOULES, STEADY, TOKENS, Load, only_point, run_all
from profile_runs import document, stored

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint_runs import Runs

pytestmark = pytest.mark.system

SLOW = replace(STEADY, first_seconds=2.0)
"""The first token takes long, so that the limit of a late client, a share of it, suits a busy test host."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    limits = ("--slo", "ttft=3s,e2e=5s", "--attainment", "40%", "--price-per-kwh", 0.5)
    loads = {
        "open": Load([SLOW], ("--rate", 10, *CONSTANT, *limits), needs_energy=True),
        "closed": Load([STEADY], ("--concurrency", 4), needs_energy=True),
        "whole": Load([STEADY], ("--concurrency", 4, "--no-stream"), needs_energy=True),
    }
    return run_all(home, tmp_path_factory.mktemp("sysfs"), loads)


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
    assert {window.phase for window in windows} == {"first_run", "idle_loaded", "serving"}
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
    # Under load the power is 34 W; on a busy host the server writes its counter up to 0.1 s late.
    assert [each["watts"]["mean"] for each in found["baselines"]] == pytest.approx([IDLE_WATTS] * 2, rel=0.25)


def test_without_streaming_the_energy_is_uncertain_by_the_cut_requests(runs: Runs) -> None:
    point = only_point(runs, "whole")
    total = point["energy"]["joules_per_inference"]["total"]
    assert point["time_to_first_token_seconds"] is None
    assert total["upper"] / total["mean"] > 1.05
    assert total["lower"] < IDLE_WATTS / point["inferences_per_second"]["mean"] + JOULES < total["upper"]


def test_stored_loads_are_listed_shown_and_exported(home: Path, runs: Runs) -> None:
    found = document(runs["open"])
    listed = json.loads(call(home, "profiles", "list", "--workload", "endpoint", "--json").stdout)["profiles"]
    assert {each["model"] for each in listed} == {"scripted"}
    assert json.loads(call(home, "profiles", "export", found["id"]).stdout) == found
    text = call(home, "profiles", "show", found["id"]).stdout
    assert text.startswith("Best point")
    for words in ("1 request", "1M output tokens", "GOODPUT/S", "TTFT", "TPOT", "E2E", "J/OUTPUT TOKEN"):
        assert words in text
