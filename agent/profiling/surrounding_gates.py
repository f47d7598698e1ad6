"""The expectations about what surrounded a point: steadiness, heat, other programs, settings, length, precision; pure.

Fatal are those whose failure makes the joules somebody else's, or those of a machine that was protecting itself. A
power cap is not: under full load it is how an accelerator works at its limit, and the limit stands in the profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.profiling.conditions import POWER_CAP
from agent.profiling.profile import Finding
from agent.profiling.statistics import trend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.conditions import DeviceConditions, GpuSharing
    from agent.profiling.gates import Evidence

STEADY_WITHIN = 0.05
"""What throughput or power may drift, as a share, before the point counts as not settled."""
OTHERS_PROCESSORS = 0.1
OTHERS_SHARE = 0.01
"""What others may keep busy without a word: a tenth of a processor, or a hundredth of them all where that is more.

Of the time of a GPU it is a hundredth, which is also the least that a driver tells.

That is a few tenths of a percent of what a host draws between idle and full load, well below the spread that is let
pass.
"""
MOST_OTHERS_SHARE = 0.25
"""From this share of the processors or of a GPU on, others that do more than the run itself make the joules theirs."""
LARGEST_IDLE_UTILIZATION = 0.05
LARGEST_STOLEN_SHARE = 0.01
LARGEST_CLOCK_CHANGE = 0.05
RIGOROUS = "rigorous"
RIGOROUS_SECONDS = 60.0


def judge_surroundings(evidence: Evidence) -> tuple[Finding, ...]:
    """Hold a point against every expectation of what surrounded it."""
    return (
        _steady("steady", "throughput", evidence.rates),
        _steady("steady_power", "power", evidence.watts),
        _settled(evidence),
        _idle(evidence),
        _cool(evidence),
        _uncapped(evidence),
        _processors_cool(evidence),
        _alone(evidence),
        _mostly_own(evidence),
        _free(evidence),
        _kept(evidence),
        _settings(evidence),
        _clocks(evidence),
        _devices(evidence),
        _length(evidence),
        _close_enough(evidence),
    )


def _steady(name: str, what: str, values: Sequence[float]) -> Finding:
    steady = trend(values, STEADY_WITHIN).steady if values else None
    if steady is None:
        return Finding(name, passed=True, fatal=False, message="too few repeats to tell")
    message = f"{what} has no trend over the repeats" if steady else f"{what} still moves over the repeats"
    return Finding(name, steady, fatal=False, message=message)


def _settled(evidence: Evidence) -> Finding:
    name = "steady_within_windows"
    if not evidence.shapes:
        message = "windows are too short for their sensors to tell"
        return Finding(name, passed=True, fatal=False, message=message)
    moving = [shape for shape in evidence.shapes if trend(shape, STEADY_WITHIN).steady is False]
    if not moving:
        return Finding(name, passed=True, fatal=False, message="power has no trend within the windows")
    rise = max((shape[-1] - shape[0] for shape in moving), key=abs)
    message = f"power moves by {rise:+.1%} from the first to the last part of the windows"
    return Finding(name, passed=False, fatal=False, message=message)


def _idle(evidence: Evidence) -> Finding:
    if not evidence.idle_drift:
        return Finding("idle_drift", passed=True, fatal=False, message="idle power was not measured on both sides")
    worst = max(evidence.idle_drift, key=lambda each: abs(each.share) / each.allowed)
    message = f"{worst.state} idle power moved by {worst.share:+.1%} over the run, {worst.allowed:.0%} is let pass"
    return Finding("idle_drift", abs(worst.share) <= worst.allowed, fatal=False, message=message)


def _throttled(devices: Sequence[DeviceConditions], *, by_power: bool) -> list[str]:
    """Name the devices that were held back, by their power limit (or something not told), or to protect themselves."""
    found = []
    for each in devices:
        reasons = [reason for reason in each.throttled_by if (reason == POWER_CAP) is by_power]
        if reasons:
            found.append(f"{each.device}: {', '.join(reasons)} in {each.throttled_share or 0:.0%} of the samples")
        elif each.throttled_seconds and not each.throttled_by and by_power:
            found.append(f"{each.device}: for {each.throttled_seconds:.3g} s")
    return found


def _cool(evidence: Evidence) -> Finding:
    held = _throttled(evidence.conditions.devices, by_power=False)
    message = f"slowed down to protect itself: {'; '.join(held)}" if held else "no device slowed down to protect itself"
    return Finding("not_throttled", not held, fatal=True, message=message)


def _uncapped(evidence: Evidence) -> Finding:
    held = _throttled(evidence.conditions.devices, by_power=True)
    message = f"held to its power limit: {'; '.join(held)}" if held else "no device was held to its power limit"
    return Finding("below_power_limit", not held, fatal=False, message=message)


def _processors_cool(evidence: Evidence) -> Finding:
    events = evidence.conditions.heat_events
    if events is None:
        return Finding("processors_cool", passed=True, fatal=False, message="the kernel counts no heat of processors")
    message = f"a processor was slowed down by heat {events} times" if events else "no processor was slowed by heat"
    return Finding("processors_cool", not events, fatal=False, message=message)


def _alone(evidence: Evidence) -> Finding:
    busy = evidence.conditions.most_other_processors
    allowed = max(OTHERS_PROCESSORS, OTHERS_SHARE * evidence.processors)
    message = "the load of other programs is not known"
    if busy is not None:
        message = f"other programs kept {busy:.2f} processors busy in the worst window, {allowed:.2f} are let pass"
    shared = [words for gpu in evidence.conditions.gpus if (words := _shared(gpu))]
    passed = (busy is None or busy <= allowed) and not shared
    return Finding("no_other_load", passed, fatal=False, message="; ".join((message, *shared)))


def _shared(gpu: GpuSharing) -> str:
    """Say what others did on a GPU, empty if they did not, or nobody knows."""
    busy, programs = gpu.most_other_share, gpu.other_programs
    if busy is None:
        return f"{gpu.device} is open to other programs, {programs} at most, how busy is not known" if programs else ""
    if busy <= OTHERS_SHARE:
        return ""
    return f"{gpu.device} was busy for them {busy:.0%} of the worst window, {OTHERS_SHARE:.0%} is let pass"


def _mostly_own(evidence: Evidence) -> Finding:
    others, own = evidence.conditions.other_processors, evidence.conditions.own_processors
    passed, message = True, "the load of other programs is not known"
    if others is not None and own is not None:
        passed = others <= max(own, MOST_OTHERS_SHARE * evidence.processors)
        message = f"the run kept {own:.2f} processors busy, other programs {others:.2f}"
    lost = [words for gpu in evidence.conditions.gpus if (words := _lost(gpu))]
    return Finding("own_load_prevails", passed and not lost, fatal=True, message="; ".join((message, *lost)))


def _lost(gpu: GpuSharing) -> str:
    """Say that a GPU worked more for others than for the run, empty if it did not, or nobody knows."""
    others, own = gpu.other_share, gpu.own_share
    if others is None or own is None or others <= max(own, MOST_OTHERS_SHARE):
        return ""
    return f"{gpu.device} was busy for the run {own:.0%} of the time, for other programs {others:.0%}"


def _free(evidence: Evidence) -> Finding:
    used = [
        f"{each.device} {each.idle_utilization:.0%}"
        for each in evidence.conditions.devices
        if (each.idle_utilization or 0.0) > LARGEST_IDLE_UTILIZATION
    ]
    message = f"busy while nothing of this run was: {', '.join(used)}" if used else "no accelerator was busy when idle"
    return Finding("accelerators_free", not used, fatal=False, message=message)


def _kept(evidence: Evidence) -> Finding:
    share = evidence.conditions.stolen_share
    if share is None:
        return Finding("not_stolen", passed=True, fatal=False, message="what a hypervisor took away is not known")
    message = f"a hypervisor took {share:.1%} of the processors' time away, {LARGEST_STOLEN_SHARE:.0%} is let pass"
    return Finding("not_stolen", share <= LARGEST_STOLEN_SHARE, fatal=False, message=message)


def _settings(evidence: Evidence) -> Finding:
    changed = evidence.changed_settings
    message = f"changed during the run: {'; '.join(changed)}" if changed else "no limit or governor changed"
    return Finding("settings_unchanged", not changed, fatal=False, message=message)


def _clocks(evidence: Evidence) -> Finding:
    worst, name = 0.0, ""
    for each in evidence.conditions.devices:
        if each.start_clock_hertz and each.end_clock_hertz is not None:
            change = each.end_clock_hertz / each.start_clock_hertz - 1
            if abs(change) >= abs(worst):
                worst, name = change, f"{each.device}/{each.domain}"
    if not name:
        return Finding("clocks_steady", passed=True, fatal=False, message="no clock was read")
    message = f"{name} ran {worst:+.1%} in the last repeat against the first, {LARGEST_CLOCK_CHANGE:.0%} is let pass"
    return Finding("clocks_steady", abs(worst) <= LARGEST_CLOCK_CHANGE, fatal=False, message=message)


def _devices(evidence: Evidence) -> Finding:
    silent = evidence.silent_devices
    message = f"gave no sample of power: {', '.join(silent)}" if silent else "every device with a sensor was read"
    return Finding("devices_present", not silent, fatal=False, message=message)


def _length(evidence: Evidence) -> Finding:
    shortest = min((w.end_ns - w.start_ns) / 1e9 for repeat in evidence.windows for w in repeat)
    if evidence.effort != RIGOROUS:
        message = f"windows of {shortest:.3g} s in {evidence.effort or 'an unnamed'} mode, not a rigorous result"
        return Finding("rigorous_windows", passed=True, fatal=True, message=message)
    message = f"the shortest window lasted {shortest:.3g} s, {RIGOROUS_SECONDS:g} s are asked of a rigorous result"
    return Finding("rigorous_windows", shortest >= RIGOROUS_SECONDS, fatal=True, message=message)


def _close_enough(evidence: Evidence) -> Finding:
    told = evidence.precision
    if told.tolerance is None:
        return Finding("tolerance_met", passed=True, fatal=False, message="no tolerance was asked for")
    known = "is not known" if told.half_width is None else f"is ±{told.half_width:.1%}"
    message = f"the mean of the repeats {known}, ±{told.tolerance * 100:g}% was asked for"
    if not told.met:
        wanted = "more than can be told" if told.repeats_needed is None else f"about {told.repeats_needed}"
        message += f"; that takes {wanted} repeats"
    return Finding("tolerance_met", bool(told.met), fatal=False, message=message)
