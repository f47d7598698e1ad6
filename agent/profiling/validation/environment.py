"""The checks of a point's environment: stability, temperature, other load, settings, length, convergence; pure.

A power cap only warns: under full load many accelerators run at their limit, and the profile reports that limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.profiling.analysis.background import MAX_OTHER_SHARE, cpu_limit
from agent.profiling.analysis.conditions import POWER_CAP
from agent.profiling.analysis.statistics import trend
from agent.profiling.run_facts import checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.run_facts import CheckResult, DeviceConditions, GpuSharing
    from agent.profiling.validation.evidence import Evidence

STEADY_TOLERANCE = 0.05
"""The relative drift of throughput or power above which a point has not settled."""
DOMINANT_OTHER_SHARE = 0.25
"""The share of the CPUs or of a GPU from which others dominate the energy if they do more than the run itself."""
MAX_IDLE_UTILIZATION = 0.05
MAX_STEAL_SHARE = 0.01
MAX_QUOTA_STOPPED_SHARE = 0.01
MAX_CLOCK_CHANGE = 0.05
HEAT = "thermal"
"""The domain in which a GPU counts the time that heat throttled it."""
RIGOROUS = "rigorous"
RIGOROUS_SECONDS = 60.0


def check_environment(evidence: Evidence) -> tuple[CheckResult, ...]:
    """Return the result of every check of a point's environment."""
    return (
        _steady("steady", "throughput", evidence.rates),
        _steady("steady_power", "power", evidence.watts),
        _steady_within_windows(evidence),
        _idle(evidence),
        _not_throttled(evidence),
        _below_power_limit(evidence),
        _cpu_not_throttled(evidence),
        _background_load(evidence),
        _workload_dominates(evidence),
        _cpus_idle_at_baseline(evidence),
        _accelerators_idle_at_baseline(evidence),
        _steal_time(evidence),
        _within_quota(evidence),
        _settings(evidence),
        _clocks(evidence),
        _devices(evidence),
        _length(evidence),
        _tolerance_met(evidence),
    )


def _steady(name: str, what: str, values: Sequence[float]) -> CheckResult:
    steady = trend(values, STEADY_TOLERANCE).steady if values else None
    if steady is None:
        return checked(name, None, f"too few repeats to detect a trend of the {what}", "warning")
    message = f"{what} has no trend over the repeats" if steady else f"{what} still changes over the repeats"
    return checked(name, steady, message, "warning")


def _steady_within_windows(evidence: Evidence) -> CheckResult:
    name = "steady_within_windows"
    if not evidence.power_profiles:
        return checked(name, None, "the windows are too short for their sensors to show a trend", "warning")
    moving = [
        power_profile
        for power_profile in evidence.power_profiles
        if trend(power_profile, STEADY_TOLERANCE).steady is False
    ]
    if not moving:
        return checked(name, True, "power has no trend within the windows", "warning")
    rise = max((power_profile[-1] - power_profile[0] for power_profile in moving), key=abs)
    message = f"power changes by {rise * 100:+.1f} % from the first to the last part of the windows"
    return checked(name, False, message, "warning")


def _idle(evidence: Evidence) -> CheckResult:
    if not evidence.idle_drift:
        return checked("idle_drift", None, "idle power was not measured before and after the run", "warning")
    worst = max(evidence.idle_drift, key=lambda each: abs(each.relative_change) / each.limit)
    share = f"{worst.change_watts:+.3g} W over the run, {abs(worst.relative_change) * 100:.1f} % of the mean of both"
    message = f"{worst.state} idle power changed by {share}"
    message += f" (limit {worst.limit * 100:.0f} %)"
    return checked("idle_drift", abs(worst.relative_change) <= worst.limit, message, "warning")


def _throttled(devices: Sequence[DeviceConditions], *, by_power: bool) -> list[str]:
    """Return the accelerators that were throttled by their power limit (or an unnamed limit), or to protect themselves.

    Each has the share of its samples, and the time that its counters show.
    """
    found = []
    for each in devices:
        reasons = [reason for reason in each.throttle_reasons if (reason == POWER_CAP) is by_power]
        if reasons:
            seconds = sum(
                part.throttled_seconds or 0.0
                for part in devices
                if part.device == each.device and (part.domain == HEAT) is not by_power
            )
            share = f"{each.device}: {', '.join(reasons)} in {(each.throttled_share or 0) * 100:.0f} % of the samples"
            found.append(f"{share}, for {seconds:.3g} s" if seconds else share)
    return found


