"""Counters that freeze, rest or catch up within a window or before it."""

from __future__ import annotations

import pytest

from agent.energy.bounds import Energy
from agent.energy.window import window_energy
from power_series import at, counted, energy
from probes.model import Reason, Source
from simulated import SECOND, Power, constant, counter, joules_channel, read_times, refreshes


def test_a_counter_that_never_moves_may_hide_the_maximum_energy_of_the_device():
    series = counted(dict.fromkeys(range(8), 7.0), joules_channel(0.1, 0.001, max_plausible=3.2 * 200.0))
    found = window_energy(series, *at(2, 4))
    assert found.energy == Energy(0.0, 0.0, pytest.approx(2 * 200 + 0.001))
    assert found.peak_watts is None


def frozen(since, until, **known):
    """A counter of 100 ms that does not refresh between two moments, read every 20 ms for 12 s."""
    shown = tuple(moment for moment in refreshes(0.1, 12) if not since <= moment < until)
    channel = joules_channel(0.1, 0.001, **known)
    return counter(constant(200.0), shown, read_times(0.02, 12), 0.001, channel)


def test_a_counter_that_freezes_before_the_end_widens_the_bound_to_the_ceiling_for_that_time():
    found = window_energy(frozen(5, 99, max_plausible=4 * 250.0), *at(2, 9))
    assert found.energy.joules == pytest.approx(3 * 200, abs=40)  # what it showed, no more
    assert found.energy.lower == pytest.approx(3 * 200, abs=40)
    assert found.energy.upper == pytest.approx(3 * 200 + 4 * 1.25 * 250, abs=60)
    (reason,) = found.reasons
    assert "did not move" in reason
    assert "at the end of the window: the energy of that time is not known" in reason


def test_a_counter_frozen_at_the_start_may_show_energy_from_before_the_window():
    found = window_energy(frozen(1, 5, max_plausible=4 * 250.0), *at(3, 9))
    # 8 s were counted in all. Before the window at most 2 s at the ceiling were; at least nothing was.
    assert found.energy.lower == pytest.approx(8 * 200 - 2 * 1.25 * 250, abs=40)
    assert found.energy.upper == pytest.approx(8 * 200, abs=40)
    assert "at the start of the window" in found.reasons[0]


def test_a_counter_that_freezes_within_a_window_and_catches_up_loses_no_energy():
    found = window_energy(frozen(4, 7, max_plausible=4 * 250.0), *at(2, 9))
    assert found.energy.joules == pytest.approx(7 * 200, rel=0.01)
    assert found.energy.upper - found.energy.lower < 2 * 250 * 0.1 * 1.25 + 1
    assert found.reasons == ()


def test_a_window_within_the_time_a_counter_was_frozen_says_so():
    found = window_energy(frozen(2, 9, max_plausible=4 * 250.0), *at(4, 6))
    (reason,) = found.reasons
    assert "did not move" in reason
    assert "about the window" in reason
    assert (found.energy.lower, found.energy.upper) == (0, pytest.approx(2 * 1.25 * 250, abs=0.1))


def test_the_rise_after_a_freeze_is_spread_over_the_frozen_time():
    series = frozen(4, 7, max_plausible=4 * 250.0)
    assert energy(series, 2, 5.5).joules == pytest.approx(3.5 * 200, rel=0.02)


def test_the_peak_of_a_counter_that_catches_up_is_no_power_that_the_device_cannot_draw():
    assert window_energy(frozen(4, 7, max_plausible=4 * 250.0), *at(2, 9)).peak_watts == pytest.approx(200, rel=0.1)


def test_a_device_that_rests_between_two_small_steps_is_not_a_silent_counter():
    # 100 W, nothing from 3 s to 9 s, 100 W again: the step at 9 s shows that nothing was drawn.
    rests = Power(((3.0, 100.0), (6.0, 0.0), (9.0, 100.0)))
    series = counter(
        rests, refreshes(0.1, 12), read_times(0.02, 12), 0.001, joules_channel(0.1, 0.001, max_plausible=4 * 250.0)
    )
    found = window_energy(series, *at(1, 6))
    assert found.reasons == ()
    assert found.energy.joules == pytest.approx(200, abs=5)
    assert found.energy.upper - found.energy.lower < 4 * 250 * 0.1


def test_a_coarse_counter_of_little_power_is_not_silent():
    series = counter(
        constant(2.0),
        refreshes(0.001, 12),
        read_times(0.01, 12),
        1.0,
        joules_channel(0.001, 1.0, max_plausible=4 * 250.0),
    )
    found = window_energy(series, *at(2, 9))
    assert found.reasons == ()
    assert found.energy.upper - found.energy.lower <= 4


