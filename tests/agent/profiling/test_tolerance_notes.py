"""The notes on a tolerance."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from agent.profiling.plan import PLANS
from agent.profiling.points import analyze
from agent.profiling.tolerance_notes import tolerance_notes
from static_points import STATIC
from synthetic_run import repeats, sensors

PLAN = replace(PLANS["quick"], tolerance=0.02)
(POINT,) = analyze(repeats((6, 8, 10, 12)), sensors(STATIC), None)


def point(name, *, converged=True, equivalent_to=None):
    convergence = msgspec.structs.replace(POINT.convergence, converged=converged, equivalent_to=equivalent_to)
    return msgspec.structs.replace(POINT, name=name, convergence=convergence)


def test_a_plan_without_a_tolerance_has_no_note():
    assert tolerance_notes(PLANS["quick"], [point("a")]) == []


def test_a_note_names_the_points_that_missed_the_tolerance():
    assert tolerance_notes(PLAN, [point("a"), point("b")]) == ["the tolerance of ±2 % was met by every point"]
    (missed,) = tolerance_notes(PLAN, [point("a"), point("b", converged=False)])
    assert missed.startswith("the tolerance of ±2 % was not met in time by b: ")


def test_an_equivalent_point_misses_no_tolerance_and_has_a_note_of_its_own():
    plan = replace(PLAN, equivalence=0.05)
    assert tolerance_notes(plan, [point("a"), point("b", converged=False, equivalent_to="a")]) == [
        "the tolerance of ±2 % was met by every other point",
        "b equals a within ±5 %, so it was measured no further than its interval shows",
    ]
