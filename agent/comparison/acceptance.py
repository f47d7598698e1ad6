"""Checks claims about a machine against its profile: met, missed or undecided, by the interval of the measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.comparison.claims import COSTS, LATENCIES, Bound
from agent.cost.interval import Interval
from agent.profiling.analysis.binomial import lower_limit, upper_limit
from agent.profiling.pricing import NoCostError, sustained_point
from agent.workloads.point import Value, point_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.comparison.claims import Claim, Spec
    from agent.profiling.records import Document, Point, UncertainValue
    from agent.profiling.run_facts import LatencySummary

Verdict = Literal["met", "missed", "undecided"]
_SHARES = {"minimum": 0.0, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "maximum": 1.0}
_MILLION = 1e6


class CheckedClaim(msgspec.Struct, frozen=True):
    """A claim with its measurement. `value` is None if it was not measured, `source` that of an energy or a power.

    `reason` states why a claim is undecided. The value of a percentile has no interval: its verdict comes from the
    counts of requests below the limit.
    """

    metric: str
    bound: Bound
    limit: float
    point: str | None
    value: Interval | None
    source: str | None
    verdict: Verdict
    reason: str


class Acceptance(msgspec.Struct, frozen=True):
    """The claims of a file against a profile. `verdict` is missed if one is, else undecided if one is, else met."""

    name: str | None
    profile: str
    verdict: Verdict
    claims: tuple[CheckedClaim, ...]
    notes: tuple[str, ...]


class NotMeasuredError(Exception):
    """The profile has no value for a claim; the message is the reason."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A measured value: its interval, or the latencies whose percentile it is."""

    value: Interval
    source: str | None = None
    latencies: LatencySummary | None = None
    percentile: str = ""


def accept(document: Document, spec: Spec) -> Acceptance:
    """Return the verdict on each claim."""
    claims = tuple(_checked(document, spec, claim) for claim in spec.claims)
    verdicts = {each.verdict for each in claims}
    whole: Verdict = "missed" if "missed" in verdicts else "undecided" if "undecided" in verdicts else "met"
    notes = []
    if document.status.value != "complete":
        notes.append(f"the run is {document.status.value}, not complete")
    if any(each.source in {"estimated", "mixed"} for each in claims):
        notes.append("energy and power are estimated, at least in part, not measured")
    if any(each.metric in COSTS and each.value for each in claims):
        assumed = (each for point in document.points if point.cost for each in point.cost.assumed)
        shown = dict.fromkeys(each.text for each in assumed)
        notes += [f"assumed prices: {', '.join(shown)}"] if shown else []
    return Acceptance(spec.name, document.id, whole, claims, tuple(notes))


def _checked(document: Document, spec: Spec, claim: Claim) -> CheckedClaim:
    point: Point | None = None
    found: _Found | None = None
    reason = ""
    try:
        point = None if claim.metric.startswith("watts_idle") else _point(document, claim.point)
        found = _idle(document, claim.metric) if point is None else _measured(document, spec, claim, point)
    except NotMeasuredError as error:
        reason = str(error)
    verdict = "undecided" if found is None else _verdict(claim, found)
    if found is not None and verdict == "undecided":
        reason = _undecided(found)
    return CheckedClaim(
        metric=claim.metric,
        bound=claim.bound,
        limit=claim.limit,
        point=None if point is None else point.name,
        value=None if found is None else found.value,
        source=None if found is None else found.source,
        verdict=verdict,
        reason=reason,
    )


def _point(document: Document, wanted: Mapping[str, Value]) -> Point:
    """Return the point with these parameters, or without any the highest sustainable one."""
    if not wanted:
        try:
            return sustained_point(document)[0]
        except NoCostError:
            points = [*document.points]
            if not points:
                raise NotMeasuredError("the profile has no points") from None
            return max(points, key=lambda point: point.inferences_per_second.mean)
    settings = document.workload.settings
    for point in document.points:
        if all(point.parameters.get(name, settings.get(name)) == value for name, value in wanted.items()):
            return point
    names = ", ".join(point.name for point in document.points)
    raise NotMeasuredError(f"the profile has no point {point_name(wanted)}: it has {names}")


def _idle(document: Document, metric: str) -> _Found:
    state = "unloaded" if metric.endswith("unloaded") else "loaded"
    known = [each.watts for each in document.baselines if each.state == state and each.watts is not None]
    if not known:
        raise NotMeasuredError(f"the {state} idle power was not measured")
    mean = sum(watts.mean for watts in known) / len(known)
    value = Interval(mean, min(watts.lower for watts in known), max(watts.upper for watts in known))
    return _Found(value, known[0].source.value)


