"""The state of the host during the windows of a point: load, temperature, clocks, limits and throttling; pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.containment import ACCELERATORS
from agent.host.records import RunEnvironment, window_key
from agent.profiling.run_facts import Conditions, DeviceConditions, GpuSharing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.host.records import GpuLoad, HostLoad
    from store.records import Series, Window

POWER_CAP = "power_cap"
_REASONS = {
    0x04: POWER_CAP,
    0x08: "hardware_slowdown",
    0x20: "software_thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
}
"""The bits of NVML's nvmlClocksEventReasons that keep clocks below the requested frequency.

The others say that a GPU is idle (0x1), that its clocks were set by the user (0x2, 0x100), or that it keeps step with
another (0x10).
"""
_MAX_AGE_NS = 5_000_000_000


def conditions(
    repeats: Sequence[Sequence[Window]], run_environment: RunEnvironment, idle: Sequence[Window] = ()
) -> Conditions:
    """Return the conditions in the windows of a point, by repeat; `idle` are the idle windows of the run."""
    windows = [window for repeat in repeats for window in repeat]
    loads = _known_loads(windows, run_environment)
    events = [load.throttles for load in loads if load.throttles is not None]
    seconds = sum(load.seconds for load in loads)
    limits = power_limits(windows, run_environment)
    stopped = [load.quota_stopped / load.seconds for load in loads if load.quota_stopped is not None]
    return Conditions(
        self_cpus=sum(load.own for load in loads) / seconds if seconds else None,
        other_cpus=sum(min(load.others, load.processors * load.seconds) for load in loads) / seconds
        if seconds
        else None,
        max_other_cpus=max(map(_other_cpus, loads), default=None),
        steal_share=max((load.stolen / (load.seconds * load.processors) for load in loads), default=None),
        thermal_throttle_events=sum(events) if events else None,
        devices=tuple(_devices(repeats, idle, run_environment.series)),
        gpus=tuple(_gpu_sharing(loads)),
        baseline_other_cpus=max(map(_other_cpus, _known_loads(idle, run_environment)), default=None),
        quota_stopped_share=max(stopped, default=None),
        start_power_limits_watts=dict(limits[0]) if limits else {},
        end_power_limits_watts=dict(limits[-1]) if limits else {},
    )


def power_limits(windows: Iterable[Window], run_environment: RunEnvironment) -> list[Mapping[str, float]]:
    """Return the power limits of the RAPL zones at the edges of windows, in their order."""
    return [each for window in windows for each in run_environment.power_limits.get(window_key(window), ())]


def _known_loads(windows: Iterable[Window], run_environment: RunEnvironment) -> list[HostLoad]:
    """Return the loads of the windows whose load is known."""
    return [load for window in windows if (load := run_environment.loads.get(window_key(window)))]


def _other_cpus(load: HostLoad) -> float:
    """Return the certain number of CPUs that others kept busy, limited to the number of CPUs for late snapshots."""
    return min(max(0.0, load.others - load.open_seconds) / load.seconds, load.processors)


def _gpu_sharing(loads: Iterable[HostLoad]) -> Iterable[GpuSharing]:
    """Yield the sharing of each GPU: means weighted by the length of the windows in which it is known."""
    found: dict[str, list[tuple[float, GpuLoad]]] = {}
    for load in loads:
        for gpu in load.gpus:
            found.setdefault(gpu.device, []).append((load.seconds, gpu))
    for device, gpu_loads in found.items():
        own = [(seconds, gpu.own) for seconds, gpu in gpu_loads if gpu.own is not None]
        others = [(seconds, gpu.others) for seconds, gpu in gpu_loads if gpu.others is not None]
        yield GpuSharing(
            device=device,
            self_share=_weighted(own),
            other_share=_weighted(others),
            max_other_share=max((share for _, share in others), default=None),
            other_processes=max((gpu.programs for _, gpu in gpu_loads if gpu.programs is not None), default=None),
        )


def _weighted(shares: Sequence[tuple[float, float]]) -> float | None:
    """Return the mean of shares, each weighted with its seconds."""
    seconds = sum(each for each, _ in shares)
    return sum(each * share for each, share in shares) / seconds if seconds else None


def _devices(
    repeats: Sequence[Sequence[Window]], idle: Sequence[Window], series: Iterable[Series]
) -> Iterable[DeviceConditions]:
    """Yield the state of each part of a device that reports any; `HostLoad` has the load of the CPUs."""
    windows = [window for repeat in repeats for window in repeat]
    parts: dict[tuple[str, str], dict[str, Series]] = {}
    for each in series:
        channel = each.channel
        if each.times_ns and (channel.metric != "utilization_ratio" or channel.device.kind in ACCELERATORS):
            parts.setdefault(channel.place, {})[channel.metric] = each
    for (device, domain), by_metric in parts.items():
        celsius, watts = by_metric.get("temperature_celsius"), by_metric.get("power_limit_watts")
        first, last = windows[0].start_ns, windows[-1].end_ns
        bits = _during(by_metric.get("throttle_reasons"), windows)
        yield DeviceConditions(
            device=device,
            domain=domain,
            start_celsius=_at(celsius, first),
            end_celsius=_at(celsius, last),
            start_frequency_hertz=_mean(_during(by_metric.get("frequency_hertz"), repeats[0])),
            end_frequency_hertz=_mean(_during(by_metric.get("frequency_hertz"), repeats[-1])),
            start_power_limit_watts=_at(watts, first),
            end_power_limit_watts=_at(watts, last),
            throttle_reasons=tuple(name for bit, name in _REASONS.items() if any(int(value) & bit for value in bits)),
            throttled_share=_mean([float(any(int(value) & bit for bit in _REASONS)) for value in bits]),
            throttled_seconds=_counter_increase(by_metric.get("throttled_seconds"), windows),
            baseline_utilization=_mean(_while_idle(by_metric.get("utilization_ratio"), idle)),
        )


def _at(series: Series | None, moment_ns: int) -> float | None:
    """Return the last value read before a time, None if it is too old."""
    position = bisect_right(series.times_ns, moment_ns) - 1 if series else -1
    if series is None or position < 0 or moment_ns - series.times_ns[position] > _MAX_AGE_NS:
        return None
    return series.values[position]


def _during(series: Series | None, windows: Iterable[Window]) -> list[float]:
    found: list[float] = []
    if series is None:
        return found
    for window in windows:
        first, last = (bisect_left(series.times_ns, edge) for edge in (window.start_ns, window.end_ns))
        found += series.values[first:last]
    return found


def _while_idle(series: Series | None, idle: Iterable[Window]) -> list[float]:
    """Return the values of a sensor in idle windows, without those that may still show the work before."""
    if series is None:
        return []
    settling_ns = round(series.channel.refresh_seconds * 1e9)
    begun = [replace(each, start_ns=min(each.start_ns + settling_ns, each.end_ns)) for each in idle]
    return _during(series, begun)


def _counter_increase(series: Series | None, windows: Iterable[Window]) -> float | None:
    """Return the increase of a counter over all windows; None if it was not read around one of them."""
    grown = 0.0
    for window in windows:
        before, after = _at(series, window.start_ns), _at(series, window.end_ns)
        if before is None or after is None:
            return None
        grown += max(0.0, after - before)
    return grown


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def changed_settings(
    run_environment: RunEnvironment,
    devices: Iterable[DeviceConditions],
    limits: Sequence[Mapping[str, float]] = (),
) -> tuple[str, ...]:
    """Return the settings that changed from the start to the end: governors, frequency limits and power limits.

    `limits` are the power limits in the windows of a point; without any, those of the run count.
    """
    changed = [
        f"power limit {each.device}/{each.domain} from {first:g} to {last:g} W"
        for each in devices
        if (first := each.start_power_limit_watts) is not None
        and (last := each.end_power_limit_watts) is not None
        and first != last
    ]
    start, end = run_environment.start, run_environment.end
    if start is None or end is None:
        return tuple(changed)
    if start.cpu_governors != end.cpu_governors:
        changed.append(f"governor from {', '.join(start.cpu_governors)} to {', '.join(end.cpu_governors)}")
    if start.cpu_frequency_limits_hertz != end.cpu_frequency_limits_hertz:
        changed.append("the highest CPU frequencies")
    edges = limits or (start.power_limits_watts, end.power_limits_watts)
    moved = (text for first, last in pairwise(edges) for text in _changed_limits(first, last))
    return (*changed, *dict.fromkeys(moved))


def _changed_limits(start: Mapping[str, float], end: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(
        f"power limit {name} from {watts:g} to {end[name]:g} W"
        for name, watts in start.items()
        if name in end and end[name] != watts
    )
