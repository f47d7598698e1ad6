"""The share of other programs in the energy of each kind of sensor."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.host.records import GpuLoad, HostLoad, window_key
from agent.profiling.analysis.background import attribute_background
from agent.profiling.analysis.metrics import sensor_windows
from probes.model import Channel, Device, Kind
from simulated import constant
from synthetic_run import DRAM, GPU, PACKAGE, energies, idle, read, window

WINDOW, IDLE = window(1, 6, 8), idle("idle_unloaded", 1, 3)
BUSY = HostLoad(seconds=2.0, processors=4, own=3.0, others=1.0, stolen=0.0, open_seconds=0.0, throttles=None)
CALM = replace(BUSY, own=0.0, others=0.0)
WALL = Channel(Device("psu", Kind.PSU), "wall", "energy_joules", refresh_seconds=1e-9, resolution=1e-9)
PSYS = replace(PACKAGE, device=Device("psys", Kind.CPU), domain="psys")


def lowered(channel, load, calm=CALM, unloaded=(IDLE,)):
    """Return by how many of the 200 J of a window at 100 W a bound is lower; idle power is 100 W as well."""
    series = energies(read(channel, constant(100.0), 10))
    found = sensor_windows([(WINDOW,)], series)
    loads = {window_key(WINDOW): load} | ({window_key(IDLE): calm} if calm else {})
    (reading,) = attribute_background(found, [(WINDOW,)], series, loads, unloaded)
    before, after = found[0].windows[0][0].energy, reading.windows[0][0].energy
    assert (after.joules, after.upper) == (before.joules, before.upper)
    return before.lower - after.lower


def gpu(own, others, programs=0, device="GPU-a"):
    return replace(BUSY, others=0.0, gpus=(GpuLoad(device, own, others, programs),))


@pytest.mark.parametrize("channel", [PACKAGE, DRAM, WALL, PSYS])
def test_the_share_of_cpu_time_applies_to_the_energy_of_everything_but_accelerators(channel):
    assert lowered(channel, BUSY, calm=None) == approx(200 / 4)
    assert lowered(GPU, BUSY, calm=None) == 0


@pytest.mark.parametrize(
    ("load", "share"),
    [
        (gpu(0.5, 0.5), 0.5),
        (gpu(0.6, 0.2), 0.25),
        (gpu(0.6, 0.0), 0),
        (gpu(0.0, 0.0), 0),
        (gpu(None, None, None), 0),  # nothing is known
        (gpu(None, None, 0), 0),
        (gpu(None, None, 2), 1),  # two others have it open, and may have used all of it
        (gpu(0.5, 0.5, device="GPU-b"), 0),
    ],
)
def test_the_energy_of_a_gpu_is_shared_by_its_processes(load, share):
    assert lowered(GPU, load, calm=None) == approx(min(200 * share, 199))  # the bound of 199 J does not fall below 0
    assert lowered(PACKAGE, load, calm=None) == 0


@pytest.mark.parametrize("channel", [WALL, PSYS])
def test_a_sensor_of_the_whole_node_takes_the_largest_share_of_its_parts(channel):
    assert lowered(channel, gpu(0.5, 0.5), calm=None) == approx(100)
    assert lowered(channel, replace(gpu(0.9, 0.1), others=1.0), calm=None) == approx(50)


def test_the_resolution_of_the_clock_tick_does_not_count_as_other_load():
    assert lowered(PACKAGE, replace(BUSY, others=0.03, open_seconds=0.04), calm=None) == 0


@pytest.mark.parametrize(
    ("channel", "load", "calm", "is_quiet"),
    [
        (PACKAGE, BUSY, CALM, True),
        (PACKAGE, BUSY, replace(CALM, others=0.1), True),
        (PACKAGE, BUSY, replace(CALM, others=0.3), False),
        (PACKAGE, BUSY, replace(CALM, gpus=(GpuLoad("GPU-a", 0.0, 0.5, 1),)), True),
        (GPU, gpu(0.5, 0.5), replace(CALM, gpus=(GpuLoad("GPU-a", 0.0, 0.01, 1),)), True),
        (GPU, gpu(0.5, 0.5), replace(CALM, gpus=(GpuLoad("GPU-a", 0.0, 0.02, 1),)), False),
        (GPU, gpu(0.5, 0.5), replace(CALM, gpus=(GpuLoad("GPU-a", None, None, None),)), False),
        (GPU, gpu(0.5, 0.5), replace(CALM, others=9.0, gpus=(GpuLoad("GPU-b", 0.0, 0.5, 1),)), True),
        (WALL, BUSY, replace(CALM, gpus=(GpuLoad("GPU-a", 0.0, 0.5, 1),)), False),
        (WALL, BUSY, replace(CALM, others=0.3), False),
        (WALL, BUSY, CALM, True),
    ],
)
def test_only_the_energy_above_an_unloaded_baseline_is_shared(channel, load, calm, is_quiet):
    """The power never changes, so nothing is dynamic: with a quiet baseline its own bound alone is shared."""
    assert (lowered(channel, load, calm) < 5) is is_quiet


def test_without_a_baseline_the_whole_energy_is_shared():
    assert lowered(PACKAGE, BUSY, unloaded=()) == approx(50)
    assert lowered(PACKAGE, BUSY, calm=None) == approx(50)


def test_a_window_without_energy_or_of_unknown_load_does_not_change():
    series = energies(read(PACKAGE, constant(100.0), 7))
    found = sensor_windows([(WINDOW,)], series)
    assert attribute_background(found, [(WINDOW,)], series, {window_key(WINDOW): BUSY}, (IDLE,)) == found
    whole = energies(read(PACKAGE, constant(100.0), 10))
    found = sensor_windows([(WINDOW,)], whole)
    assert attribute_background(found, [(WINDOW,)], whole, {window_key(IDLE): CALM}, (IDLE,)) == found
    assert attribute_background(found, [(WINDOW,)], whole, {}, (IDLE,)) == found
