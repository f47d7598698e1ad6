"""The expectations a point must meet to be trusted, each with its verdict and reason; pure.

An expectation that is fatal leaves a failing point without energy and cost figures; one that is not is kept beside
them as a reason to doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.profiling.profile import Finding
from agent.profiling.statistics import summarize, trend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.energy import WindowEnergy
    from store.records import Window

FEWEST_REPEATS = 3
LARGEST_GAP_SECONDS = 3.0
LARGEST_GAP_BEATS = 3
FEWEST_SAMPLES = 2
LARGEST_CV = 0.03
STEADY_WITHIN = 0.05
"""What throughput may drift over the repeats, as a share, before the point counts as not warmed up."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a point is judged by: its windows by repeat, what every counted sensor says of each, and the totals.

    `beat_seconds` is the longest time between two reads that was asked for; `devices_expected` how many sensors make
    up the total; `joules_per_inference` and `rates` (inferences a second) have one entry a repeat.
    """

    windows: tuple[tuple[Window, ...], ...]
    energies: tuple[WindowEnergy, ...]
    devices_expected: int
    beat_seconds: float
    joules_per_inference: tuple[float, ...]
    rates: tuple[float, ...]


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
        _steady(evidence),
        _spread(evidence),
    )


def _finding(name: str, passed: bool, message: str, *, fatal: bool = True) -> Finding:
    return Finding(name, passed, fatal, message)


def _repeats(evidence: Evidence) -> Finding:
    found = len(evidence.windows)
    return _finding("repeats", found >= FEWEST_REPEATS, f"{found} complete repeats, at least {FEWEST_REPEATS} needed")


def _bracketed(evidence: Evidence) -> Finding:
    missing = [energy for energy in evidence.energies if energy.energy is None]
    if not missing:
        return _finding("samples_bracket_window", passed=True, message="every sensor was read before and after")
    first = missing[0]
    where = f"{first.channel.device.id}/{first.channel.domain}: {'; '.join(first.reasons)}"
    return _finding("samples_bracket_window", passed=False, message=f"in {len(missing)} windows, {where}")


def _gaps(evidence: Evidence) -> Finding:
    allowed = min(LARGEST_GAP_SECONDS, max(LARGEST_GAP_BEATS * evidence.beat_seconds, 0.5))
    largest = max((energy.largest_gap_seconds for energy in evidence.energies), default=0.0)
    message = f"largest gap between samples {largest:.3g} s, at most {allowed:.3g} s"
    return _finding("gap_between_samples", largest <= allowed, message)


def _samples(evidence: Evidence) -> Finding:
    fewest = min((energy.samples for energy in evidence.energies), default=0)
    passed = fewest >= FEWEST_SAMPLES or not evidence.energies
    return _finding("samples_in_window", passed, f"{fewest} samples in the leanest window, at least {FEWEST_SAMPLES}")


def _devices(evidence: Evidence) -> Finding:
    found = len({energy.channel.key for energy in evidence.energies})
    passed = found == evidence.devices_expected
    return _finding("sensors_present", passed, f"{found} of {evidence.devices_expected} sensors gave samples")


def _uninterrupted(evidence: Evidence) -> Finding:
    doubts = sorted({reason for energy in evidence.energies if energy.energy for reason in energy.reasons})
    return _finding("counters_uninterrupted", not doubts, "; ".join(doubts) or "no counter was reset")


def _duration(evidence: Evidence) -> Finding:
    worst = 0.0
    allowed = 0.5
    for window in (window for repeat in evidence.windows for window in repeat):
        seconds = (window.end_ns - window.start_ns) / 1e9
        off = abs(sum(window.latencies_seconds) - seconds)
        if off > worst:
            worst, allowed = off, max(0.5, 0.01 * seconds)
    message = f"iterations and window differ by {worst:.3g} s at most, {allowed:.3g} s allowed"
    return _finding("same_window", worst <= allowed, message)


def _steady(evidence: Evidence) -> Finding:
    if len(evidence.rates) < FEWEST_REPEATS:
        return _finding("steady", passed=True, message="too few repeats to tell", fatal=False)
    passed = trend(evidence.rates, STEADY_WITHIN).steady is not False
    message = "throughput has no trend over the repeats" if passed else "throughput still moves over the repeats"
    return _finding("steady", passed, message, fatal=False)


def _spread(evidence: Evidence) -> Finding:
    if not evidence.joules_per_inference:
        return _finding("energy_spread", passed=True, message="no energy to judge", fatal=False)
    cv = summarize(evidence.joules_per_inference).cv
    if cv is None:
        return _finding("energy_spread", passed=True, message="too few repeats to tell", fatal=False)
    message = f"coefficient of variation of the energy {cv:.1%}, at most {LARGEST_CV:.0%} is trusted without a look"
    return _finding("energy_spread", cv <= LARGEST_CV, message, fatal=False)


def valid(findings: Sequence[Finding]) -> bool:
    """Tell whether no fatal expectation failed."""
    return all(finding.passed or not finding.fatal for finding in findings)
