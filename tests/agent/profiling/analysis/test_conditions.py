"""Load, temperatures, frequencies, limits and throttling from the samples around the windows of a point."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.host.records import GpuLoad, HostLoad, HostSettings, RunEnvironment, window_key
from agent.profiling.analysis.conditions import changed_settings, conditions
from agent.profiling.run_facts import GpuSharing
from simulated import SECOND
from store.records import Series
from synthetic_run import GPU, PACKAGE, idle, repeats

POINT = tuple((each,) for each in repeats((10, 20, 30, 40)))
LOAD = HostLoad(seconds=10.0, processors=4, own=15.0, others=2.0, stolen=0.4, open_seconds=0.04, throttles=0)


def series(metric, *samples, domain="board"):
    """Samples of (second, value)."""
    channel = replace(GPU, metric=metric, domain=domain)
    return Series(channel, tuple(round(at * SECOND) for at, _ in samples), tuple(float(value) for _, value in samples))


def reported(*found):
    return conditions(POINT, RunEnvironment(series=found))


def only_device(*found):
    (device,) = reported(*found).devices
    return device


def test_load_is_the_mean_over_the_windows_and_the_worst_of_them():
    worst = replace(LOAD, others=8.04, stolen=4.0, throttles=3)
    loads = {window_key(POINT[0][0]): LOAD, window_key(POINT[1][0]): LOAD, window_key(POINT[2][0]): worst}
    found = conditions(POINT, RunEnvironment(loads=loads))
    assert found.self_cpus == approx(1.5)
    assert found.other_cpus == approx(12.04 / 30)
    assert found.max_other_cpus == approx(0.8)  # without the tick that may not be theirs
    assert found.steal_share == approx(0.1)
    assert found.thermal_throttle_events == 3


def test_the_load_of_the_idle_baselines_is_that_of_the_worst_one():
    around = (idle("idle_unloaded", 1, 4), idle("idle_unloaded", 50, 54, side=1))
    loads = {window_key(around[0]): LOAD, window_key(around[1]): replace(LOAD, others=8.04)}
    assert conditions(POINT, RunEnvironment(loads=loads), around).baseline_other_cpus == approx(0.8)
    assert conditions(POINT, RunEnvironment(), around).baseline_other_cpus is None


def test_load_within_the_clock_resolution_belongs_to_no_one():
    loads = {window_key(POINT[0][0]): replace(LOAD, others=0.03, throttles=None)}
    found = conditions(POINT, RunEnvironment(loads=loads))
    assert (found.max_other_cpus, found.thermal_throttle_events) == (0, None)


def test_the_sharing_of_a_gpu_is_the_mean_and_the_worst_of_the_known_windows():
    reported = (GpuLoad("GPU-a", 0.6, 0.0, 0), GpuLoad("GPU-a", 0.3, 0.3, 2), GpuLoad("GPU-a", None, None, None))
    loads = {
        window_key(window): replace(LOAD, seconds=seconds, gpus=(gpu, GpuLoad("GPU-b", None, None, None)))
        for (window,), seconds, gpu in zip(POINT, (10.0, 20.0, 40.0), reported, strict=True)
    }
    first, other = conditions(POINT, RunEnvironment(loads=loads)).gpus
    assert first == GpuSharing("GPU-a", approx(0.4), approx(0.2), 0.3, 2)
    assert other == GpuSharing("GPU-b", None, None, None, None)


def test_without_snapshots_and_samples_nothing_is_known():
    found = reported(series("temperature_celsius"))
    assert found == conditions(POINT, RunEnvironment())
    assert (found.self_cpus, found.other_cpus, found.steal_share, found.devices) == (None, None, None, ())


def test_temperature_and_limit_are_from_the_first_start_and_the_last_end():
    device = only_device(
        series("temperature_celsius", (9, 40), (15, 50), (39, 60), (41, 99)),
        series("power_limit_watts", (9, 300), (39, 250)),
    )
    assert (device.start_celsius, device.end_celsius) == (40, 60)
    assert (device.start_power_limit_watts, device.end_power_limit_watts) == (300, 250)


def test_a_reading_that_is_old_or_later_does_not_count():
    device = only_device(series("temperature_celsius", (4.9, 40), (12, 50), (34.9, 60)))
    assert (device.start_celsius, device.end_celsius) == (None, None)


def test_frequencies_are_means_over_the_first_and_the_last_repeat():
    device = only_device(series("frequency_hertz", (9, 7e9), (10, 1e9), (19, 3e9), (20, 9e9), (31, 4e9), (40, 7e9)))
    assert (device.start_frequency_hertz, device.end_frequency_hertz) == (2e9, 4e9)
    device = only_device(series("frequency_hertz", (25, 1e9)))
    assert (device.start_frequency_hertz, device.end_frequency_hertz) == (None, None)


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x00, ()),
        (0x01 | 0x02 | 0x10 | 0x100, ()),  # idle, set by the user, in step with another
        (0x04, ("power_cap",)),
        (0x08 | 0x80, ("hardware_slowdown", "power_brake")),
        (0x60, ("software_thermal", "hardware_thermal")),
    ],
)
def test_only_bits_that_limit_clocks_are_throttling(bits, names):
    device = only_device(series("throttle_reasons", (9, 0xFF), (11, 0), (12, bits), (25, 0), (26, bits), (41, 0xFF)))
    assert device.throttle_reasons == names
    assert device.throttled_share == (0.5 if names else 0)


def test_throttled_time_counts_only_within_windows():
    apart = tuple((each,) for each in (POINT[0][0], POINT[2][0]))
    counter = series("throttled_seconds", (9, 1), (19, 1.5), (29, 7), (39, 7.25), (50, 9))
    (device,) = conditions(apart, RunEnvironment(series=(counter,))).devices
    assert device.throttled_seconds == approx(0.75)
    assert only_device(series("throttled_seconds", (9, 1), (39, 2))).throttled_seconds is None
    assert device.throttled_share is None


def test_an_accelerator_busy_in_the_idle_baselines_works_for_others():
    around = (idle("idle_unloaded", 1, 4), idle("idle_unloaded", 50, 54, side=1))
    board = series("utilization_ratio", (2, 0.5), (15, 1), (51, 0.1))
    host = replace(board, channel=replace(board.channel, device=PACKAGE.device))
    (device,) = conditions(POINT, RunEnvironment(series=(board, host)), around).devices
    assert (device.device, device.baseline_utilization) == ("GPU-a", approx(0.3))
    assert only_device(board).baseline_utilization is None


def test_each_part_of_a_device_has_its_own_conditions():
    found = reported(series("temperature_celsius", (9, 40), domain="core"), series("power_limit_watts", (9, 300)))
    assert [(each.device, each.domain) for each in found.devices] == [("GPU-a", "core"), ("GPU-a", "board")]


START = HostSettings(("performance",), (3e9,), {"package-0 long_term": 100.0, "gone": 1.0}, 50.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu_celsius": 90.0}, ()),
        ({"cpu_governors": ("powersave",)}, ("governor from performance to powersave",)),
        ({"cpu_frequency_limits_hertz": (2e9,)}, ("the highest CPU frequencies",)),
        ({"power_limits_watts": {"package-0 long_term": 80.0}}, ("power limit package-0 long_term from 100 to 80 W",)),
    ],
)
def test_settings_that_changed_are_named(change, words):
    assert changed_settings(RunEnvironment(start=START, end=structs.replace(START, **change)), ()) == words


def test_a_device_s_limit_that_changed_is_named_and_an_unknown_one_is_not():
    moved = only_device(series("power_limit_watts", (9, 300), (39, 250)))
    known = only_device(series("power_limit_watts", (9, 300), (39, 300)))
    open_end = only_device(series("power_limit_watts", (9, 300)))
    nothing = RunEnvironment(start=START)
    assert changed_settings(nothing, (known, moved, open_end)) == ("power limit GPU-a/board from 300 to 250 W",)


def test_the_largest_share_of_a_window_stopped_by_a_quota_is_reported():
    loads = {window_key(POINT[0][0]): replace(LOAD, quota_stopped=0.5), window_key(POINT[1][0]): LOAD}
    loads[window_key(POINT[2][0])] = replace(LOAD, quota_stopped=2.0)
    assert conditions(POINT, RunEnvironment(loads=loads)).quota_stopped_share == approx(0.2)
    assert conditions(POINT, RunEnvironment()).quota_stopped_share is None