def _measured(document: Document, spec: Spec, claim: Claim, point: Point) -> _Found:
    """Return the value of a claim at a point. Raises NotMeasuredError."""
    name = claim.metric
    latency, _, rest = name.partition("_")
    failed = None if name.startswith(("joules", "watts")) else _failed(point)
    if failed is not None:
        raise NotMeasuredError(f"the measurement of {point.name} is invalid: {failed}")
    if name in COSTS:
        return _cost(spec, claim, point)
    if latency in LATENCIES and name != "e2e_mean_seconds":
        return _percentile(point, latency, rest.removesuffix("_seconds"))
    energy, power = point.energy, point.power
    values: dict[str, Interval | UncertainValue | None] = {
        "e2e_mean_seconds": point.mean_latency_seconds,
        "requests_per_second": point.inferences_per_second,
        "output_tokens_per_second": point.output_tokens_per_second,
        "joules_per_request": None if energy is None else energy.joules_per_inference.total,
        "joules_per_output_token": None if energy is None else energy.joules_per_output_token,
        "joules_per_input_token": None if energy is None else energy.joules_per_input_token,
        "watts_busy": None if power is None else power.mean_watts,
    }
    value = values[name]
    if value is None:
        raise NotMeasuredError(_no_value(document, point, name))
    source = None if isinstance(value, Interval) else value.source.value
    return _Found(Interval(value.mean, value.lower, value.upper), source)


def _failed(point: Point) -> str | None:
    """Return the reason for which a point is invalid; None for a valid one."""
    return next((check.message for check in point.checks if check.failed and check.severity == "invalid"), None)


def _no_value(document: Document, point: Point, name: str) -> str:
    failed = _failed(point)
    if failed and (name.startswith("joules") or name == "watts_busy"):
        return f"the energy of {point.name} is withheld: {failed}"
    if point.energy is None and not document.coverage.includes:
        return "nothing on the measured host measures power"
    return f"{point.name} has no such figure"


def _cost(spec: Spec, claim: Claim, point: Point) -> _Found:
    if point.cost is None:
        raise NotMeasuredError("the profile has no prices: give --tariff FILE.toml")
    if point.cost.currency != spec.currency:
        raise NotMeasuredError(
            f"the claim is in {spec.currency}, the prices are in {point.cost.currency or 'no currency'}"
        )
    basis = point.cost.usage if claim.basis == "usage" else point.cost.allocation
    if basis is None:
        raise NotMeasuredError(point.cost.no_allocation_reason or "there is no cost on this basis")
    tokens = claim.metric.endswith("tokens")
    amount = basis.per_million_output_tokens if tokens else basis.per_inference
    total = amount.total if amount else None
    if total is None:
        raise NotMeasuredError(basis.no_total_reason or "the model has no output tokens")
    source = point.energy.joules_per_inference.total.source.value if point.energy else None
    return _Found(total if tokens else total.times(_MILLION), source)


def _percentile(point: Point, latency: str, percentile: str) -> _Found:
    serving = point.serving
    summaries = {
        "ttft": point.time_to_first_token_seconds,
        "itl": point.inter_token_latency_seconds,
        "tpot": None if serving is None else serving.time_per_output_token_seconds,
        "e2e": point.latency_seconds,
    }
    summary = summaries[latency]
    if summary is None:
        raise NotMeasuredError(f"{point.name} has no percentiles of this latency")
    value: float | None = getattr(summary, percentile)
    if value is None:
        raise NotMeasuredError(f"{summary.count:,} latencies are too few for {percentile}")
    return _Found(Interval(value), None, summary, percentile)


def _verdict(claim: Claim, found: _Found) -> Verdict:
    """Return met or missed if the whole interval is on that side of the limit, else undecided."""
    if found.latencies is not None:
        share = _SHARES[found.percentile]
        below, above = shares_within(found.latencies, claim.limit)
        within, beyond = below >= share, above < share
    else:
        within, beyond = _sides(claim, found.value)
    met, missed = (within, beyond) if claim.bound == "at_most" else (beyond, within)
    return "met" if met else "missed" if missed else "undecided"


def _sides(claim: Claim, value: Interval) -> tuple[bool, bool]:
    """Return whether an interval is at or below the limit, and whether it is above; the limit itself meets a claim."""
    low = -math.inf if value.lower is None else value.lower
    high = math.inf if value.upper is None else value.upper
    if claim.bound == "at_most":
        return high <= claim.limit, low > claim.limit
    return high < claim.limit, low >= claim.limit


def shares_within(latencies: LatencySummary, limit: float) -> tuple[float, float]:
    """Return 95 % limits of the share of all requests within a limit in seconds: a lower and an upper one.

    A summary has no counts, but its order statistics bound them: at least the share s of the latencies lies at or below
    its percentile s, and at most that share below it. The limits are Clopper and Pearson's of these counts, each
    one-sided, for independent requests.
    """
    count = latencies.count
    known = {share: value for name, share in _SHARES.items() if (value := getattr(latencies, name)) is not None}
    least = max((math.floor(share * (count - 1)) + 1 for share, value in known.items() if value <= limit), default=0)
    most = min((math.ceil(share * (count - 1)) for share, value in known.items() if value > limit), default=count)
    return lower_limit(least, count), upper_limit(most, count)


def _undecided(found: _Found) -> str:
    if found.latencies is not None:
        return f"{found.latencies.count:,} latencies do not decide it"
    return "the interval contains the limit: measure more repeats, or longer windows"
