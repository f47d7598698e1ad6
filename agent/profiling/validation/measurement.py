"""The checks of a point's own measurement: windows, samples, counters, spread; pure.

A failed check of severity `invalid` withholds the energy and cost of the point; one of severity `warning` is a reason
for doubt.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from agent.energy.read_rates import needed_seconds, run_period_seconds
from agent.energy.window import MAX_DISAGREEMENT
from agent.profiling.analysis.statistics import summarize
from agent.profiling.run_facts import checked
from agent.profiling.validation.environment import check_environment
from agent.profiling.validation.evidence import IMPORTED
from agent.profiling.validation.serving import check_serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.run_facts import CheckResult
    from agent.profiling.validation.evidence import Evidence
    from probes.model import Channel

MIN_REPEATS = 3
PREFERRED_REPEATS = 5
MAX_GAP_SECONDS = 3.0
MAX_GAP_PERIODS = 3
MAX_GAP_SHARE = 0.01
MIN_SAMPLES = 2
MAX_DURATION_ERROR_SECONDS = 0.5
MAX_DURATION_ERROR_SHARE = 0.01
MAX_CV = 0.03
MAX_RELATIVE_BOUND = 0.1


def validate(evidence: Evidence) -> tuple[CheckResult, ...]:
    """Return the result of every check of a point.

    The requests of a load overlap, so they do not add up to the window.
    """
    return (
        _repeats(evidence),
        _samples_bracket_window(evidence),
        _gaps(evidence),
        _samples(evidence),
        _devices(evidence),
        _uninterrupted(evidence),
        *(() if evidence.serving else (_duration(evidence),)),
        _spread(evidence),
        _not_stuck(evidence),
        _long_enough(evidence),
        _sensors_agree(evidence),
        *check_environment(evidence),
        *(check_serving(evidence, evidence.serving) if evidence.serving else ()),
    )


def _repeats(evidence: Evidence) -> CheckResult:
    found = len(evidence.windows)
    message = f"{found} complete repeats; at least {MIN_REPEATS} needed, {PREFERRED_REPEATS} better"
    severity: Literal["warning", "invalid"] = "warning" if evidence.mode == IMPORTED else "invalid"
    return checked("repeats", found >= MIN_REPEATS, message, severity)


def _samples_bracket_window(evidence: Evidence) -> CheckResult:
    missing = [energy for energy in evidence.energies if energy.energy is None]
    message = "every sensor was read before and after every window"
    if missing:
        start = f"{missing[0].channel.path}: "
        reasons = "; ".join(missing[0].reasons)
        cause = next((fault for fault in evidence.faults if fault.startswith(start)), start + reasons)
        message = f"in {len(missing)} windows, {cause}"
    return checked("samples_bracket_window", not missing, message, "invalid")


def _gaps(evidence: Evidence) -> CheckResult:
    """Compare the largest gap of each sensor with the limit for its kind.

    A counter loses nothing in a gap, and its bound covers a gap at an edge: its limit is 3 s. A gauge loses the energy
    of a gap: its limit is three of its periods, or a hundredth of the window if the periods are short.
    """
    shortest = min(window.seconds for repeat in evidence.windows for window in repeat)
    gap, allowed = 0.0, MAX_GAP_SECONDS
    for each in evidence.energies:
        limit = MAX_GAP_SECONDS
        if each.method == "integrated":
            period = min(evidence.sampling_period_seconds, run_period_seconds([each.channel]))
            limit = min(limit, max(MAX_GAP_PERIODS * period, MAX_GAP_SHARE * shortest))
        if each.largest_gap_seconds / limit > gap / allowed:
            gap, allowed = each.largest_gap_seconds, limit
    message = f"largest gap between samples {gap:.3g} s (limit {allowed:.3g} s)"
    return checked("gap_between_samples", gap <= allowed, message, "invalid")


def _samples(evidence: Evidence) -> CheckResult:
    if not evidence.energies:
        return checked("samples_in_window", None, "no sensor measures power", "invalid")
    fewest = min(energy.samples for energy in evidence.energies)
    message = f"{fewest} samples in the window with the fewest (at least {MIN_SAMPLES} needed)"
    return checked("samples_in_window", fewest >= MIN_SAMPLES, message, "invalid")


def _devices(evidence: Evidence) -> CheckResult:
    found = len({energy.channel.key for energy in evidence.energies})
    message = f"{found} of {evidence.devices_expected} sensors gave samples"
    return checked("sensors_present", found == evidence.devices_expected, message, "invalid")


def _uninterrupted(evidence: Evidence) -> CheckResult:
    doubts = sorted({reason for energy in evidence.energies if energy.energy for reason in energy.reasons})
    return checked(
        "counters_uninterrupted",
        not doubts,
        "; ".join(doubts) or "no counter was reset or silent, and no gauge frozen",
        "invalid",
    )


def _duration(evidence: Evidence) -> CheckResult:
    worst, allowed = 0.0, MAX_DURATION_ERROR_SECONDS
    for window in (window for repeat in evidence.windows for window in repeat):
        off = abs(sum(window.latencies_seconds) - window.seconds)
        limit = max(MAX_DURATION_ERROR_SECONDS, MAX_DURATION_ERROR_SHARE * window.seconds)
        if off / limit > worst / allowed:
            worst, allowed = off, limit
    message = f"iterations and window differ by up to {worst:.3g} s (limit {allowed:.3g} s)"
    return checked("window_matches_iterations", worst <= allowed, message, "invalid")


def _spread(evidence: Evidence) -> CheckResult:
    cv = summarize(evidence.joules_per_inference).cv if evidence.joules_per_inference else None
    if cv is None:
        return checked("energy_spread", None, "fewer than two repeats with an energy", "warning")
    message = f"the energy varies by {cv * 100:.1f} % between repeats (standard deviation; limit {MAX_CV * 100:.0f} %)"
    return checked("energy_spread", cv <= MAX_CV, message, "warning")


def _not_stuck(evidence: Evidence) -> CheckResult:
    measured = (each for each in evidence.energies if each.method != "model")
    still = sorted({each.channel.path for each in measured if each.energy and not each.energy.joules})
    message = f"no energy in at least one window: {', '.join(still)}" if still else "every sensor showed energy"
    return checked("sensors_not_stuck", not still, message, "invalid")


def _long_enough(evidence: Evidence) -> CheckResult:
    """Compare the relative bounds of the sensors with their limit; models state their own."""
    shares = [
        ((each.energy.upper - each.energy.lower) / 2 / each.energy.joules, each.channel.path, _remedy(each.channel))
        for each in evidence.energies
        if each.method != "model" and each.energy and each.energy.joules
    ]
    if not shares:
        return checked("windows_long_enough", None, "no measured energy", "warning")
    share, name, words = max(shares)
    message = f"{name} leaves ±{share * 100:.1f} % of a window's energy open"
    message += f" (limit ±{MAX_RELATIVE_BOUND * 100:.0f} %); {words}"
    if share <= MAX_RELATIVE_BOUND:
        message = f"the sensors' bounds are within ±{share * 100:.1f} % of every window's energy"
    return checked("windows_long_enough", share <= MAX_RELATIVE_BOUND, message, "warning")


def _remedy(channel: Channel) -> str:
    """Return the way to narrow the bound of a sensor."""
    if math.isinf(needed_seconds(channel, MAX_RELATIVE_BOUND)):
        return "no length of window helps: this gauge does not observe all of the time"
    return "use longer windows"


def _sensors_agree(evidence: Evidence) -> CheckResult:
    if not evidence.agreement:
        return checked("sensors_agree", None, "no domain has both a counter and a power gauge", "warning")
    worst = max(evidence.agreement, key=lambda each: abs(each.relative_difference))
    share = abs(worst.relative_difference)
    message = f"{worst.device}/{worst.domain}: power gauge and counter differ by {share * 100:.1f} % (limit "
    message += f"{MAX_DISAGREEMENT * 100:.0f} %); the {worst.preferred} is preferred: {worst.reason}"
    return checked("sensors_agree", share <= MAX_DISAGREEMENT, message, "warning")


def valid(checks: Sequence[CheckResult]) -> bool:
    """Return whether no check of severity `invalid` failed."""
    return not any(check.failed and check.severity == "invalid" for check in checks)
