"""A simulated host with known power: parts whose counters move with the load, and meters over them.

The load has one level for each ten seconds. A part draws a constant power and a multiple of the load; a meter draws the
sum of parts over its efficiency, and a constant power of its own.
"""

from __future__ import annotations

import time
from dataclasses import replace

from agent.energy.crosscheck import cross_check_layers, powers
from agent.energy.layers import WorkingChannels
from agent.energy.window import SeriesEnergy
from agent.host.inventory import host_id
from probes.model import Kind
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR
from sensor_channels import channel
from simulated import SECOND, Power, counter, read_times, refreshes
from store.database import open_database
from store.records import Host, Tick
from store.writer import Writer
from stored import prepared, store_of

LEVELS = (0.0, 150.0, 60.0, 100.0, 20.0, 150.0, 0.0, 80.0)
STEP_SECONDS = 10.0
READ_SECONDS = 0.05
KNOWN = {"refresh_seconds": 0.01, "resolution": 1e-3}
PARTS = {"package": (25.0, 1.0), "dram": (4.0, 0.1), "gpu": (18.0, 1.6)}
"""Watts without a load, and for each watt of the load."""


def power_of(names, *, efficiency=1.0, constant=0.0, levels=LEVELS):
    """Return the power of some parts over the efficiency, with a constant power beside it."""
    own, gain = (sum(PARTS[name][axis] for name in names) for axis in (0, 1))
    return Power(tuple((STEP_SECONDS, (own + gain * level) / efficiency + constant) for level in levels))


def counted(sensor, power, period=READ_SECONDS):
    """The readings of a counter that refreshes every 10 ms."""
    until = STEP_SECONDS * len(power.steps)
    return counter(power, refreshes(0.01, until), read_times(period, until), 1e-3, _limited(sensor, power))


def _limited(sensor, power):
    """Return a sensor whose device has a power limit of a tenth above its highest power."""
    return replace(sensor, max_plausible=PLAUSIBLE_LIMIT_FACTOR * 1.1 * power.highest)


def package(levels=LEVELS):
    return counted(
        channel("package-0", "package", Kind.CPU, ("psys", "psys"), **KNOWN), power_of(["package"], levels=levels)
    )


def dram(levels=LEVELS):
    return counted(channel("package-0", "dram", Kind.CPU, ("psys", "psys"), **KNOWN), power_of(["dram"], levels=levels))


def gpu(levels=LEVELS):
    return counted(channel("GPU-a", "board", Kind.GPU, **KNOWN), power_of(["gpu"], levels=levels))


def psys(names=("package", "dram"), **more):
    return counted(channel("psys", "psys", Kind.BOARD, **KNOWN), power_of(names, **more))


def plug(names=tuple(PARTS), efficiency=0.9, constant=40.0, **more):
    return counted(
        channel("meter-desk", "wall", Kind.HOST, **KNOWN),
        power_of(names, efficiency=efficiency, constant=constant, **more),
    )


def windows_of(count=8, margin=1.5):
    """The start and end of a window within each level, in nanoseconds."""
    edges = [(number * STEP_SECONDS + margin, (number + 1) * STEP_SECONDS - margin) for number in range(count)]
    return [(round(start * SECOND), round(end * SECOND)) for start, end in edges]


def checked(*series, windows=None):
    """Cross-check the layers of some sensors over a window in each level."""
    energies, working = [SeriesEnergy(each) for each in series], WorkingChannels()
    working.add(series)
    spans = windows_of() if windows is None else windows
    return cross_check_layers(working.channels, [powers(energies, *span) for span in spans])


def store_series(home, series):
    """Store the samples of a host, one read a second of each sensor; the last is a minute old."""
    engine = open_database(str(prepared(store_of(home))))
    writer = Writer(engine)
    began_ns = time.time_ns() - series[0].times_ns[-1] - 60 * SECOND
    probes = [(f"probe-{number}", (each.channel,)) for number, each in enumerate(series)]
    layouts = writer.register(Host(host_id(), "name"), probes, "daemon", began_ns)
    ticks = [
        Tick(layout.id, began_ns + at_ns, began_ns + at_ns + 2000, (value,))
        for layout, each in zip(layouts, series, strict=True)
        for at_ns, value in list(zip(each.times_ns, each.values, strict=True))[:: round(1 / READ_SECONDS)]
    ]
    writer.append(sorted(ticks, key=lambda tick: tick.start_ns))
    engine.dispose()