def _unexplained(devices: Sequence[DeviceConditions]) -> list[str]:
    """Return the throttled times of accelerators for which no sample shows the reason."""
    shown = {(each.device, reason == POWER_CAP) for each in devices for reason in each.throttle_reasons}
    return [
        f"{each.device}/{each.domain}: for {each.throttled_seconds:.3g} s"
        for each in devices
        if each.throttled_seconds and not _is_processor(each) and (each.device, each.domain != HEAT) not in shown
    ]


def _is_processor(part: DeviceConditions) -> bool:
    return part.device.startswith("package-")


def _not_throttled(evidence: Evidence) -> CheckResult:
    held = _throttled(evidence.conditions.devices, by_power=False)
    message = f"throttled to protect the hardware: {'; '.join(held)}" if held else "none throttled"
    return checked("not_throttled", not held, message, "invalid")


def _below_power_limit(evidence: Evidence) -> CheckResult:
    devices = evidence.conditions.devices
    held, unexplained = _throttled(devices, by_power=True), _unexplained(devices)
    messages = [f"ran at its power limit: {'; '.join(held)}"] if held else []
    messages += [f"throttled: {'; '.join(unexplained)}"] if unexplained else []
    message = ", and ".join(messages) or "no device ran at its power limit"
    return checked("below_power_limit", not messages, message, "warning")


def _cpu_not_throttled(evidence: Evidence) -> CheckResult:
    events = evidence.conditions.thermal_throttle_events
    parts = [each for each in evidence.conditions.devices if _is_processor(each) and each.throttled_seconds is not None]
    if events is None and not parts:
        return checked("cpu_not_throttled", None, "the kernel does not count thermal throttling", "warning")
    slowed = (each for each in parts if each.throttled_seconds)
    times = [f"{each.device}/{each.domain} for {each.throttled_seconds:.3g} s" for each in slowed]
    if not events and not times:
        return checked("cpu_not_throttled", True, "no CPU was throttled by temperature", "warning")
    often = f" {events} times" if events else ""
    message = f"a CPU was throttled by temperature{often}{': ' if times else ''}{', '.join(times)}"
    return checked("cpu_not_throttled", False, message, "warning")


def _background_load(evidence: Evidence) -> CheckResult:
    busy = evidence.conditions.max_other_cpus
    allowed = cpu_limit(evidence.processors)
    message = "the load of other programs is unknown"
    if busy is not None:
        message = f"other programs kept {busy:.2f} CPUs busy in the worst window (limit {allowed:.2f})"
    shared = [words for gpu in evidence.conditions.gpus if (words := _gpu_background_load(gpu))]
    passed = False if shared else None if busy is None else busy <= allowed
    return checked("background_load", passed, "; ".join((message, *shared)), "warning")


def _gpu_background_load(gpu: GpuSharing) -> str:
    """Return the load of others on a GPU as text, empty if there is none or it is unknown."""
    busy, programs = gpu.max_other_share, gpu.other_processes
    if busy is None:
        return f"{programs} other processes have {gpu.device} open; their load is unknown" if programs else ""
    if busy <= MAX_OTHER_SHARE:
        return ""
    limit = f"limit {MAX_OTHER_SHARE * 100:.0f} %"
    return f"other programs kept {gpu.device} busy for {busy * 100:.0f} % of the worst window ({limit})"


def _workload_dominates(evidence: Evidence) -> CheckResult:
    others, own = evidence.conditions.other_cpus, evidence.conditions.self_cpus
    passed, message = None, "the load of other programs is unknown"
    if others is not None and own is not None:
        passed = others <= max(own, DOMINANT_OTHER_SHARE * evidence.processors)
        message = f"the run kept {own:.2f} CPUs busy, other programs {others:.2f}"
        if not passed and evidence.joules_per_inference:
            message += "; the energy lies between the run's own share and the total"
    lost = [words for gpu in evidence.conditions.gpus if (words := _gpu_dominated_by_others(gpu))]
    return checked("workload_dominates", False if lost else passed, "; ".join((message, *lost)), "warning")


def _cpus_idle_at_baseline(evidence: Evidence) -> CheckResult:
    busy, allowed = evidence.conditions.baseline_other_cpus, cpu_limit(evidence.processors)
    if busy is None:
        return checked("cpus_idle_at_baseline", None, "the load during the idle baselines is unknown", "warning")
    message = f"other programs kept {busy:.2f} CPUs busy in the worst idle baseline (limit {allowed:.2f})"
    return checked("cpus_idle_at_baseline", busy <= allowed, message, "warning")


