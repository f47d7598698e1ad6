"""The expectations a point must meet to be trusted, each with its verdict and reason; pure.

An expectation that is fatal leaves a failing point without energy and cost figures; one that is not is kept beside
them as a reason to doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.profiling.conditions import NOT_TOLD, Conditions
from agent.profiling.energy import LARGEST_DISAGREEMENT
from agent.profiling.periods import run_period_seconds
from agent.profiling.precision import NOT_CLOSE, Precision
from agent.profiling.profile import Finding
from agent.profiling.statistics import summarize
from agent.profiling.surrounding_gates import judge_surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.energy import WindowEnergy
    from agent.profiling.facts import Agreement, IdleDrift
    from store.records import Window

FEWEST_REPEATS = 3
PREFERRED_REPEATS = 5
LARGEST_GAP_SECONDS = 3.0
LARGEST_GAP_BEATS = 3
LARGEST_GAP_SHARE = 0.01
FEWEST_SAMPLES = 2
LARGEST_OFF_SECONDS = 0.5
LARGEST_OFF_SHARE = 0.01
LARGEST_CV = 0.03
LARGEST_BOUND = 0.1


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a point is judged by: its windows by repeat, what every counted sensor says of each, and the totals.

    `beat_seconds` is the longest time between two reads that was asked for; `devices_expected` how many sensors make
    up the total; `joules_per_inference`, `rates` (inferences a second) and `watts` have one entry a repeat.
    `agreement` is of the power gauges beside counters. `shapes` are, by phase, the power in each stretch of a window
    over that of the whole. `processors` is how many the host has, 0 if that is not known. `silent_devices` have
    sensors of power that gave nothing; `effort` is the mode's name.
    """

    windows: tuple[tuple[Window, ...], ...]
    energies: tuple[WindowEnergy, ...]
    devices_expected: int
    beat_seconds: float
    joules_per_inference: tuple[float, ...]
    rates: tuple[float, ...]
    agreement: tuple[Agreement, ...] = ()
    precision: Precision = NOT_CLOSE
    conditions: Conditions = NOT_TOLD
    processors: int = 0
    idle_drift: tuple[IdleDrift, ...] = ()
    watts: tuple[float, ...] = ()
    shapes: tuple[tuple[float, ...], ...] = ()
    changed_settings: tuple[str, ...] = ()
    silent_devices: tuple[str, ...] = ()
    effort: str = ""


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Hold a point against every expectation."""
    return (
        _repeats(evidence),
        _bracketed(evidence),
        _gaps(evidence),
        _samples(evidence),
        _devices(evidence),
        _uninterrupted(evidence),
        _duration(evidence),
        _spread(evidence),
        _moved(evidence),
        _long_enough(evidence),
        _agreed(evidence),
        *judge_surroundings(evidence),
    )


def _finding(name: str, passed: bool, message: str, *, fatal: bool = True) -> Finding:
    return Finding(name, passed, fatal, message)


def _repeats(evidence: Evidence) -> Finding:
    found = len(evidence.windows)
    message = f"{found} complete repeats, at least {FEWEST_REPEATS} needed, {PREFERRED_REPEATS} better"
    return _finding("repeats", found >= FEWEST_REPEATS, message)


def _bracketed(evidence: Evidence) -> Finding:
    missing = [energy for energy in evidence.energies if energy.energy is None]
    if not missing:
        return _finding("samples_bracket_window", passed=True, message="every sensor was read before and after")
    first = missing[0]
    where = f"{_name(first)}: {'; '.join(first.reasons)}"
    return _finding("samples_bracket_window", passed=False, message=f"in {len(missing)} windows, {where}")


def _gaps(evidence: Evidence) -> Finding:
    """Hold the largest gap of each sensor against what its kind may miss.

    A counter loses nothing in a gap, and its bound holds what a gap at an edge leaves open: it may miss 3 s. What a
    gauge did not read is gone: it may miss three of its beats, or, where these are short, a hundredth of the window.
    """
    shortest = min(_seconds(window) for repeat in evidence.windows for window in repeat)
    gap, allowed = 0.0, LARGEST_GAP_SECONDS
    for each in evidence.energies:
        limit = LARGEST_GAP_SECONDS
        if each.method == "integrated":
            beat = min(evidence.beat_seconds, run_period_seconds([each.channel]))
            limit = min(limit, max(LARGEST_GAP_BEATS * beat, LARGEST_GAP_SHARE * shortest))
        if each.largest_gap_seconds / limit > gap / allowed:
            gap, allowed = each.largest_gap_seconds, limit
    message = f"largest gap between samples {gap:.3g} s, at most {allowed:.3g} s"
    return _finding("gap_between_samples", gap <= allowed, message)


def _samples(evidence: Evidence) -> Finding:
    if not evidence.energies:
        return _finding("samples_in_window", passed=True, message="no sensor to judge")
    fewest = min(energy.samples for energy in evidence.energies)
    message = f"{fewest} samples in the leanest window, at least {FEWEST_SAMPLES}"
    return _finding("samples_in_window", fewest >= FEWEST_SAMPLES, message)


def _devices(evidence: Evidence) -> Finding:
    found = len({energy.channel.key for energy in evidence.energies})
    passed = found == evidence.devices_expected
    return _finding("sensors_present", passed, f"{found} of {evidence.devices_expected} sensors gave samples")


def _uninterrupted(evidence: Evidence) -> Finding:
    doubts = sorted({reason for energy in evidence.energies if energy.energy for reason in energy.reasons})
    return _finding("counters_uninterrupted", not doubts, "; ".join(doubts) or "no counter was reset")


def _duration(evidence: Evidence) -> Finding:
    worst, allowed = 0.0, LARGEST_OFF_SECONDS
    for window in (window for repeat in evidence.windows for window in repeat):
        off = abs(sum(window.latencies_seconds) - _seconds(window))
        limit = max(LARGEST_OFF_SECONDS, LARGEST_OFF_SHARE * _seconds(window))
        if off / limit > worst / allowed:
            worst, allowed = off, limit
    message = f"iterations and window differ by {worst:.3g} s at most, {allowed:.3g} s allowed"
    return _finding("same_window", worst <= allowed, message)


def _spread(evidence: Evidence) -> Finding:
    if not evidence.joules_per_inference:
        return _finding("energy_spread", passed=True, message="no energy to judge", fatal=False)
    cv = summarize(evidence.joules_per_inference).cv
    if cv is None:
        message = "one repeat, or no energy at all, has no spread"
        return _finding("energy_spread", passed=True, message=message, fatal=False)
    message = f"coefficient of variation of the energy {cv:.1%}, at most {LARGEST_CV:.0%} is trusted without a look"
    return _finding("energy_spread", cv <= LARGEST_CV, message, fatal=False)


def _moved(evidence: Evidence) -> Finding:
    measured = (each for each in evidence.energies if each.method != "model")
    still = sorted({_name(each) for each in measured if each.energy and not each.energy.joules})
    message = f"shows no energy at all in some window: {', '.join(still)}" if still else "every sensor moved"
    return _finding("sensors_moved", not still, message)


def _long_enough(evidence: Evidence) -> Finding:
    """Hold the share of the energy that sensors leave open against what tells settings apart; models say their own."""
    shares = [
        ((each.energy.upper - each.energy.lower) / 2 / each.energy.joules, _name(each))
        for each in evidence.energies
        if each.method != "model" and each.energy and each.energy.joules
    ]
    if not shares:
        return _finding("windows_long_enough", passed=True, message="no measured energy to judge", fatal=False)
    share, name = max(shares)
    message = f"{name} leaves ±{share:.1%} of a window's energy open, {LARGEST_BOUND:.0%} is trusted without a look"
    return _finding("windows_long_enough", share <= LARGEST_BOUND, message, fatal=False)


def _agreed(evidence: Evidence) -> Finding:
    if not evidence.agreement:
        return _finding("sensors_agree", passed=True, message="no domain has a counter and a power gauge", fatal=False)
    worst = max(evidence.agreement, key=lambda each: abs(each.share))
    share = abs(worst.share)
    message = f"{worst.device}/{worst.domain}: power gauge and counter differ by {share:.1%}, at most "
    message += f"{LARGEST_DISAGREEMENT:.0%}; believe the {worst.believe}: {worst.because}"
    return _finding("sensors_agree", share <= LARGEST_DISAGREEMENT, message, fatal=False)


def _name(energy: WindowEnergy) -> str:
    return f"{energy.channel.device.id}/{energy.channel.domain}"


def _seconds(window: Window) -> float:
    return (window.end_ns - window.start_ns) / 1e9


def valid(findings: Sequence[Finding]) -> bool:
    """Tell whether no fatal expectation failed."""
    return all(finding.passed or not finding.fatal for finding in findings)
