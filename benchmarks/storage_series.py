"""Makes the ticks of a simulated host with a fixed seed, as probes would read them, for `storage`.

Work comes in bursts between idle periods of random length. A processor's power follows it with 8 % of noise from one
reading to the next, which its counters add up: counts of 2**-14 J (package, core) or 15.3 uJ (memory) as the kernel's
powercap shows them, in whole microjoules. A GPU's counter is in millijoules, its power in milliwatts, its clock in
steps of 15 MHz, its memory in steps of 2 MiB. Utilization is the share of busy clock ticks, temperatures change
slowly, a clock is the mean of a processor's cores in kHz. Reads start up to 200 us late and take 20 to 300 us.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.model import Channel, Device, Kind
from store.records import Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

START_NS = 1_764_000_000 * 10**9
IDLE, FULL = 0.05, 0.9
"""The limits of a device's utilization while it idles or is fully busy."""
_BUSY_SHARE = 0.6
Sensor = tuple[Channel, "Iterator[float]"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A probe that is read every `period_seconds`, and its values."""

    name: str
    period_seconds: float
    channels: tuple[Channel, ...]
    rows: tuple[tuple[float, ...], ...]


def host(period_seconds: float, seconds: float, sockets: int = 2, gpus: int = 8) -> list[Simulated]:
    """Return the probes of a server."""
    seed = random.Random(20251)
    count = round(seconds / period_seconds)
    processors = [_processor(number, seed, period_seconds, count) for number in range(sockets)]
    probes = [("rapl", [sensor for one in processors for sensor in one[0]])]
    probes += [(f"nvml/{number}", _gpu(number, seed, period_seconds, count)) for number in range(gpus)]
    probes += [("cpu", [sensor for one in processors for sensor in one[1]]), ("memory", _memory(seed, count))]
    probes += [("hwmon", _board(seed, count))]
    return [_simulated(name, period_seconds, sensors, count) for name, sensors in probes]


def ticks(layout: int, probe: Simulated, seed: int = 7) -> list[Tick]:
    """Return the ticks of a probe, with timestamps in whole microseconds as those of the sampler."""
    draw = random.Random(seed)
    found = []
    for number, values in enumerate(probe.rows):
        start = START_NS + round(number * probe.period_seconds * 1e6) * 1000 + int(draw.expovariate(1 / 60)) * 1000
        found.append(Tick(layout, start, start + (20 + int(draw.gammavariate(4, 10))) * 1000, values))
    return found


def _simulated(name: str, period: float, sensors: Sequence[Sensor], count: int) -> Simulated:
    columns = [[next(values) for _ in range(count)] for _, values in sensors]
    return Simulated(name, period, tuple(channel for channel, _ in sensors), tuple(zip(*columns, strict=True)))


def _load(seed: random.Random, period: float, count: int) -> list[float]:
    """Return the utilization of a device at each moment, 0 to 1: bursts between idle periods."""
    levels: list[float] = []
    while len(levels) < count:
        busy = seed.uniform(0.4, 1.0) if seed.random() < _BUSY_SHARE else seed.uniform(0.0, IDLE)
        levels += [busy] * max(1, round(seed.expovariate(1 / 20) / period))
    return levels[:count]


def _watts(seed: random.Random, load: Sequence[float], idle: float, full: float) -> list[float]:
    return [max(1.0, (idle + busy * (full - idle)) * seed.gauss(1.0, 0.08)) for busy in load]


def _counter(watts: Sequence[float], period: float, shown: Callable[[float], float]) -> Iterator[float]:
    joules = 81_234.5
    for each in watts:
        joules += each * period
        yield shown(joules)


def _powercap(unit: int) -> Callable[[float], float]:
    """Convert joules as the kernel does: counts of `unit` nanojoules that wrap at 2**32, in whole microjoules."""

    def shown(joules: float) -> float:
        turns, counts = divmod(int(joules * 1e9 / unit), 1 << 32)
        return (turns * (((1 << 32) - 1) * unit // 1000) + counts * unit // 1000) / 1e6

    return shown


def _steps(values: Iterator[float], step: float, scale: float = 1.0) -> Iterator[float]:
    return (round(value / step) * step / scale for value in values)


def _slow(seed: random.Random, load: Sequence[float], low: float, high: float, lag: float = 0.02) -> Iterator[float]:
    value = low
    for busy in load:
        value += lag * (low + busy * (high - low) - value) + seed.gauss(0.0, (high - low) * 0.002)
        yield value


def _busy(seed: random.Random, load: Sequence[float], per_read: int) -> Iterator[float]:
    for level in load:
        passed = max(1, per_read + seed.choice((-1, 0, 0, 0, 1)))
        yield min(passed, max(0, round(passed * seed.gauss(level, 0.03)))) / passed


def _processor(number: int, seed: random.Random, period: float, count: int) -> tuple[list[Sensor], list[Sensor]]:
    device, cores = Device(f"package-{number}", Kind.CPU), 48
    load = _load(seed, period, count)
    package, core, dram = (_watts(seed, load, *range_) for range_ in ((70, 250), (30, 200), (8, 30)))
    counters = [
        (Channel(device, "package", "energy_joules"), _counter(package, period, _powercap(61035))),
        (Channel(device, "core", "energy_joules"), _counter(core, period, _powercap(61035))),
        (Channel(device, "dram", "energy_joules"), _counter(dram, period, _powercap(15300))),
    ]
    clocks = (sum(round(seed.gauss(2.0e6 + 1.4e6 * busy, 5e4)) * 1e3 for _ in range(8)) / 8 for busy in load)
    others = [
        (Channel(device, "package", "utilization_ratio"), _busy(seed, load, max(1, round(100 * period * cores)))),
        (Channel(device, "package", "frequency_hertz"), clocks),
        (Channel(device, "package", "cores"), iter([float(cores)] * count)),
    ]
    return counters, others


def _gpu(number: int, seed: random.Random, period: float, count: int) -> list[Sensor]:
    device = Device(f"GPU-{number}", Kind.GPU)
    load = _load(seed, period, count)
    watts = _watts(seed, load, 60, 400)
    percent = (min(100, max(0, round(seed.gauss(100 * busy, 4) if busy > IDLE else 0))) / 100 for busy in load)
    memory = (2.0**21 * round((4_000 + 60_000 * busy) / 2) for busy in load)
    clock = (1e6 * (1980 - 15 * seed.choice((0, 0, 0, 1, 2, 5))) if busy > IDLE else 345e6 for busy in load)
    return [
        (Channel(device, "board", "energy_joules"), _counter(watts, period, lambda joules: int(joules * 1e3) / 1e3)),
        (Channel(device, "board", "power_watts"), (round(value * 1e3) / 1000 for value in watts)),
        (Channel(device, "board", "power_limit_watts"), iter([400.0] * count)),
        (Channel(device, "board", "utilization_ratio"), percent),
        (Channel(device, "board", "memory_used_bytes"), memory),
        (Channel(device, "board", "memory_total_bytes"), iter([85_899_345_920.0] * count)),
        (Channel(device, "board", "temperature_celsius"), _steps(_slow(seed, load, 32, 70), 1.0)),
        (Channel(device, "board", "frequency_hertz"), clock),
        (Channel(device, "memory", "frequency_hertz"), iter([2_619e6] * count)),
        (Channel(device, "board", "throttle_reasons"), (4.0 if busy > FULL else 1.0 * (busy < IDLE) for busy in load)),
    ]


def _memory(seed: random.Random, count: int) -> list[Sensor]:
    device = Device("memory", Kind.MEMORY)
    used = (1024.0 * (90_000_000 + 4 * round(seed.gauss(0, 3_000))) for _ in range(count))
    return [
        (Channel(device, "memory", "memory_used_bytes"), used),
        (Channel(device, "memory", "memory_total_bytes"), iter([540_934_144_000.0] * count)),
    ]


def _board(seed: random.Random, count: int) -> list[Sensor]:
    load = _load(seed, 1.0, count)
    sensors: list[Sensor] = []
    for number in range(12):
        device = Device(f"hwmon-{number}", Kind.BOARD)
        degrees = _steps(_slow(seed, load, 35, 60, 0.01), (1000, 500, 125, 250)[number % 4] / 1000)
        sensors.append((Channel(device, "board", "temperature_celsius"), degrees))
    supply = Device("psu-1", Kind.PSU)
    watts = (round(value) * 1.0 for value in _watts(seed, load, 500, 3000))
    return [*sensors, (Channel(supply, "wall", "power_watts"), watts)]


def by_metric(probes: Sequence[Simulated]) -> dict[str, list[tuple[float, ...]]]:
    """Return the series of every metric."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for probe in probes:
        for channel, values in zip(probe.channels, zip(*probe.rows, strict=True), strict=True):
            found.setdefault(channel.metric, []).append(values)
    return found