def _gpu_dominated_by_others(gpu: GpuSharing) -> str:
    """Return a text if a GPU worked more for others than for the run, empty if it did not or it is unknown."""
    others, own = gpu.other_share, gpu.self_share
    if others is None or own is None or others <= max(own, DOMINANT_OTHER_SHARE):
        return ""
    return f"the run kept {gpu.device} busy for {own * 100:.0f} % of the time, other programs for {others * 100:.0f} %"


def _accelerators_idle_at_baseline(evidence: Evidence) -> CheckResult:
    known: dict[str, float] = {}  # of the units of a device the busiest one counts
    for each in evidence.conditions.devices:
        if each.baseline_utilization is not None:
            known[each.device] = max(each.baseline_utilization, known.get(each.device, 0.0))
    used = [f"{device} {share * 100:.0f} %" for device, share in known.items() if share > MAX_IDLE_UTILIZATION]
    message = "no accelerator was busy during the idle baselines" if known else "no accelerator reports its utilization"
    if used:
        message = f"busy with other work during the idle baselines: {', '.join(used)}"
    return checked("accelerators_idle_at_baseline", not used if known else None, message, "warning")


def _steal_time(evidence: Evidence) -> CheckResult:
    share = evidence.conditions.steal_share
    if share is None:
        return checked("steal_time", None, "the steal time of the hypervisor is unknown", "warning")
    message = (
        f"the hypervisor gave {share * 100:.1f} % of the CPU time to other guests (limit {MAX_STEAL_SHARE * 100:.0f} %)"
    )
    return checked("steal_time", share <= MAX_STEAL_SHARE, message, "warning")


def _within_quota(evidence: Evidence) -> CheckResult:
    share = evidence.conditions.quota_stopped_share
    if share is None:
        return checked("cpu_quota_not_reached", passed=True, message="no CPU quota", severity="warning")
    message = f"a CPU quota stopped the run for {share * 100:.1f} % of the worst window"
    message += f" (limit {MAX_QUOTA_STOPPED_SHARE * 100:.0f} %)"
    return checked("cpu_quota_not_reached", share <= MAX_QUOTA_STOPPED_SHARE, message, "warning")


def _settings(evidence: Evidence) -> CheckResult:
    changed = evidence.changed_settings
    message = f"changed during the run: {'; '.join(changed)}" if changed else "no limit or governor changed"
    return checked("settings_unchanged", not changed, message, "warning")


def _clocks(evidence: Evidence) -> CheckResult:
    worst, name = 0.0, ""
    for each in evidence.conditions.devices:
        if each.start_frequency_hertz and each.end_frequency_hertz is not None:
            change = each.end_frequency_hertz / each.start_frequency_hertz - 1
            if abs(change) >= abs(worst):
                worst, name = change, f"{each.device}/{each.domain}"
    if not name:
        return checked("clocks_steady", None, "no clock frequency was read", "warning")
    message = f"{name} ran at {worst * 100:+.1f} % in the last repeat against the first"
    message += f" (limit {MAX_CLOCK_CHANGE * 100:.0f} %)"
    return checked("clocks_steady", abs(worst) <= MAX_CLOCK_CHANGE, message, "warning")


def _devices(evidence: Evidence) -> CheckResult:
    silent = evidence.silent_devices
    message = f"no power sample from: {', '.join(silent)}" if silent else "every device with a power sensor was read"
    return checked("devices_present", not silent, message, "warning")


def _length(evidence: Evidence) -> CheckResult:
    shortest = min(window.seconds for repeat in evidence.windows for window in repeat)
    if evidence.mode != RIGOROUS:
        message = f"windows of {shortest:.3g} s in {evidence.mode or 'an unnamed'} mode; not a rigorous result"
        return checked("rigorous_windows", True, message, "invalid")
    message = f"the shortest window lasted {shortest:.3g} s (at least {RIGOROUS_SECONDS:g} s in rigorous mode)"
    return checked("rigorous_windows", shortest >= RIGOROUS_SECONDS, message, "invalid")


def _tolerance_met(evidence: Evidence) -> CheckResult:
    known = evidence.precision
    if known.tolerance is None:
        return checked("tolerance_met", None, "no tolerance was requested", "warning")
    width = "is unknown" if known.relative_half_width is None else f"is ±{known.relative_half_width * 100:.1f} %"
    message = f"the interval of the mean {width}, ±{known.tolerance * 100:g} % was requested"
    if known.equivalent_to:
        message += f"; it was measured no further because it is equivalent to {known.equivalent_to}"
    elif not known.converged:
        needed = "an unknown number of" if known.repeats_needed is None else f"about {known.repeats_needed}"
        message += f"; that takes {needed} repeats"
    return checked("tolerance_met", known.converged or bool(known.equivalent_to), message, "warning")
