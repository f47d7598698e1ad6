"""Windows and sensors of runs with round numbers, for tests of the analysis."""

from __future__ import annotations

from itertools import pairwise

from agent.energy.counted_sensors import Coverage
from agent.energy.window import SeriesEnergy
from agent.profiling.analysis.metrics import Sensors
from probes.model import Channel, Device, Kind, Source
from simulated import SECOND, Power
from store.records import Series, Window

READ_PERIOD = 0.01
NO_CEILING = 1e15  # watts: the reads around an edge bound it, no power does
PACKAGE = Channel(
    Device("package-0", Kind.CPU),
    "package",
    "energy_joules",
    refresh_seconds=1e-9,
    resolution=1e-9,
    max_plausible=NO_CEILING,
)
DRAM = Channel(
    Device("package-0", Kind.CPU),
    "dram",
    "energy_joules",
    refresh_seconds=1e-9,
    resolution=1e-9,
    max_plausible=NO_CEILING,
)
CORE = Channel(
    Device("package-0", Kind.CPU),
    "core",
    "energy_joules",
    refresh_seconds=1e-9,
    resolution=1e-9,
    max_plausible=NO_CEILING,
    contained_in=(("package-0", "package"),),
)
GPU = Channel(
    Device("GPU-a", Kind.GPU), "board", "energy_joules", refresh_seconds=1e-9, resolution=1e-9, max_plausible=NO_CEILING
)
MODEL = Channel(
    Device("package-0", Kind.CPU),
    "package",
    "energy_joules",
    Source.ESTIMATED,
    refresh_seconds=1e-9,
    resolution=1e-9,
    max_plausible=NO_CEILING,
    uncertainty=0.5,
)


def read(channel, power, until):
    """A counter read every 10 ms that is refreshed at every read."""
    moments = range(round(until / READ_PERIOD) + 1)
    return Series(
        channel,
        tuple(round(number * READ_PERIOD * SECOND) for number in moments),
        tuple(power.joules(number * READ_PERIOD) for number in moments),
    )


def power_steps(*watts_and_seconds):
    """Power by power_steps of (watts, seconds)."""
    return Power(tuple((seconds, watts) for watts, seconds in watts_and_seconds))


def sensors(*series, read_period=READ_PERIOD):
    return Sensors.of(series, read_period)


def bare(*series):
    """Sensors of these series, all of them counted."""
    return Sensors(energies(*series), Coverage("package", tuple(each.channel for each in series), ()), READ_PERIOD)


def energies(*series):
    """The energies of windows of each series."""
    return tuple(map(SeriesEnergy, series))


def idle(phase, start, end, side=0):
    return Window("run", "", phase, side, round(start * SECOND), round(end * SECOND))


def window(repeat, start, end, phase="inference", inferences=10, point="batch=1", batch=1, tokens=(0, 0), steps=()):
    """A window of iterations of even length; `tokens` in and out are of one inference."""
    iterations = inferences // batch
    return Window(
        "run",
        point,
        phase,
        repeat,
        round(start * SECOND),
        round(end * SECOND),
        iterations,
        inferences,
        inferences * tokens[0],
        inferences * tokens[1],
        ((end - start) / max(1, iterations),) * iterations,
        tuple(steps),
    )


def repeats(edges, **facts):
    """Windows one after another from edge to edge, each a repeat."""
    return [window(number, start, end, **facts) for number, (start, end) in enumerate(pairwise(edges), 1)]
