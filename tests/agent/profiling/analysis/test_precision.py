"""The half-width of a mean, and the number of repeats for a narrower one."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.profiling.analysis.precision import (
    MAX_REPEATS,
    half_width,
    interval_widening,
    precision,
    repeats_needed,
    sequential_half_width,
)
from agent.profiling.analysis.sequential import FEWEST_REPEATS, STUDENT, correlation, relative_half_width, widening
from agent.profiling.analysis.statistics import summarize

SPREAD = (98.0, 100.0, 102.0)
VALUES = st.lists(st.floats(1, 1e6), min_size=2, max_size=12)


def test_the_half_width_is_that_of_student_s_t_as_a_share_of_the_mean():
    assert half_width(SPREAD) == pytest.approx(4.302652729749 * 2 / math.sqrt(3) / 100)
    assert half_width([-98, -100, -102]) == pytest.approx(half_width(SPREAD))
    assert half_width([5.0, 5.0]) == 0


def test_one_value_no_value_or_a_mean_of_zero_has_no_half_width():
    assert half_width([]) is None
    assert half_width([5.0]) is None
    assert half_width([-1.0, 1.0]) is None


@given(VALUES, st.floats(0.001, 0.9))
def test_the_repeats_needed_are_the_smallest_sufficient_number(values, tolerance):
    cv, estimated = summarize(values).cv, correlation(values)
    needed = repeats_needed(values, tolerance)
    if needed is None:
        assert relative_half_width(MAX_REPEATS, cv, estimated) > tolerance
        return
    assert relative_half_width(needed, cv, estimated) <= tolerance
    assume(needed > FEWEST_REPEATS)
    assert relative_half_width(needed - 1, cv, estimated) > tolerance


@given(VALUES, st.floats(0.001, 0.9))
def test_a_met_tolerance_needs_no_more_repeats(values, tolerance):
    reported = precision(values, (), tolerance)
    assert reported.relative_half_width == sequential_half_width(values)
    enough = len(values) >= FEWEST_REPEATS
    assert reported.converged is (enough and sequential_half_width(values) <= tolerance)
    assert reported.converged is (reported.repeats_needed is not None and reported.repeats_needed <= len(values))


def test_too_wide_a_spread_or_one_value_gives_no_number_of_repeats():
    assert repeats_needed([1.0, 1000.0], 0.0001) is None
    assert repeats_needed([5.0], 0.1) is None
    assert repeats_needed([], 0.1) is None


def test_convergence_is_that_of_the_energy_or_of_the_rate_without_sensors():
    reported = precision(SPREAD, (5.0, 5.0, 5.0), 0.01)
    assert (reported.metric, reported.converged, reported.tolerance) == ("joules_per_inference", False, 0.01)
    reported = precision((), (5.0, 5.0, 5.0), 0.01)
    assert (reported.metric, reported.relative_half_width, reported.converged) == ("inferences_per_second", 0, False)
    assert precision((), (5.0,) * FEWEST_REPEATS, 0.01).converged is True
    reported = precision(SPREAD, (), None)
    assert (reported.converged, reported.tolerance, reported.repeats_needed) == (None, None, None)
    assert reported.correlation is None
    assert reported.relative_half_width == half_width(SPREAD)
    assert precision((1.0,), (), 0.5).converged is False
    assert precision((1.0,), (), 0.5).correlation is None
    assert precision(SPREAD, (), 0.5, "batch=8").equivalent_to == "batch=8"
    assert precision(SPREAD, (), 0.5).correlation == 0.9


def test_intervals_are_widened_with_a_tolerance_only_by_the_energy_or_the_rate():
    even = (5.0, 5.0, 5.0)
    assert interval_widening(SPREAD, even, None) == STUDENT
    assert interval_widening(SPREAD, even, 0.01) == widening(SPREAD, 0.01)
    assert interval_widening((), even, 0.01) == widening(even, 0.01)
