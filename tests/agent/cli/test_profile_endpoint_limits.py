"""The faults, the highest rate and the failures of `inferometer profile endpoint` on scripted servers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from command import run
from endpoint_runs import CONSTANT, PROMPT, SHORT, STEADY, Load, only_point, run_all
from profile_runs import document
from scripted_answers import Answer
from scripted_server import ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint_runs import Runs

pytestmark = pytest.mark.system

FAST = replace(STEADY, first_seconds=0.04, gap_seconds=0.07, tokens=2)
FAULTY = (STEADY, Answer(status=500), replace(STEADY, fault="truncated"), STEADY)
SPARED = 20
"""The first requests of a run, which calibrate the lengths and try the point, get no fault."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    search = ("--rate", 12, "--find-max", "--slo", "e2e=200ms", "--attainment", "50%")
    limits = ("--slo", "ttft=900ms,e2e=3s", "--attainment", "40%")
    loads = {
        "sought": Load([FAST], (*CONSTANT, *search), slots=2, tokens=FAST.tokens),
        "faulty": Load(
            lambda number, _: FAULTY[number % 4] if number > SPARED else STEADY, ("--rate", 16, *CONSTANT, *limits)
        ),
    }
    return run_all(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("sysfs"), loads)


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


def test_a_run_without_a_success_is_an_error_that_names_the_failures(tmp_path: Path) -> None:
    with ScriptedServer(lambda number, _: Answer(status=503) if number > 5 else Answer()) as server:
        line = (
            "profile",
            "endpoint",
            "--url",
            server.url,
            *PROMPT,
            "--output-tokens",
            8,
            *SHORT,
            "--window-seconds",
            0.3,
        )
        result = run(tmp_path, *line, "--no-store", "--rate", 60)
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
