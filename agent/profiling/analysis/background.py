"""Widens the energy of windows for the load of other programs: from the share of the workload to everything; pure.

Sensors measure the whole device, so every energy includes the work of other programs. The upper bound stays: all of it
can belong to the workload. The lower bound omits the share of the others in the dynamic energy, by their share of the
busy time. That is an attribution: a CPU second of theirs can draw more than one of the workload.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy
from agent.energy.containment import ACCELERATORS
from agent.host.records import window_key
from agent.profiling.analysis.metrics import SensorWindows, idle_watts
from probes.model import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.energy.window import Energies, WindowEnergy
    from agent.host.records import GpuLoad, HostLoad, WindowKey
    from agent.profiling.analysis.metrics import Repeat
    from probes.model import Channel
    from store.records import Window

MAX_OTHER_CPUS = 0.1
MAX_OTHER_SHARE = 0.01
"""The limits of other load: a tenth of a CPU, or a hundredth of all CPUs if that is more; a hundredth of a GPU's time.

A tenth of a CPU is a few tenths of a percent of a host's power between idle and full load, well below the limit of the
spread. A hundredth is the resolution of the GPU's driver.
"""
_CPU_ONLY = frozenset({Kind.CPU, Kind.MEMORY})


def attribute_background(
    found: Sequence[SensorWindows],
    repeats: Sequence[Repeat],
    series: Sequence[Energies],
    loads: Mapping[WindowKey, HostLoad],
    unloaded: Sequence[Window],
) -> tuple[SensorWindows, ...]:
    """Return the energies by `series` with lower bounds without the energy of other programs.

    Their share applies to the energy above the unloaded baselines if these had no other load, else to the whole energy,
    as the idle power is unknown then. A window of unknown load does not change.
    """
    if not loads:
        return tuple(found)
    baseline = [loads.get(window_key(window)) for window in unloaded]
    return tuple(
        _attribute_reading(reading, each, repeats, loads, unloaded, baseline)
        for reading, each in zip(found, series, strict=True)
    )


def _attribute_reading(
    reading: SensorWindows,
    series: Energies,
    repeats: Sequence[Repeat],
    loads: Mapping[WindowKey, HostLoad],
    unloaded: Sequence[Window],
    baseline: Sequence[HostLoad | None],
) -> SensorWindows:
    channel = reading.channel
    quiet = bool(baseline) and all(load is not None and _is_unloaded(load, channel) for load in baseline)
    watts = idle_watts(unloaded, (series,)) if quiet else None
    idle = max(0.0, watts.lower) if watts else 0.0
    windows = tuple(
        tuple(
            _with_background_share(energy, _share(loads.get(window_key(window)), channel), idle * window.seconds)
            for energy, window in zip(energies, repeat, strict=True)
        )
        for energies, repeat in zip(reading.windows, repeats, strict=True)
    )
    return replace(reading, windows=windows)


def _with_background_share(window: WindowEnergy, share: float, idle_joules: float) -> WindowEnergy:
    energy = window.energy
    if energy is None or not share:
        return window
    theirs = share * max(0.0, energy.joules - idle_joules)
    return replace(window, energy=Energy(energy.joules, max(0.0, energy.lower - theirs), energy.upper))


def other_cpu_seconds(load: HostLoad) -> float:
    """Return the CPU time of other programs that is certain, given the resolution of the clock tick."""
    return max(0.0, load.others - load.open_seconds)


def _share(load: HostLoad | None, channel: Channel) -> float:
    """Return the share of other programs in the busy time of the devices that a channel covers."""
    if load is None:
        return 0.0
    if channel.device.kind in ACCELERATORS:
        return max((_gpu_share(gpu) for gpu in load.gpus if gpu.device == channel.device.id), default=0.0)
    others = other_cpu_seconds(load)
    cpus = others / (others + load.own) if others else 0.0
    if channel.device.kind in _CPU_ONLY and channel.domain != "psys":
        return cpus
    return max(cpus, *(_gpu_share(gpu) for gpu in load.gpus), 0.0)


def _gpu_share(gpu: GpuLoad) -> float:
    """Return the share of other programs in a GPU's busy time: all of it if only their presence is known."""
    if gpu.others is None or gpu.own is None:
        return 1.0 if gpu.programs else 0.0
    return gpu.others / (gpu.others + gpu.own) if gpu.others else 0.0


def cpu_limit(processors: int) -> float:
    """Return the number of CPUs that other programs may keep busy without a warning."""
    return max(MAX_OTHER_CPUS, MAX_OTHER_SHARE * processors)


def _is_unloaded(load: HostLoad, channel: Channel) -> bool:
    """Return whether an idle baseline of a channel is known to have had no other load."""
    cpus = other_cpu_seconds(load) / load.seconds <= cpu_limit(load.processors)
    if channel.device.kind in _CPU_ONLY and channel.domain != "psys":
        return cpus
    gpus = [gpu for gpu in load.gpus if channel.device.kind not in ACCELERATORS or gpu.device == channel.device.id]
    free = all(gpu.others is not None and gpu.others <= MAX_OTHER_SHARE for gpu in gpus)
    return free and (cpus or channel.device.kind in ACCELERATORS)