def joule_counter(power, frozen=(0.0, 0.0), paused=(0.0, 0.0), max_plausible=4 * 160.0):
    """A counter in steps of a joule that is frozen between two moments, and is not read between two others."""
    shown = tuple(moment for moment in refreshes(0.001, 9) if not frozen[0] <= moment < frozen[1])
    read = [moment for moment in read_times(0.01, 9) if not paused[0] < moment < paused[1]]
    return counter(power, shown, read, 1.0, joules_channel(0.001, 1.0, max_plausible=max_plausible))


@pytest.mark.parametrize("paused", [(0.0, 0.0), (1.0, 3.0)])
@pytest.mark.parametrize("watts", [6.0, 60.0])
def test_a_pause_in_reads_does_not_make_a_frozen_counter_a_coarse_one(watts, paused):
    found = window_energy(joule_counter(constant(watts), (5.05, 6.6), paused), *at(5.3, 6.3))
    assert found.energy.lower <= watts <= found.energy.upper
    assert "about the window: the energy of that time is not known" in found.reasons[0]


IDLE_THEN_BUSY = Power(((4.0, 0.8), (1.0, 40.0)))
"""A step takes 1.25 s at first, and 25 ms from 4 s on."""


@pytest.mark.parametrize(("start", "end"), [(6.0, 6.4), (6.2, 6.7), (6.0, 7.0)])
def test_a_slow_step_at_idle_does_not_excuse_a_counter_that_then_catches_up_by_several(start, end):
    found = window_energy(joule_counter(IDLE_THEN_BUSY, (4.8, 6.3)), *at(start, end))
    assert found.energy.lower <= 40 * (end - start) <= found.energy.upper
    assert found.energy.joules == pytest.approx(40 * (end - start), abs=1)
    assert found.reasons == (
        "the counter did not move for 1.5 s at the start of the window: the energy of that time is not known",
    )
    working = window_energy(joule_counter(IDLE_THEN_BUSY), *at(start, end))
    assert working.reasons == ()
    assert working.energy.upper - working.energy.lower <= 2 + 1e-9


def test_a_rise_beyond_the_ceiling_widens_the_bound_to_the_plausible_range_with_a_reason():
    # 400 W for 20 ms from a device of 100 W: too short for a peak that the counter shows, so the ceiling is 125 W.
    burst = Power(((4.0, 5.0), (0.02, 400.0), (1.0, 5.0)))
    channel = joules_channel(0.001, 1.0, max_plausible=4 * 100.0)
    series = counter(burst, refreshes(0.001, 9), read_times(0.001, 9), 1.0, channel)
    found = window_energy(series, *at(3.999, 4.021))
    assert (found.energy.lower, found.energy.upper) == (0, pytest.approx(400 * 0.022 + 1))
    assert found.energy.joules == pytest.approx(8, abs=1)
    (reason,) = found.reasons
    assert "the counter rose by more than the device's ceiling allows" in reason
    assert window_energy(series, *at(3.5, 4.5)).reasons == ()


def test_a_model_that_rises_by_several_steps_after_a_rest_is_not_silent():
    rests = Power(((2.0, 100.0), (5.0, 0.0), (1.0, 100.0)))
    channel = joules_channel(0.1, 1.0, source=Source.ESTIMATED, uncertainty=0.3)
    found = window_energy(counter(rests, refreshes(0.1, 12), read_times(0.02, 12), 1.0, channel), *at(1, 6))
    assert found.reasons == ()
    assert found.energy.joules == pytest.approx(100, abs=5)


def test_a_coarse_counter_that_was_frozen_before_a_reset_and_then_catches_up_did_not_count_meanwhile():
    # Steps of 10 J: one takes 2 s at first, from then on one each 0.1 s. Frozen from 3 s on, reset at 6 s.
    early = {0.1 * n: 10.0 * (n >= 5) + 10.0 * min(max(n - 24, 0), 6) for n in range(60)}
    late = {6 + 0.1 * n: 130 + 10.0 * n for n in range(1, 40)}
    channel = joules_channel(0.1, 10.0, max_plausible=3.2 * 200.0)
    found = window_energy(counted(early | late, channel, ((round(6 * SECOND), Reason.RESET),)), *at(1, 9))
    assert found.reasons[0] == "the counter was reset: 3 s were not counted and are filled in with the mean power"


def test_a_counter_that_was_frozen_before_a_reset_did_not_count_from_its_last_change_on():
    # Frozen from 2 s on, reset at 6 s: the read then is refused.
    samples = {0.1 * n: 10.0 * min(n, 20) for n in range(60)} | {6 + 0.1 * n: 200 + 10.0 * n for n in range(1, 40)}
    channel = joules_channel(0.1, 0.001, max_plausible=3.2 * 200.0)
    found = window_energy(counted(samples, channel, ((round(6 * SECOND), Reason.RESET),)), *at(1, 9))
    assert found.reasons[0] == "the counter was reset: 4 s were not counted and are filled in with the mean power"
    assert found.energy.upper >= found.energy.lower + 200 * 4
