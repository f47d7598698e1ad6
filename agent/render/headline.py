"""The answer of a profile in a few lines: the best point, its energy and cost with their ranges, the main caveat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.figures import best_point, energy_source, figure, preferred_cost, total_cost, unmeasured_reason
from agent.render.serving_tables import rate_text
from agent.render.tables import number, percent, plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Json = dict[str, Any]
_INDENT = 18
_MILLION = 1e6


def headline(document: Mapping[str, Any], width: int) -> str:
    """Return the first lines of a profile; each is one line unless it is wider than `width`."""
    point = best_point(document["points"])
    lines = [("Best point", _speed(point) if point else "none: no point is complete")]
    if point and point.get("serving") and _joules_per_token(point):
        lines.append(("1 request", _energy_and_cost(point, document, per_token=False)))
    if point:
        per_token = _joules_per_token(point) is not None
        label = "1M output tokens" if per_token else f"1 {_work(point)}"
        lines.append((label, _energy_and_cost(point, document, per_token=per_token)))
    if rate := rate_text(document.get("sustainable_rate")):
        lines.append(("Highest rate", rate))
    lines.append(("Caveat", _caveat(document)))
    return "\n".join(wrapped(text, width, _INDENT, label) for label, text in lines)


def _speed(point: _Json) -> str:
    tokens, first = point["output_tokens_per_second"], point["time_to_first_token_seconds"]
    rates = [f"{plain(point['inferences_per_second']['mean'])} {_work(point)}s/s"]
    if tokens:
        rates.append(f"{plain(tokens['mean'])} output tok/s")
    if first:
        rates.append(f"TTFT {number(first['p50'], 's')}")
    return f"{point['name']}: {', '.join(rates)}"


def _work(point: _Json) -> str:
    return "request" if point.get("serving") else "inference"


def _joules_per_token(point: _Json) -> _Json | None:
    found: _Json | None = point["energy"] and point["energy"]["joules_per_output_token"]
    return found


def _energy_and_cost(point: _Json, document: Mapping[str, Any], *, per_token: bool) -> str:
    energy = point["energy"]
    if energy is None:
        return f"energy not available: {_reason(point, document)}"
    joules = energy["joules_per_output_token"] if per_token else energy["joules_per_inference"]["total"]
    factor = _MILLION if per_token else 1.0
    source = energy_source(energy)
    source = f"({source})" if joules["source"] == "mixed" else source
    return f"{figure(joules, 'J', factor)} {source}{_cost(point, per_token=per_token)}"


def _reason(point: _Json, document: Mapping[str, Any]) -> str:
    failed = (each["message"] for each in point["checks"] if _fails(each, "invalid"))
    return next(failed, "" if document["coverage"]["includes"] else unmeasured_reason(document))


def _fails(check: _Json, severity: str) -> bool:
    return bool(check["status"] == "failed" and check["severity"] == severity)


def _cost(point: _Json, *, per_token: bool) -> str:
    preferred = preferred_cost(point["cost"]) if point["cost"] else None
    if preferred is None:
        return ", no prices given"
    _, prices = preferred
    parts = prices["per_million_output_tokens"] if per_token else prices["per_inference"]
    total = total_cost(parts) if parts else None
    if total is None:
        return ""
    alone = "" if all(parts.values()) else f" ({' and '.join(name for name, part in parts.items() if part)} alone)"
    currency = point["cost"]["currency"] or "price units"
    amount = figure(total, currency) if per_token else f"{figure(total, currency, _MILLION)} per million"
    return f", {amount}{alone} at {percent(prices['utilization'])} utilization"


def _caveat(document: Mapping[str, Any]) -> str:
    """Return the first reason for doubt: an incomplete run, points without energy, an estimate, a failed check."""
    if document["status"] != "complete":
        return f"the run is {document['status']}: points and repeats after that are missing"
    points: Sequence[_Json] = document["points"]
    invalid = [point["name"] for point in points if not point["valid"]]
    if invalid:
        return f"no energy and cost for {', '.join(invalid)}: a check failed, see below"
    coverage = document["coverage"]
    if coverage["source"] in {"estimated", "mixed"}:
        half = coverage["relative_uncertainty"]
        part = "the energy" if coverage["source"] == "estimated" else "a part of the energy"
        return f"{part} is estimated{f' to ±{percent(half)}' if half else ''}, not measured"
    if not coverage["includes"]:
        return f"{unmeasured_reason(document)}: speed only"
    count = len({each["name"] for point in points for each in point["checks"] if _fails(each, "warning")})
    if count:
        return f"{count} {'checks' if count > 1 else 'check'} failed, see the warnings below"
    missing = coverage["not_covered"]
    return f"the energy does not cover {', '.join(missing)}" if missing else "none: every check passed"
