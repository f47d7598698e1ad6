"""The energy of a gauge in a window, and its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.window import window_energy
from power_series import at, energy
from probes.model import Source
from simulated import SECOND, watts_channel
from store.records import Series


def gauged(samples, channel=None):
    return Series(channel or watts_channel(), at(*samples), tuple(map(float, samples.values())))


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
    # A span of 1 s is uncertain by one read. Three and a part of a fourth lie in the window; five cover more than it.
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


def test_a_supply_on_standby_is_not_a_frozen_gauge():
    channel = watts_channel(0.1, "instant", max_plausible=4 * 400.0, resolution=0.001)
    assert window_energy(gauged({0.1 * n: 0.0 for n in range(200)}, channel), *at(2, 14)).reasons == ()


def test_the_noise_of_a_gauge_around_0_is_not_a_negative_energy():
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
