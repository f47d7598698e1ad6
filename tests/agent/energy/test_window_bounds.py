"""The bound of a window's energy holds the true energy, for simulated sensors of known truth."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agent.energy.bounds import ASSUMED_REFRESH_SECONDS
from agent.energy.window import SeriesEnergy, window_energy
from simulated import (
    SECOND,
    Power,
    counter,
    hardware_counter,
    held,
    joules_channel,
    partial_gauge,
    read_times,
    refreshes,
    watts_channel,
)

QUICK = settings(suppress_health_check=list(HealthCheck))  # a busy machine is no fault of the code
MANY = 4 * settings.default.max_examples
"""For the rarest faults; CI searches four times as long."""
UNTIL = 5.0
WRAP_JOULES = 1700.0  # more than 2400 W draw in the longest gap: six periods of 0.1 s, and jitter
watts = st.one_of(st.just(0.0), st.floats(0, 20), st.floats(20, 600))
shares = st.lists(st.floats(0.2, 1), min_size=1, max_size=7)
jitters = st.lists(st.floats(-0.4, 0.4), min_size=1, max_size=11)
periods = st.sampled_from((0.03, 0.1, 0.3, 1.0))
refresh_periods = st.sampled_from((0.005, 0.03, 0.1, 0.25, 1.0))
resolutions = st.sampled_from((0.0, 2.0**-14, 0.001, 1.0))


@st.composite
def powers(draw, shortest=0.001, watts=watts):
    """Constant, steps, a square wave or bursts."""
    steps = draw(st.lists(st.tuples(st.floats(shortest, shortest + 2.0), watts), min_size=1, max_size=6))
    return Power(tuple(steps * draw(st.integers(1, 20))))


@st.composite
def windows(draw, first, last):
    """Start and end within two moments, down to a few milliseconds."""
    start = draw(st.floats(first, last - 0.01))
    end = draw(st.floats(start + 0.004, last))
    return round(start * SECOND), round(end * SECOND)


@st.composite
def read_moments(draw, slowest=1.0):
    read = read_times(draw(periods.filter(lambda period: period <= slowest)), UNTIL, draw(jitters))
    dropped = draw(st.sets(st.integers(2, len(read) - 2), max_size=5))
    return tuple(at for number, at in enumerate(read) if number not in dropped)


@settings(QUICK, max_examples=50)
@given(powers(), refresh_periods, shares, read_moments(), resolutions, st.data())
def test_the_bound_of_a_counter_holds_at_any_power_and_read_rate(power, refresh, irregular, read, step, data):
    series = counter(power, refreshes(refresh, UNTIL, irregular), read, step, joules_channel(refresh, step))
    window = data.draw(windows(read[0], read[-1] - refresh - 1e-6))
    held(series, power, window)


@settings(QUICK, max_examples=50)
@given(powers(), refresh_periods, shares, read_moments(), resolutions, st.floats(1.2, 2), st.data())
def test_the_bound_of_a_counter_with_a_power_limit_holds_and_is_no_wider(
    power, refresh, irregular, read, step, room, data
):
    channel = joules_channel(refresh, step, max_plausible=min(2000.0, 4 * room * max(power.highest, 1.0)))
    series = counter(power, refreshes(refresh, UNTIL, irregular), read, step, channel)
    window = data.draw(windows(read[0], read[-1] - refresh - 1e-6))
    found, _ = held(series, power, window)
    unlimited = window_energy(replace(series, channel=joules_channel(refresh, step)), *window).energy
    assert found.energy.upper - found.energy.lower <= unlimited.upper - unlimited.lower + 1e-6


@settings(QUICK, max_examples=50)
@given(powers(), st.sampled_from((0.03, 0.1, 0.25)), st.floats(1.05, 3), read_moments(), st.data())
def test_the_bound_of_a_counter_slower_than_stated_holds_after_calibration(power, stated, slower, read, data):
    refresh = stated * slower
    channel = joules_channel(stated, 0.001, observed_refresh_seconds=refresh)
    series = counter(power, refreshes(refresh, UNTIL, (1.0, 1.2, 0.9)), read, 0.001, channel)
    held(series, power, data.draw(windows(read[0], read[-1] - 1.5 * refresh - 1e-6)))


@settings(QUICK, max_examples=50)
@given(powers(), refresh_periods, shares, read_moments(), resolutions, st.data())
def test_the_bound_of_a_counter_without_stated_properties_holds(power, refresh, irregular, read, step, data):
    series = counter(power, refreshes(refresh, UNTIL, irregular), read, step)
    window = data.draw(windows(read[0], read[-1] - ASSUMED_REFRESH_SECONDS - 1e-6))
    assume(step <= 0.001 or len(set(series.values)) > 1)  # a resolution that never showed bounds nothing
    held(series, power, window)


@pytest.mark.system
@settings(QUICK, max_examples=50)
@given(powers(), refresh_periods, shares, read_moments(), resolutions, st.data())
def test_samples_that_end_at_the_window_have_a_bound_by_the_power_limit(power, refresh, irregular, read, step, data):
    channel = joules_channel(refresh, step, max_plausible=4 * max(power.highest, 1.0))
    series = counter(power, refreshes(refresh, UNTIL, irregular), read, step, channel)
    held(series, power, data.draw(windows(read[0], read[-1])))


@settings(QUICK, max_examples=50)
@given(
    powers(),
    refresh_periods,
    read_moments(),
    st.floats(0.5, UNTIL - 0.5),
    st.data(),
)
def test_the_bound_holds_over_a_reset(power, refresh, read, reset, data):
    channel = joules_channel(refresh, 1e-6, max_plausible=4 * max(power.highest, 1.0))
    series = hardware_counter(power, refreshes(refresh, UNTIL), read, (reset,), channel)
    assume(series.times_ns[-1] >= read[-1] * SECOND - 1)
    held(series, power, data.draw(windows(read[0], read[-1] - refresh - 1e-6)))


@settings(QUICK, max_examples=40)
@given(powers(watts=st.floats(1, 600)), st.sampled_from((0.005, 0.02)), read_moments(slowest=0.1), st.data())
def test_wraps_leave_no_trace(power, refresh, read, data):
    shown = refreshes(refresh, UNTIL)
    channel = joules_channel(refresh, 1e-6, max_plausible=4 * 600.0)
    wrapping = hardware_counter(power, shown, read, (), channel, wraps_at_joules=WRAP_JOULES, since=WRAP_JOULES - 0.1)
    plain = hardware_counter(power, shown, read, (), channel, since=WRAP_JOULES - 0.1)
    assert not wrapping.rejections
    window = data.draw(windows(read[0], read[-1] - refresh - 1e-6))
    found, _ = held(wrapping, power, window)
    assert found.energy.joules == pytest.approx(window_energy(plain, *window).energy.joules, abs=1e-4)


@pytest.mark.system
@settings(QUICK, max_examples=100)
@given(
    powers(watts=st.one_of(st.just(0.0), st.floats(1, 600))),
    st.sampled_from((0.005, 0.03, 0.1)),
    read_moments(slowest=0.3),
    st.sampled_from((2.0**-14, 0.001)),
    st.floats(-1.0, UNTIL),
    st.one_of(st.floats(0, UNTIL), st.just(math.inf)),
    st.data(),
)
def test_the_bound_holds_for_a_counter_frozen_for_a_while_or_permanently(
    power, refresh, read, step, since, lasts, data
):
    shown = tuple(moment for moment in refreshes(refresh, UNTIL) if not since <= moment < since + lasts)
    assume(shown and shown[0] <= read[0])
    stale = [at for at in read if at - shown[bisect_right(shown, at) - 1] > 2 * refresh]
    assume(len(stale) != 1)  # two reads have to show the same value: a freeze between two reads leaves no trace
    channel = joules_channel(refresh, step, max_plausible=4 * 600.0)
    series = counter(power, shown, read, step, channel)
    held(series, power, data.draw(windows(read[0], read[-1])))


@given(st.floats(1, 600), st.sampled_from((0.005, 0.03, 0.1)), st.floats(1.0, 2.5), st.floats(0.6, 2.0))
def test_a_counter_that_stays_frozen_at_the_end_is_a_reason(watts, refresh, since, later):
    shown = tuple(moment for moment in refreshes(refresh, UNTIL) if moment < since)
    channel = joules_channel(refresh, 0.001, max_plausible=4 * 600.0)
    series = counter(Power(((1.0, watts),)), shown, read_times(0.01, UNTIL), 0.001, channel)
    found = window_energy(series, *(round(at * SECOND) for at in (0.5, since + 10 * refresh + later - 0.5)))
    assert "the energy of that time is not known" in found.reasons[0]


@pytest.mark.system
@settings(QUICK, max_examples=MANY)
@given(
    powers(watts=st.one_of(st.just(0.0), st.floats(0.5, 5), st.floats(20, 600))),
    st.sampled_from((0.001, 0.02)),
    st.sampled_from((0.01, 0.03)),
    jitters,
    st.sampled_from((1.0, 20.0)),
    st.tuples(st.floats(0.1, 2.0), st.floats(0, 2.0)),
    st.tuples(st.floats(4.2, 6.0), st.floats(0.2, 2.0)),
    st.booleans(),
    st.data(),
)
def test_the_bound_of_a_coarse_counter_holds_over_pauses_in_reads_and_a_freeze(
    power, refresh, period, late, step, paused, froze, is_stated, data
):
    since, until = froze[0], sum(froze)
    shown = tuple(moment for moment in refreshes(refresh, 9) if not since <= moment < until)
    read = tuple(moment for moment in read_times(period, 9, late) if not paused[0] < moment < sum(paused))
    assume(power.joules(until, since) >= 3 * step)  # less may pass for a slow step
    channel = joules_channel(refresh, step if is_stated else 0.0, max_plausible=4 * 600.0)
    series = counter(power, shown, read, step, channel)
    assume(is_stated or len(set(series.values)) > 3)
    held(series, power, data.draw(windows(read[0], 8.5)))


QUARTERS = tuple((0.1 * number, 0.025) for number in range(10, 0, -1))
GAUGES = st.sampled_from(
    [
        ("instant", 0.1, ((1e-6, 1e-6),)),
        ("", 0.0, ((1e-6, 1e-6),)),
        ("average", 0.02, ((0.02, 0.02),)),
        ("average", 0.3, ((0.3, 0.3),)),
        ("average", 1.0, ((1.0, 1.0),)),
        ("average", 0.0, ((0.7, 0.7),)),
        ("average of 25 in 100 ms", 0.1, ((0.025, 0.025),)),
        ("average of 25 in 100 ms", 0.1, ((0.08, 0.025),)),
        ("average of 250 in 1000 ms", 1.0, QUARTERS),
        ("average of 250 in 1000 ms", 1.0, ((1.0, 1.0),)),
    ]
)


@pytest.mark.system
@settings(QUICK, max_examples=MANY)
@given(
    powers(),
    GAUGES,
    st.sampled_from((0.01, 0.05, 0.1, 0.3)),
    st.lists(st.floats(0.2, 1.5), min_size=1, max_size=9),
    read_moments(),
    st.one_of(st.none(), st.tuples(st.floats(0, UNTIL), st.floats(0, 2))),
    st.sampled_from((0.0, 0.001, 1.0)),
    st.data(),
)
def test_the_bound_of_every_gauge_holds_for_any_power_gaps_and_refreshes(
    power, gauge, update, irregular, read, gap, step, data
):
    method, stated, parts = gauge
    channel = watts_channel(stated, method, max_plausible=4 * 500.0, observed_refresh_seconds=update, resolution=step)
    kept = [at for at in read if gap is None or not gap[0] < at < gap[0] + gap[1]]
    assume(len(kept) > 1)
    series = partial_gauge(power, refreshes(update, UNTIL, irregular), kept, parts, channel, step)
    held(series, power, data.draw(windows(kept[0], kept[-1])))


@pytest.mark.system
@settings(QUICK, max_examples=50)
@given(powers(watts=st.floats(1, 600)), refresh_periods, shares, st.sampled_from((0.0, 600.0)), st.data())
def test_windows_of_one_series_have_the_same_energies_as_from_their_own_samples(power, refresh, irregular, limit, data):
    read = read_times(0.05, 40.0, data.draw(jitters))
    channel = joules_channel(refresh, 0.001, max_plausible=4 * limit)
    series = counter(power, refreshes(refresh, 40.0, irregular), read, 0.001, channel)
    shared = SeriesEnergy(series)
    for start, end in data.draw(st.lists(windows(16.0, 24.0), min_size=1, max_size=4)):
        around = slice(
            bisect_left(series.times_ns, start - 15 * SECOND), bisect_right(series.times_ns, end + 15 * SECOND)
        )
        own = replace(series, times_ns=series.times_ns[around], values=series.values[around])
        alone, together = window_energy(own, start, end), shared.between(start, end)
        assert together.energy == alone.energy
        assert together.peak_watts == alone.peak_watts
