from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.maintenance.rollup import RollupKey, SampleTimes, canonical_channels, merge_rollups, roll_up

SECOND = 10**9
MINUTE = 60 * SECOND
STEPS = st.lists(st.tuples(st.integers(1, 90 * SECOND), st.integers(0, 10**6), st.booleans()), min_size=1, max_size=40)


def subject(metric):
    return RollupKey(3, 8, metric)


def summed(metric, samples, before=None):
    times, values = zip(*samples, strict=True)
    return roll_up(subject(metric), SampleTimes.of(times), values, before)


def rising(steps):
    """Samples of a counter of whole joules, some of them missing."""
    at, joules, samples = 0, 0, []
    for step, more, given_one in steps:
        at, joules = at + step, joules + more
        samples.append((at, float(joules) if given_one else math.nan))
    return samples


@given(steps=STEPS, cut=st.integers(0, 40))
def test_the_minutes_of_a_counter_add_up_to_its_total_for_any_split(steps, cut):
    samples = rising(steps)
    parts = [part for part in (samples[:cut], samples[cut:]) if part]
    before, minutes = None, {}
    for part in parts:
        found, before = summed("energy_joules", part, before)
        for one in found:
            minutes[one.minute] = merge_rollups(minutes[one.minute], one) if one.minute in minutes else one
    given_ones = [value for _, value in samples if not math.isnan(value)]
    joules = sum(one.energy_joules or 0.0 for one in minutes.values())
    assert joules == (given_ones[-1] - given_ones[0] if given_ones else 0.0)
    assert sum(one.samples for one in minutes.values()) == len(given_ones)
    assert before == (next(sample for sample in reversed(samples) if sample[1] == sample[1]) if given_ones else None)


@given(steps=STEPS, cut=st.integers(0, 40))
def test_merged_parts_of_a_minute_equal_the_minute(steps, cut):
    samples = [(at % (MINUTE // 50), value) for at, value in rising(steps)]
    whole, _ = summed("power_watts", samples)
    one, before = summed("power_watts", samples[:cut]) if samples[:cut] else ([], None)
    other, _ = summed("power_watts", samples[cut:], before) if samples[cut:] else ([], None)
    both = [merge_rollups(*one, *other)] if one and other else [*one, *other]
    for mine, theirs in zip(both, whole, strict=True):
        assert (mine.minute, mine.samples, mine.lowest, mine.highest) == (0, *theirs_of(theirs))
        assert mine.mean == pytest.approx(theirs.mean)
        assert (mine.energy_joules or 0) == pytest.approx(theirs.energy_joules or 0)


def theirs_of(rollup):
    return rollup.samples, rollup.lowest, rollup.highest


def test_power_is_integrated_by_trapezoids_except_over_a_gap():
    late = MINUTE + 2 * SECOND
    samples = [(0, 10.0), (SECOND, 20.0), (2 * SECOND, 20.0), (late + 1, 99.0), (late + SECOND + 1, 1.0)]
    found, last = summed("power_watts", samples)
    assert [one.energy_joules for one in found] == [35.0, pytest.approx(50.0)]
    assert last == (late + SECOND + 1, 1.0)


def test_only_the_rises_of_a_falling_counter_count():
    found, _ = summed("energy_joules", [(0, 10.0), (1, 15.0), (2, 3.0), (3, 4.5)])
    assert [one.energy_joules for one in found] == [6.5]


def test_energy_is_absent_without_a_previous_sample_and_for_other_metrics():
    assert summed("energy_joules", [(0, 10.0)])[0][0].energy_joules is None
    assert summed("throttled_seconds", [(0, 10.0), (1, 12.0)])[0][0].energy_joules is None
    assert summed("energy_joules", [(MINUTE, 10.0)], (0, 4.0))[0][0].energy_joules == 6.0


def test_values_that_are_not_finite_are_ignored():
    found, last = summed("power_watts", [(0, math.inf), (1, 3.0), (2, math.nan), (3, -math.inf)])
    assert [(one.samples, one.lowest, one.highest, one.mean) for one in found] == [(1, 3.0, 3.0, 3.0)]
    assert last == (1, 3.0)
    assert summed("power_watts", [(0, math.nan)], (5, 1.0)) == ([], (5, 1.0))


def test_a_mean_lies_between_lowest_and_highest():
    values = [0.1, 0.1, 0.1]
    found, _ = summed("power_watts", list(enumerate(values)))
    assert found[0].mean == 0.1


def test_a_channel_belongs_to_its_first_layout_and_position():
    assert canonical_channels([[1, 2], [3, 1, 3], [], [2, 4]]) == [
        [True, True],
        [True, False, False],
        [],
        [False, True],
    ]
