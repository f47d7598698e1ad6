"""The energy of a counter in a window, and its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.window import window_energy
from power_series import at, counted, energy
from probes.model import Reason
from simulated import SECOND, Power, constant, counter, joules_channel, read_times, refreshes


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


def test_energy_drawn_after_a_pause_is_not_spread_over_the_pause():
    # Nothing for two seconds, then 100 W: read every 20 ms, refreshed every 100 ms.
    power = Power(((2.0, 0.0), (1.0, 100.0)))
    series = counter(power, refreshes(0.1, 5), read_times(0.02, 5), 0.0, joules_channel(0.1, 0.001))
    assert energy(series, 1.0, 1.9).joules == pytest.approx(0, abs=0.01)
    assert energy(series, 1.9, 2.5).joules == pytest.approx(50, abs=5.1)


def test_a_coarse_counter_at_low_power_goes_on_evenly_between_its_steps():
    # 1 W in steps of a joule: a step a second, which is not a burst after a pause.
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
