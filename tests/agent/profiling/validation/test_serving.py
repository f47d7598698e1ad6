"""Every check of a load on a server, passed, failed and unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from agent.cost.interval import Interval
from agent.profiling.analysis.serving import load_of, serving_figures
from agent.profiling.run_facts import UNKNOWN_CONDITIONS
from agent.profiling.validation.evidence import Evidence, ServingEvidence
from agent.profiling.validation.serving import check_serving
from loads import load_window, report, streamed

LOAD = load_of([(load_window(1, 0, 10, report([streamed(number, 0.2, 0.02, late=0.001) for number in range(9)])),)])
GOOD = ServingEvidence(serving_figures(LOAD), 0.2, capped=False, without_counts=0, idle_watts=Interval(50, 49, 51))
EVIDENCE = Evidence((LOAD.windows,), (), 0, 0.0, (), (0.9,), watts=(80.0, 82.0))


def results(evidence=EVIDENCE, figures=None, **changes):
    changes = {"figures": structs.replace(GOOD.figures, **figures or {}), **changes}
    return {each.name: each for each in check_serving(evidence, replace(GOOD, **changes))}


def test_a_good_load_passes_every_check():
    assert {each.status for each in results().values()} == {"passed"}


@pytest.mark.parametrize(
    ("name", "severity", "figures", "changes"),
    [
        ("sends_on_time", "invalid", {"send_lag_p99_seconds": 0.0021}, {}),
        ("sends_on_time", "invalid", {"send_lag_p99_seconds": 0.011}, {"typical_seconds": 1.0}),
        ("client_not_limiting", "invalid", {"client_cpus": 0.81}, {}),
        ("client_not_limiting", "invalid", {"loop_lag_p99_seconds": 0.011}, {}),
        ("client_not_limiting", "invalid", {"loop_lag_p99_seconds": 0.06}, {"typical_seconds": 1.0}),
        ("arrivals_uncapped", "invalid", {}, {"capped": True}),
        ("server_elsewhere", "invalid", {}, {"idle_watts": Interval(81, 80, 82)}),
        ("server_elsewhere", "invalid", {}, {"idle_watts": Interval(82)}),
        ("no_errors", "warning", {"errors": {"http 500": 2, "timeout": 1}, "requests": 30}, {}),
        ("token_counts_known", "warning", {}, {"without_counts": 3}),
    ],
)
def test_each_check_fails_on_its_own_fault(name, severity, figures, changes):
    failed = [each for each in results(figures=figures, **changes).values() if each.failed]
    assert [(each.name, each.severity) for each in failed] == [(name, severity)]


@pytest.mark.parametrize(
    ("name", "figures", "changes"),
    [
        ("sends_on_time", {"send_lag_p99_seconds": 0.009}, {"typical_seconds": 1.0}),
        ("sends_on_time", {"send_lag_p99_seconds": 9.0, "arrivals": "closed"}, {}),
        ("client_not_limiting", {"loop_lag_p99_seconds": 0.04}, {"typical_seconds": 1.0}),
    ],
)
def test_the_limits_follow_the_median_time_to_the_first_token(name, figures, changes):
    assert results(figures=figures, **changes)[name].status == "passed"


def test_missing_evidence_is_unknown():
    figures = {"send_lag_p99_seconds": None, "client_cpus": None, "token_source": "none"}
    found = results(replace(EVIDENCE, watts=()), figures)
    unknown = {name for name, each in found.items() if each.status == "unknown"}
    assert unknown == {"sends_on_time", "client_not_limiting", "token_counts_known", "server_elsewhere"}
    assert results(idle_watts=None)["server_elsewhere"].status == "unknown"


def test_a_busy_server_works_here_even_if_its_power_is_lost_in_that_of_the_host():
    busy = replace(EVIDENCE, conditions=structs.replace(UNKNOWN_CONDITIONS, self_cpus=0.5))
    idle = Interval(82, 81, 83)
    assert results(busy, idle_watts=idle)["server_elsewhere"].status == "passed"
    client_alone = {"client_cpus": 0.45}
    assert results(busy, client_alone, idle_watts=idle)["server_elsewhere"].failed


def test_other_programs_can_hide_the_load_of_a_server() -> None:
    others = structs.replace(UNKNOWN_CONDITIONS, max_other_cpus=1.1)
    idle = Interval(82, 81, 83)
    assert (
        results(replace(EVIDENCE, conditions=others, processors=4), idle_watts=idle)["server_elsewhere"].status
        == "unknown"
    )
    assert results(replace(EVIDENCE, conditions=others, processors=8), idle_watts=idle)["server_elsewhere"].failed


def test_a_point_with_many_failures_is_invalid() -> None:
    found = results(figures={"errors": {"timeout": 4}, "requests": 39})["requests_succeed"]
    assert (found.failed, found.severity, found.message) == (
        True,
        "invalid",
        "10.3% of the requests failed (limit 10%)",
    )


def test_failed_requests_are_named_by_their_error():
    message = results(figures={"errors": {"timeout": 1, "http 500": 2}, "requests": 9})["no_errors"].message
    assert message == "3 of 9 requests failed: 2 x http 500, 1 x timeout"
