"""The tables of a printed profile: speed, energy and cost, with a row for each point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.figures import energy_source, figure, time_unit, total_cost
from agent.render.tables import percent, plain, spread, titled_table, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Json = dict[str, Any]
_BASES = ("usage", "allocation")
_MILLION = 1e6
_LATENCIES = ("latency_seconds", "time_to_first_token_seconds", "inter_token_latency_seconds")


def speed_table(points: Sequence[_Json], width: int) -> str:
    """Return rates and latencies; the percentiles of a request only if whole requests ran."""
    whole = any(point["latency_seconds"] for point in points)
    tokens = any(point["output_tokens_per_inference"] for point in points)
    tails = [point[name]["p99"] or point[name]["p50"] for point in points for name in _LATENCIES if point[name]]
    factor, unit = time_unit([*tails, *(point["mean_latency_seconds"]["mean"] for point in points)])
    columns = ["POINT", "INFERENCES/S>", "LATENCY>"]
    columns += ["p50>", "p99>"] if whole else []
    columns += ["OUTPUT TOK/S>", "TTFT>", "p99>", "ITL>", "p99>"] if tokens else []
    medians = ", TTFT and ITL are medians" if tokens else ""
    title = f"Speed. Latencies in {unit}: LATENCY is the mean of a request{medians}; - is unknown."
    return titled_table(
        title, columns, [_speed_row(point, factor, whole=whole, tokens=tokens) for point in points], width
    )


def _speed_row(point: _Json, factor: float, *, whole: bool, tokens: bool) -> list[str]:
    row = [point["name"], figure(point["inferences_per_second"]), plain(point["mean_latency_seconds"]["mean"] * factor)]
    if whole:
        row += _percentiles(point["latency_seconds"], factor)
    if tokens:
        rate = point["output_tokens_per_second"]
        row.append(plain(rate["mean"]) if rate else "-")
        row += _percentiles(point["time_to_first_token_seconds"], factor)
        row += _percentiles(point["inter_token_latency_seconds"], factor)
    return row


def _percentiles(latencies: _Json | None, factor: float) -> list[str]:
    """Return the median and the p99, `-` for a percentile that too few latencies support."""
    values = [latencies[name] if latencies else None for name in ("p50", "p99")]
    return [plain(None if value is None else value * factor) for value in values]


def energy_table(points: Sequence[_Json], width: int) -> str:
    """Return power and energy. A load has no column for values that are unknown, or equal, in all of its points."""
    if not any(point["energy"] for point in points):
        return "Energy: not available; the reasons are above."
    served = any(point.get("serving") for point in points)
    known = [point["energy"] for point in points if point["energy"]]
    sources = {energy_source(energy) for energy in known}
    tokens = any(energy["joules_per_output_token"] for energy in known)
    dynamic = not served or any(energy["joules_per_inference"]["dynamic"] for energy in known)
    source = not served or len(sources) > 1 or len(known) < len(points)
    columns = ["POINT", "WATTS>", "J/REQUEST>" if served else "J/INFERENCE>", "UNCERTAINTY>"]
    columns += ["DYNAMIC>"] if dynamic else []
    columns += ["J/OUTPUT TOKEN>"] if tokens else []
    columns += ["SOURCE"] if source else []
    title = "Energy." if source else f"Energy, {sources.pop()}."
    title += " Idle power is included"
    title += ", DYNAMIC is the part above it (J)." if dynamic else "."
    title += " UNCERTAINTY: 95 %, and the sensors' bounds."
    rows = [_energy_row(point, tokens=tokens, dynamic=dynamic, source=source) for point in points]
    return titled_table(title, columns, rows, width)


def _energy_row(point: _Json, *, tokens: bool, dynamic: bool, source: bool) -> list[str]:
    energy, power = point["energy"], point["power"]
    if energy is None:
        blank = ["-"] * (3 + dynamic + tokens)
        return [point["name"], *blank, "not available" if point["valid"] else "invalid"]
    split = energy["joules_per_inference"]
    total, above, token = split["total"], split["dynamic"], energy["joules_per_output_token"]
    row = [
        point["name"],
        plain(power["mean_watts"]["mean"]) if power else "-",
        plain(total["mean"]),
        spread(total["mean"], total["lower"], total["upper"]),
    ]
    row += [plain(above["mean"]) if above else "-"] if dynamic else []
    row += [plain(token["mean"]) if token else "-"] if tokens else []
    return [*row, energy_source(energy)] if source else row


def cost_table(points: Sequence[_Json], width: int) -> str:
    """Return the costs with the prices that are missing or assumed; empty without prices."""
    priced = [point for point in points if point["cost"]]
    if not priced:
        return ""
    cost = priced[0]["cost"]
    columns = ["POINT", "BASIS", "ENERGY>", "CAPITAL>", "TOTAL>", "RANGE>"]
    found = [(point["name"], basis, point["cost"][basis]) for point in priced for basis in _BASES]
    shown = [(name, basis, prices) for name, basis, prices in found if prices]
    tokens = any(prices["per_million_output_tokens"] for _, _, prices in shown)
    columns += ["/M OUTPUT TOK>"] if tokens else []
    rows = [_cost_row(name, basis, prices, tokens=tokens) for name, basis, prices in shown]
    bases = {basis: f"{basis} at {percent(prices['utilization'])} utilization" for _, basis, prices in shown}
    title = f"Cost in {cost['currency'] or 'the unit of the prices given'} per million inferences: "
    title += f"{', '.join(bases.values())}. The energy part is {_energy_sources(priced)}."
    missing = "; ".join(f"{each['name']} ({each['effect']})" for each in cost["missing"])
    assumed = "; ".join(map(_assumed, cost["assumed"]))
    notes = [f"{name}: {text}." for name, text in (("Not given", missing), ("Assumed", assumed)) if text]
    return "\n".join([titled_table(title, columns, rows, width), *(wrapped(note, width, 2) for note in notes)])


def _energy_sources(points: Sequence[_Json]) -> str:
    return ", ".join(dict.fromkeys(energy_source(point["energy"]) for point in points if point["energy"]))


def _assumed(assumed: Mapping[str, Any]) -> str:
    source = "" if assumed["source"] == "assumed" else f" ({assumed['source']})"
    return f"{assumed['name']} = {assumed['value']:g}{source}"


def _cost_row(name: str, basis: str, prices: _Json, *, tokens: bool) -> list[str]:
    parts = {key: _times_million(part) for key, part in prices["per_inference"].items()}
    total = total_cost(parts) if all(parts.values()) else None
    row = [name, basis, *(plain(part["mean"]) if part else "-" for part in (*parts.values(), total)), _range(total)]
    if tokens:
        per_token = prices["per_million_output_tokens"]
        whole = total_cost(per_token) if per_token and all(per_token.values()) else None
        row.append(plain(whole["mean"]) if whole else "-")
    return row


def _times_million(part: _Json | None) -> _Json | None:
    return part and {name: each if each is None else each * _MILLION for name, each in part.items()}


def _range(total: _Json | None) -> str:
    if total is None or (total["lower"] is None and total["upper"] is None):
        return "-"
    if total["upper"] is None:
        return f"{plain(total['lower'])} or more"
    return f"{plain(total['lower'] or 0.0)} to {plain(total['upper'])}"
