"""Energies of windows worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.bounds import Energy
from agent.energy.window import method_of, window_energy
from probes.model import Channel, Device, Kind, Reason, Source
from simulated import SECOND, Power, constant, counter, joules_channel, read_times, refreshes, watts_channel
from store.records import Series


def at(*seconds):
    return tuple(round(second * SECOND) for second in seconds)


def counted(samples, channel=None, rejections=()):
    return Series(channel or joules_channel(0.1, 0.001), at(*samples), tuple(map(float, samples.values())), rejections)


def gauged(samples, channel=None):
    return Series(channel or watts_channel(), at(*samples), tuple(map(float, samples.values())))


def energy(series, start, end):
    return window_energy(series, *at(start, end)).energy


# --- counters -------------------------------------------------------------------------------------------------------


def test_constant_power_is_found_to_the_joule_between_refreshes():
    series = counter(constant(100.0), refreshes(0.001, 6), read_times(0.01, 6), 0.0, joules_channel(0.001, 2.0**-14))
    found = window_energy(series, *at(2, 4))
    assert found.energy.joules == pytest.approx(200, abs=0.05)
    assert found.mean_watts == pytest.approx(100, abs=0.03)
    assert found.peak_watts == pytest.approx(100, rel=0.1)
    assert found.method == "counter"
    assert found.samples == 201
    assert found.largest_gap_seconds == pytest.approx(0.01)
    assert found.reasons == ()


def test_the_bound_is_the_reads_around_each_edge_and_the_resolution():
    series = counted({0: 0, 1: 100, 2: 200, 3: 300, 4: 400, 5: 500})
    found = energy(series, 1.5, 3.5)
    assert found.lower == pytest.approx(300 - 200 - 0.001)  # the last read before the end, the first after the start
    assert found.upper == pytest.approx(400 - 100 + 0.001)
    assert found.joules == pytest.approx(200)


def test_a_read_within_a_refresh_of_the_edge_does_not_bound_it_from_above():
    series = counted({0: 0, 1: 100, 1.55: 150, 2: 200, 3: 300})
    assert energy(series, 0.5, 1.5).upper == pytest.approx(200 - 0 + 0.001)  # 1.55 may still show the energy at 1.45


def test_a_change_between_two_reads_after_the_edge_bounds_it_from_above():
    series = counted({0: 0, 1: 100, 1.52: 150, 1.55: 155, 2: 200, 3: 300})
    assert energy(series, 0.5, 1.5).upper == pytest.approx(155 - 0 + 0.001)


def test_samples_that_end_within_a_refresh_of_the_end_leave_the_rest_to_the_limit():
    samples = {0: 0, 1: 10, 2: 20, 3: 30}
    channel = joules_channel(refresh=0.5, resolution=0.001, max_plausible=3.2 * 200.0)
    assert energy(counted(samples, channel), 1, 3).upper == pytest.approx(30 - 10 + 200 * 0.5 + 0.001)
    unlimited = energy(counted(samples, replace(channel, max_plausible=0.0)), 1, 3)
    assert unlimited.upper == pytest.approx(30 - 10 + 2000 * 0.5 + 0.001)  # the ceiling of a processor
    assert unlimited.joules == pytest.approx(20)


def test_a_device_that_goes_beyond_its_power_limit_is_bounded_by_four_times_that():
    samples = counted({0: 0, 10: 100, 20: 200, 30: 300}, joules_channel(10.0, 0.001, max_plausible=4 * 8.0))
    assert energy(samples, 1, 30).upper == pytest.approx(300 + 32 * 10 + 0.001)
    tame = replace(samples, channel=joules_channel(10.0, 0.001, max_plausible=4 * 10.0))
    assert energy(tame, 1, 30).upper == pytest.approx(12.5 * 29 + 0.001)


def test_the_power_limit_bounds_an_edge_closer_than_the_reads_around_it():
    channel = joules_channel(refresh=1.0, resolution=0.001, max_plausible=4 * 100.0)
    samples = {0: 0, 1: 80, 2: 160, 3: 240, 4: 320, 5: 400, 6: 480}
    found = energy(counted(samples, channel), 1.9, 4.1)
    # The read at 2 s less the maximum energy of 0.1 s; the read at 5 s, if of 4 s, plus the energy of 0.1 s.
    assert found.upper == pytest.approx(400 + 125 * 0.1 - (160 - 125 * 0.1) + 0.001)
    unlimited = energy(counted(samples, replace(channel, max_plausible=0.0)), 1.9, 4.1)
    assert unlimited.upper == pytest.approx(480 - 80 + 0.001)


def test_a_read_that_took_long_may_be_of_any_moment_in_it():
    series = counted({0: 0, 1: 100, 2: 200, 3: 300, 4: 400, 5: 500})
    slow = replace(series, halves_ns=(SECOND // 4,) * 6)
    found = energy(slow, 1.1, 3.5)
    assert found.lower == pytest.approx(300 - 200 - 0.001)
    assert found.upper == pytest.approx(400 - 0 + 0.001)  # the read about 1 may have been made after 1.1


def test_a_window_that_ends_within_the_last_read_is_bounded_by_the_ceiling_from_the_refresh_before():
    channel = joules_channel(0.1, 0.001, max_plausible=3.2 * 200.0)
    series = replace(counted({0: 0, 1: 100, 2: 200, 3: 300, 4: 400, 5: 500}, channel), halves_ns=(SECOND // 4,) * 6)
    # The read about 5 began at 4.75 and shows a refresh at 4.65 or later; the one about 1 ended at 1.25.
    upper = 500 + 200 * (4.9 - 4.65) - (100 - 200 * 0.25) + 0.001
    assert energy(series, 1, 4.9).upper == pytest.approx(upper)


def test_breaks_without_a_read_between_them_are_one():
    samples = {0: 0, 1: 100, 2: 200, 4: 200, 5: 300, 6: 400}
    resets = tuple((round(at * SECOND), Reason.RESET) for at in (2.5, 3.0))
    found = window_energy(counted(samples, rejections=resets), *at(1, 5))
    assert found.reasons == ("the counter was reset: 1 s were not counted and are filled in with the mean power",)
    assert found.energy.joules == pytest.approx(200 + 200 / 3)


def test_a_window_that_starts_within_the_first_read_may_start_before_its_refresh():
    series = counted(
        {0: 0, 1: 100, 2: 200, 3: 300, 4: 400, 5: 500}, joules_channel(0.1, 0.001, max_plausible=3.2 * 200.0)
    )
    slow = replace(series, halves_ns=(SECOND // 4,) * 6)
    # The first read may be as late as 0.25 s, and what it shows less by what the limit allows since 0.1 s.
    assert energy(slow, 0.1, 3.5).upper == pytest.approx(400 - (0 - 200 * 0.15) + 0.001)


def test_a_counter_that_stepped_back_may_have_lost_energy_until_it_caught_up():
    channel = joules_channel(0.1, 0.001, max_plausible=3.2 * 200.0)
    samples = {0: 0, 1: 100, 2: 200, 4: 400, 5: 500, 6: 600, 7: 700}
    smooth = counted(samples, channel)
    back = replace(smooth, rejections=tuple((round(at * SECOND), Reason.BACKWARD) for at in (2.4, 3.0)))
    for start, end, doubtful in ((1, 6, 2), (3, 6, 1), (4, 6, 0)):
        plain, found = energy(smooth, start, end), energy(back, start, end)
        assert found.upper == pytest.approx(plain.upper + 200 * doubtful)
        assert (found.joules, found.lower) == (plain.joules, plain.lower)


def test_a_counter_that_may_have_wrapped_twice_says_so():
    series = counted({0: 0, 1: 100, 2: 200, 4: 200, 5: 300, 6: 400}, None, ((round(3 * SECOND), Reason.WRAP_UNKNOWN),))
    found = window_energy(series, *at(1, 5))
    assert found.reasons[0].startswith("the counter may have wrapped more than once between two reads: 1 s were not")


def test_a_window_between_two_slow_reads_is_bounded_by_both():
    found = energy(counted({0: 0, 10: 1000, 20: 2000, 30: 3000}), 12, 13)
    assert found.joules == pytest.approx(100)
    assert (found.lower, found.upper) == (0, pytest.approx(1000.001))


def test_a_window_at_the_first_of_slow_reads_is_not_off_by_half_a_refresh():
    truth = constant(100.0)
    read = (0.5, 2.5, 4.5, 6.5)
    shown = tuple(moment - 0.5 for moment in read)  # the mean age of a value, with a refresh a second
    series = counter(truth, shown, read, 0.0, joules_channel(1.0, 0.001))
    assert energy(series, 0.5, 4.5).joules == pytest.approx(400)


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


def test_a_device_that_rests_between_two_small_steps_is_no_silent_counter():
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


def test_energy_drawn_after_a_pause_is_not_spread_over_the_pause():
    # Nothing for two seconds, then 100 W: read every 20 ms, refreshed every 100 ms.
    power = Power(((2.0, 0.0), (1.0, 100.0)))
    series = counter(power, refreshes(0.1, 5), read_times(0.02, 5), 0.0, joules_channel(0.1, 0.001))
    assert energy(series, 1.0, 1.9).joules == pytest.approx(0, abs=0.01)
    assert energy(series, 1.9, 2.5).joules == pytest.approx(50, abs=5.1)


def test_a_coarse_counter_at_low_power_goes_on_evenly_between_its_steps():
    # 1 W in steps of a joule: a step a second, which is no burst after a pause.
    series = counter(constant(1.0), refreshes(0.01, 9), read_times(0.1, 9), 1.0, joules_channel(0.01, 1.0))
    found = window_energy(series, *at(2.5, 4.5))
    assert found.energy.joules == pytest.approx(2, abs=0.15)
    assert found.peak_watts is None


def test_the_peak_of_constant_power_is_that_power_at_any_offset_of_reads_and_refreshes():
    series = counter(
        constant(100.0), refreshes(0.1, 14), read_times(0.1, 14, (0.3, -0.3, 0.1)), 0.0, joules_channel(0.1)
    )
    assert window_energy(series, *at(2, 12)).peak_watts == pytest.approx(100, rel=0.1)


def test_the_peak_is_that_of_the_window_and_no_less_than_the_mean():
    power = Power(((2.0, 500.0), (4.0, 100.0), (1.0, 500.0)))
    series = counter(power, refreshes(0.001, 9), read_times(0.01, 9), 0.0, joules_channel(0.001))
    found = window_energy(series, *at(2.5, 5.5))
    assert found.mean_watts <= found.peak_watts < 120


def test_a_window_too_short_for_a_peak_has_none():
    series = counter(constant(100.0), refreshes(0.1, 5), read_times(0.1, 5), 0.0, joules_channel(0.1))
    found = window_energy(series, *at(2, 2.2))
    assert found.peak_watts is None
    assert found.mean_watts is not None


def test_a_coarse_step_is_found_in_the_rises_if_none_is_stated():
    found = energy(counted({0: 5, 1: 11, 2: 20, 3: 26, 4: 35, 6: 50}, joules_channel()), 1, 3)
    assert (found.lower, found.upper) == (26 - 20 - 3, 35 - 11 + 3)  # all rises are made of threes


def test_a_reset_is_filled_with_the_mean_power_and_bounded_by_the_limit():
    samples = {0: 0, 1: 100, 2: 200, 4: 200, 5: 300, 6: 400}  # reset between 2 and 3: the read at 3 was refused
    channel = joules_channel(refresh=0.1, resolution=0.001, max_plausible=3.2 * 1000.0)
    reset = (round(3 * SECOND), Reason.RESET)
    found = window_energy(counted(samples, channel, (reset,)), *at(1, 5))
    assert found.energy.joules == pytest.approx(200 + 200 / 3)
    assert found.energy.lower == pytest.approx(200 - 0.001 - 100)
    assert found.energy.upper == pytest.approx(400 - 100 + 0.001 + 1000 * 1.1)
    assert found.reasons == ("the counter was reset: 1 s were not counted and are filled in with the mean power",)


def test_a_reset_before_all_samples_or_outside_the_window_takes_nothing_from_it():
    samples = {1: 100, 2: 200, 3: 300, 4: 400, 5: 500}
    reset, error = (round(0.5 * SECOND), Reason.RESET), (round(2.5 * SECOND), Reason.READ_ERROR)
    assert window_energy(counted(samples, rejections=(reset, error)), *at(2, 3)).reasons == ()


def test_a_window_that_a_reset_swallows_has_only_a_bound():
    channel = joules_channel(refresh=0.1, resolution=0.001, max_plausible=3.2 * 1000.0)
    series = counted({0: 0, 1: 100, 9: 100, 10: 200}, channel, ((round(8 * SECOND), Reason.RESET),))
    found = window_energy(series, *at(2, 7))
    assert found.energy.lower == 0
    assert found.energy.upper >= 5000
    assert "5 s were not counted" in found.reasons[0]


# --- gauges ---------------------------------------------------------------------------------------------------------


def test_a_straight_rise_of_power_is_integrated_exactly_with_the_ends_interpolated():
    found = window_energy(gauged({0: 0, 1: 100, 2: 200, 3: 300, 4: 400, 6: 600}), *at(0.5, 3.5))
    assert found.energy.joules == pytest.approx((50 + 350) / 2 * 3)
    assert found.method == "integrated"
    assert found.peak_watts == 400


def test_a_reading_is_dated_back_by_half_a_refresh():
    # 100 W from 0 on, 200 W from 2 on; the gauge shows the mean of the second before.
    series = gauged({0: 100, 1: 100, 2: 100, 3: 200, 4: 200, 5: 200}, watts_channel(1.0, "average"))
    assert energy(series, 1, 3).joules == pytest.approx(100 + 200)


def test_a_gauge_of_moments_observes_no_time_and_is_bounded_by_the_ceiling():
    samples = {0: 100, 1: 100, 2: 300, 3: 300, 4: 300}
    for method in ("instant", "volts*amperes", "", "average"):  # the last over an unknown time
        channel = watts_channel(0.0 if method == "average" else 0.5, method, max_plausible=4 * 400.0)
        found = energy(gauged(samples, channel), 0.5, 2.5)
        assert (found.lower, found.upper) == (0, pytest.approx(500 * 2))
        assert 100 * 2 < found.joules < 300 * 2
    unlimited = energy(gauged(samples, watts_channel(0.5)), 0.5, 2.5)
    assert unlimited.upper == pytest.approx(2000 * 2)


def ramp(channel):
    """An average that is refreshed and read every 0.1 s and always changes a little."""
    return gauged({0.1 * n: 100 + 0.01 * (n % 7) for n in range(100)}, channel)


def test_an_average_is_bounded_by_the_spans_that_lie_in_the_window_and_those_that_cover_it():
    channel = watts_channel(1.0, "average", max_plausible=4 * 400.0, observed_refresh_seconds=0.1, resolution=0.001)
    found = energy(ramp(channel), 3, 7)
    # A span of 1 s is known to a read. Three lie in the window, and a part of a fourth; five cover it and more.
    assert 290 < found.lower < 400 < found.upper < 502
    assert found.joules == pytest.approx(400, rel=0.01)


def test_a_gap_in_the_reads_of_an_average_is_bounded_by_the_ceiling():
    channel = watts_channel(0.5, "average", max_plausible=4 * 400.0, observed_refresh_seconds=0.1, resolution=0.001)
    whole = ramp(channel)
    kept = [n for n, at_ns in enumerate(whole.times_ns) if not 4 * SECOND < at_ns < 6 * SECOND]
    gapped = replace(
        whole, times_ns=tuple(whole.times_ns[n] for n in kept), values=tuple(whole.values[n] for n in kept)
    )
    wide, narrow = energy(gapped, 3, 7), energy(whole, 3, 7)
    assert wide.upper - narrow.upper == pytest.approx(1.5 * (500 - 100), rel=0.3)
    assert narrow.lower - wide.lower == pytest.approx(1.5 * 100, rel=0.5)


def test_the_resolution_of_an_average_is_added_also_where_all_readings_are_equal():
    def width(resolution):
        channel = watts_channel(
            0.1, "average", observed_refresh_seconds=0.01, max_plausible=4 * 400.0, resolution=resolution
        )
        found = energy(gauged({0.01 * n: 100.0 for n in range(500)}, channel), 2, 4)
        return found.upper - found.lower

    assert width(5.0) - width(0.001) >= 2 * 5 * 2 * 0.8
    assert width(0.0) > width(0.001)  # a step that was never seen is taken for a watt


def test_the_step_of_an_average_is_found_in_its_changes():
    channel = watts_channel(0.1, "average", observed_refresh_seconds=0.1, max_plausible=4 * 400.0)
    coarse = energy(gauged({0.1 * n: 100.0 + 3 * (n % 3) for n in range(50)}, channel), 2, 4)
    known = replace(channel, resolution=3.0)
    assert coarse == energy(gauged({0.1 * n: 100.0 + 3 * (n % 3) for n in range(50)}, known), 2, 4)


def test_a_gauge_that_observes_a_part_of_the_time_is_bounded_by_the_ceiling_for_the_rest():
    channel = watts_channel(
        0.1, "average of 25 in 100 ms", max_plausible=4 * 200.0, observed_refresh_seconds=0.1, aliased=True
    )
    series = gauged({0.1 * n: 100 + 0.01 * (n % 7) for n in range(100)}, channel)
    found = energy(replace(series, halves_ns=(0,) * 100), 2, 4)
    assert found.lower < 2 * 0.25 * 100
    assert 2 * (0.25 * 100 + 0.75 * 250) < found.upper <= 2 * 250


def test_an_average_that_is_made_of_parts_of_the_time_is_bounded_as_such():
    channel = watts_channel(1.0, "average of 250 in 1000 ms", max_plausible=4 * 400.0, observed_refresh_seconds=0.1)
    whole = watts_channel(1.0, "average", max_plausible=4 * 400.0, observed_refresh_seconds=0.1)
    parts, full = energy(ramp(channel), 3, 7), energy(ramp(whole), 3, 7)
    assert parts.lower < full.lower / 3
    assert parts.upper > full.upper + 4 * 0.5 * 400


@pytest.mark.parametrize("method", ["instant", "average"])
def test_a_gauge_with_one_fine_value_for_a_long_time_may_be_frozen(method):
    channel = watts_channel(0.1, method, max_plausible=4 * 400.0, observed_refresh_seconds=0.1, resolution=0.001)
    samples = {0.1 * n: 100.123 + 0.01 * min(n, 40) for n in range(200)}  # frozen from 4 s on
    found = window_energy(gauged(samples, channel), *at(2, 14))
    assert found.reasons == ("the gauge showed 100.523 W for 15 s without a change: it may be frozen",)
    assert found.energy.upper >= 10 * 500
    assert window_energy(gauged(samples, channel), *at(1, 3)).reasons == ()
    coarse = window_energy(gauged(samples, replace(channel, resolution=1.0)), *at(2, 14))
    assert coarse.reasons == ()


def test_a_gauge_with_readings_impossible_for_an_average_is_bounded_by_the_ceiling():
    channel = watts_channel(1.0, "average", max_plausible=4 * 400.0, observed_refresh_seconds=0.1)
    leaps = gauged({0.01 * n: 50.0 if n % 20 < 10 else 350.0 + n % 2 for n in range(1000)}, channel)
    found = energy(leaps, 2, 7)
    assert (found.lower, found.upper) == (0, pytest.approx(5 * 500))
    assert found.joules == pytest.approx(5 * 200, rel=0.05)


def test_a_supply_on_standby_is_no_frozen_gauge():
    channel = watts_channel(0.1, "instant", max_plausible=4 * 400.0, resolution=0.001)
    assert window_energy(gauged({0.1 * n: 0.0 for n in range(200)}, channel), *at(2, 14)).reasons == ()


def test_the_noise_of_a_gauge_around_0_is_no_negative_energy():
    noise = {0: 0.01, 1: -0.01, 2: -0.02, 3: -0.01, 4: 0.01, 5: 0.0}
    for method in ("instant", "average"):
        for end in (1, 2, 4, 5):
            found = energy(gauged(noise, watts_channel(0.1, method)), 0, end)
            assert 0 <= found.lower <= found.joules <= found.upper
        below = energy(gauged(dict.fromkeys(range(6), -0.02), watts_channel(0.1, method)), 1, 4)
        assert below.joules == 0


def test_a_model_is_bounded_by_the_readings_around_each_moment_and_its_uncertainty():
    channel = watts_channel(0.01, "model", source=Source.ESTIMATED, uncertainty=0.5)
    found = energy(gauged({0: 100, 1: 100, 2: 300, 3: 300, 4: 300, 5: 300}, channel), 0.5, 3.5)
    assert found.lower == pytest.approx((100 * 1.5 + 300 * 1.5) / 2, rel=0.3)
    assert found.upper == pytest.approx(300 * 3 * 1.5, rel=0.3)


# --- both -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "reasons"),
    [
        (0.5, 2, ("no sample before the window's start",)),
        (1, 4, ("no sample after the window's end",)),
        (0, 4, ("no sample before the window's start", "no sample after the window's end")),
    ],
)
def test_a_window_that_the_samples_do_not_bracket_has_no_energy(start, end, reasons):
    found = window_energy(counted({1: 100, 2: 200, 3: 300}), *at(start, end))
    assert (found.energy, found.mean_watts, found.peak_watts) == (None, None, None)
    assert found.reasons == reasons


def test_a_sensor_whose_readings_were_all_refused_says_why():
    refused = tuple((second * SECOND, Reason.IMPOSSIBLE) for second in range(5))
    found = window_energy(Series(watts_channel(), (), (), (*refused, (9 * SECOND, Reason.SENTINEL))), *at(1, 2))
    assert found.energy is None
    assert found.reasons[-1] == "readings were refused: 5 as impossible, 1 as sentinel (docs/sensor-faults.md)"


def test_a_channel_without_samples_has_no_energy():
    found = window_energy(Series(joules_channel(), (), ()), *at(1, 2))
    assert found.energy is None
    assert len(found.reasons) == 2


def test_an_estimate_has_the_uncertainty_of_its_model_and_is_never_below_0():
    samples = {second: 100.0 * second for second in range(9)}
    half = joules_channel(0.01, 0.001, source=Source.ESTIMATED, uncertainty=0.5)
    found = window_energy(counted(samples, half), *at(2, 4))
    assert found.method == "model"
    assert found.energy.joules == pytest.approx(200)
    assert found.energy.lower == pytest.approx((200 - 2000 * 0.01 - 0.001) / 2)  # less what a refresh may hide
    assert found.energy.upper == pytest.approx((400 + 2000 * 0.01 - 200 + 0.001) * 1.5)
    wide = replace(half, uncertainty=1.3)
    assert energy(counted(samples, wide), 2, 4).lower == 0
    assert energy(counted(samples, wide), 2, 4).upper == pytest.approx((400 + 2000 * 0.01 - 200 + 0.001) * 2.3)


def test_a_window_of_a_long_run_has_the_same_energy_as_alone():
    series = counter(constant(70.0), refreshes(0.01, 60), read_times(0.05, 60), 0.0, joules_channel(0.01, 0.001))
    short = slice(300, 800)
    alone = replace(series, times_ns=series.times_ns[short], values=series.values[short])
    assert energy(series, 24, 31) == energy(alone, 24, 31)


def test_a_window_must_end_after_it_starts():
    with pytest.raises(ValueError, match="must end after it starts"):
        window_energy(counted({0: 0, 1: 1}), SECOND, SECOND)


def test_only_energy_and_power_are_integrated():
    heat = Channel(Device("package-0", Kind.CPU), "package", "temperature_celsius")
    with pytest.raises(ValueError, match="temperature_celsius measures no energy"):
        window_energy(Series(heat, at(0, 1), (40.0, 41.0)), *at(0, 1))


def test_the_method_names_the_origin_of_an_energy():
    assert method_of(joules_channel()) == "counter"
    assert method_of(watts_channel()) == "integrated"
    assert method_of(joules_channel(source=Source.ESTIMATED)) == "model"


def test_energies_add_and_scale_with_their_bounds():
    assert Energy(2, 1, 4).plus(Energy(3, 3, 5)) == Energy(5, 4, 9)
    assert Energy(2, 1, 4).times(0.5) == Energy(1, 0.5, 2)
