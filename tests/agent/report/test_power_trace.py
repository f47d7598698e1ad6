"""The power of a run over time, from samples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.report.power_trace import power_trace
from store.records import Series, Window
from synthetic_run import DRAM, PACKAGE

SECOND = 10**9


def counter(channel, *steps, gap=(99, 99)):
    """A counter read every 0.1 s: each step is a power and its length in seconds; reads within the gap are left out."""
    times, joules, at, total = [], [], 0, 0.0
    for watts, seconds in steps:
        for _ in range(round(seconds * 10)):
            if not gap[0] * SECOND < at < gap[1] * SECOND:
                times.append(at)
                joules.append(total)
            at += SECOND // 10
            total += watts / 10
    return Series(channel, (*times, at), (*joules, total))


def window(start, end, point="", phase="idle_unloaded"):
    return Window("run", point, phase, 1, round(start * SECOND), round(end * SECOND))


WINDOWS = [window(0, 4), window(4, 8, '{"batch":4}', "decode")]


def test_the_power_of_a_counter_is_its_rise_over_the_time() -> None:
    trace = power_trace([counter(PACKAGE, (10, 4), (50, 4))], WINDOWS)
    assert trace.total[0] == pytest.approx(10)
    assert trace.total[-1] == pytest.approx(50)
    assert sum(trace.total) / len(trace.total) == pytest.approx(30)
    assert [(each.name, each.idle, each.start, each.end) for each in trace.windows] == [
        ("idle unloaded", True, 0.0, 4.0),
        ("batch=4 decode, repeat 1", False, 4.0, 8.0),
    ]


def test_the_total_is_the_sum_of_the_sensors_and_unknown_while_one_is_silent() -> None:
    package = counter(PACKAGE, (10, 8))
    trace = power_trace([package, counter(DRAM, (5, 8), gap=(2, 6))], WINDOWS)
    assert [name for name, _ in trace.sensors] == ["package-0/package", "package-0/dram"]
    known = [watts for watts in trace.total if watts is not None]
    assert known == pytest.approx([15.0] * len(known))
    silent = [watts is None for watts in trace.total]
    assert 0.4 < sum(silent) / len(silent) < 0.6
    assert None not in trace.sensors[0][1]


def test_a_gauge_is_averaged_over_each_part_of_the_time() -> None:
    channel = replace(PACKAGE, metric="power_watts", refresh_seconds=0.2)
    times = tuple(range(0, 9 * SECOND, SECOND // 10))
    gauge = Series(channel, times, tuple(20.0 if at < 4.1 * SECOND else 40.0 for at in times))
    trace = power_trace([gauge], WINDOWS)
    assert (trace.total[1], trace.total[-2]) == (pytest.approx(20), pytest.approx(40))
    assert len(trace.total) == 20  # two refresh periods or more each


def test_a_counter_that_falls_has_no_power_there() -> None:
    series = Series(PACKAGE, tuple(at * SECOND for at in range(9)), (0, 10, 20, 30, 5, 15, 25, 35, 45))
    trace = power_trace([series], WINDOWS)
    assert min(watts for watts in trace.total if watts is not None) == pytest.approx(10)
    assert None in trace.total


def test_without_samples_there_is_no_power() -> None:
    assert power_trace([], WINDOWS) is None
    assert power_trace([Series(PACKAGE, (1,), (1.0,))], WINDOWS) is None


def test_without_windows_the_power_is_that_of_all_samples() -> None:
    trace = power_trace([counter(PACKAGE, (10, 4), (30, 4))], [])
    assert trace.windows == ()
    assert sum(trace.total) / len(trace.total) == pytest.approx(20)
