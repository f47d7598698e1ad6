"""Sensors with known energy, read as on a real machine: refreshes jitter, reads are late."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waveforms import LIMIT_WATTS

from agent.energy.read_rates import high_rate_period_seconds, run_period_seconds, trailing_seconds
from probes.model import Channel, Device, Kind
from store.records import Series

if TYPE_CHECKING:
    from random import Random

    from waveforms import Waveform

BEFORE_SECONDS = 1.0
"""Simulated time before a window and after it."""
_LATE_SECONDS, _HELD_UP_SHARE, _HELD_UP_SECONDS = 60e-6, 0.002, 0.003
"""Reads are late by an exponential distribution of this mean, and one in 500 by up to 3 ms more."""
_STARVED_SHARE, _STARVED_SECONDS = 0.02, 1.5
"""Beside programs that take every CPU, one read in 50 is delayed by up to 1.5 s, and so are the reads after it."""
_UPDATE_SECONDS = 0.1
_GPU = Device("GPU-simulated", Kind.GPU)
_PACKAGE = Device("package-0", Kind.CPU)


@dataclass(frozen=True)
class Sensor:
    """A sensor: its channel, its refresh period and largest relative earliness, and the duration of a read.

    `averages` is empty for a counter; a gauge shows the mean power of these parts of the time before its last refresh,
    each (seconds before, length).
    """

    name: str
    channel: Channel
    refresh_seconds: float
    jitter: float
    read_seconds: float
    averages: tuple[tuple[float, float], ...] = ()


def _counter(device: Device, stated: float, refresh: float, resolution: float) -> Channel:
    limit = 4 * LIMIT_WATTS
    domain = "package" if device is _PACKAGE else "board"
    return Channel(
        device,
        domain,
        "energy_joules",
        method="counter",
        refresh_seconds=stated,
        resolution=resolution,
        max_plausible=limit,
        observed_refresh_seconds=refresh,
    )


def _gauge(method: str, stated: float) -> Channel:
    return Channel(
        _GPU,
        "board",
        "power_watts",
        method=method,
        refresh_seconds=stated,
        resolution=0.001,
        max_plausible=4 * LIMIT_WATTS,
        observed_refresh_seconds=_UPDATE_SECONDS,
        aliased="of" in method,
    )


COUNTERS = (
    Sensor("counter 1 ms", _counter(_PACKAGE, 0.001, 0.001, 2.0**-14), 0.001, 0.1, 4e-6),
    Sensor("counter 20 ms", _counter(_GPU, 0.1, 0.02, 0.001), 0.02, 0.1, 60e-6),
    Sensor("counter 100 ms", _counter(_GPU, 0.1, 0.1, 0.001), 0.1, 0.1, 60e-6),
)
_QUARTERS = tuple((_UPDATE_SECONDS * number, _UPDATE_SECONDS / 4) for number in range(10, 0, -1))
_AVERAGES = {
    "gauge instant": ("instant", 0.1, ((1e-6, 1e-6),)),
    "gauge 25 of 100 ms": ("average of 25 in 100 ms", 0.1, ((0.025, 0.025),)),
    "gauge 1 s, a quarter": ("average of 250 in 1000 ms", 1.0, _QUARTERS),
    "gauge 1 s average": ("average", 1.0, ((1.0, 1.0),)),
}
GAUGES = tuple(
    Sensor(name, _gauge(method, stated), _UPDATE_SECONDS, 0.1, 60e-6, parts)
    for name, (method, stated, parts) in _AVERAGES.items()
)


@dataclass(frozen=True)
class SimulatedWindow:
    """One window of one load: its edges in ns, the reads, the truth and the result of two plain reads."""

    start_ns: int
    end_ns: int
    series: Series
    joules: float
    two_reads_joules: float


def play(
    sensor: Sensor, waveform: Waveform, window_seconds: float, random: Random, *, starved: bool = False
) -> SimulatedWindow | None:
    """Read a sensor around a window at the rates of `inferometer measure`.

    It reads at the high rate before the start, at the base rate in the middle, and at the high rate again from the
    moment the end is known. On a starved host reads are delayed; None if no read is left after the window or before it.
    """
    start = BEFORE_SECONDS + random.random() * 0.2
    end = start + window_seconds
    shown = _refreshes(sensor, end + BEFORE_SECONDS + 1, random)
    usual, dense = run_period_seconds([sensor.channel]), high_rate_period_seconds([sensor.channel])
    reach = trailing_seconds([sensor.channel], dense or usual)
    if sensor.averages:
        stretches = [(start - reach, end + reach, usual)]
    else:
        stretches = [(start - reach, start + reach, dense), (start + reach, end, usual), (end, end + reach, dense)]
    held_up = (_STARVED_SHARE, _STARVED_SECONDS) if starved else (_HELD_UP_SHARE, _HELD_UP_SECONDS)
    begins, ends, values = _reads(sensor, waveform, shown, stretches, random, held_up)
    series = Series(
        sensor.channel,
        tuple((begin + stop) // 2 for begin, stop in zip(begins, ends, strict=True)),
        tuple(values),
        halves_ns=tuple((stop - begin + 1) // 2 for begin, stop in zip(begins, ends, strict=True)),
    )
    plain = waveform.joules(_last(shown, end)) - waveform.joules(_last(shown, start))
    start_ns, end_ns = round(start * 1e9), round(end * 1e9)
    if not series.times_ns[0] <= start_ns <= end_ns <= series.times_ns[-1]:
        return None
    joules = waveform.joules(end_ns / 1e9) - waveform.joules(start_ns / 1e9)
    return SimulatedWindow(start_ns, end_ns, series, joules, plain)


def _refreshes(sensor: Sensor, until: float, random: Random) -> list[float]:
    moments = [-sensor.refresh_seconds * random.random()]
    while moments[-1] < until:
        moments.append(moments[-1] + sensor.refresh_seconds * (1 - sensor.jitter * random.random()))
    return moments


def _reads(
    sensor: Sensor,
    waveform: Waveform,
    shown: list[float],
    stretches: list[tuple[float, float, float]],
    random: Random,
    held_up: tuple[float, float],
) -> tuple[list[int], list[int], list[float]]:
    begins: list[int] = []
    ends: list[int] = []
    values: list[float] = []
    for first, last, period in stretches:
        numbers = range(max(0, math.ceil((last - first) / period)))
        for number in numbers:
            begin = first + number * period + random.expovariate(1 / _LATE_SECONDS)
            if random.random() < held_up[0]:
                begin += random.uniform(0, held_up[1])
            if ends and begin < ends[-1] / 1e9 - period:
                continue  # missed while another read was delayed
            begin = max(begin, ends[-1] / 1e9 if ends else 0.0)
            stop = begin + sensor.read_seconds * random.uniform(0.8, 2.0)
            begins.append(math.floor(begin * 1e6) * 1000)
            ends.append(math.ceil(stop * 1e6) * 1000)
            values.append(_value(sensor, waveform, _last(shown, random.uniform(begin, stop))))
    return begins, ends, values


def _value(sensor: Sensor, waveform: Waveform, refreshed: float) -> float:
    step = sensor.channel.resolution
    if not sensor.averages:
        return math.floor((1000.0 + waveform.joules(refreshed)) / step) * step
    parts = ((refreshed - back, refreshed - back + length) for back, length in sensor.averages)
    joules = math.fsum(waveform.joules(until) - waveform.joules(since) for since, until in parts)
    return math.floor(joules / sum(length for _, length in sensor.averages) / step) * step


def _last(moments: list[float], at: float) -> float:
    return moments[bisect_right(moments, at) - 1]
