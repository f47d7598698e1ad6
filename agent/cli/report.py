"""A profile for people: what it is of, a table of its points, and what to know before using the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.cli.options import answer
from agent.cli.tables import number, show, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

_Json = dict[str, Any]


def show_profile(document: _Json) -> None:
    """Print a profile document."""
    host, engine, workload = document["host"], document["engine"], document["workload"]
    answer(f"Profile {document['id']} ({document['status']}, {document['effort']['name']})")
    answer(f"Host     {host['name']}: {host['cpu_model']}, {host['cores']} cores")
    answer(f"Model    {workload['name']}, {number(workload['parameters'])} parameters, {_shape(workload)}")
    answer(f"Engine   {engine['name']} {engine['version']} on {engine['provider']}")
    answer(f"Energy   {_coverage(document['coverage'])}")
    for baseline in document["baselines"]:
        total = next((power["watts"] for power in baseline["power"] if power["device"] == "total"), None)
        answer(f"Idle     {baseline['state']}: {_figure(total, 'W')}")
    answer("")
    _show_points(document)
    _show_cost(document)
    _show_reasons(document)
    for note in document["notes"]:
        answer(f"Note: {note}")


def _shape(workload: _Json) -> str:
    settings = workload["settings"]
    if "layers" not in settings:
        return str(settings.get("model", ""))
    return (
        f"{settings['layers']} layers of {settings['width']}, {workload['precision']}, "
        f"{settings['prompt_tokens']} tokens in, {settings['output_tokens']} out"
    )


def _coverage(coverage: _Json) -> str:
    if not coverage["includes"]:
        return "none: nothing here measures power"
    parts = ", ".join(f"{each['device']}/{each['domain']}" for each in coverage["includes"])
    half = f" (±{coverage['uncertainty']:.0%})" if coverage["uncertainty"] else ""
    missing = f"; not covered: {', '.join(coverage['not_covered'])}" if coverage["not_covered"] else ""
    return f"{coverage['source']}{half}, boundary {coverage['boundary']}: {parts}{missing}"


def _figure(quantity: Mapping[str, Any] | None, unit: str) -> str:
    if quantity is None:
        return "-"
    return f"{number(quantity['mean'], unit)} {spread(quantity['mean'], quantity['lower'], quantity['upper'])}".strip()


def _show_points(document: _Json) -> None:
    tokens = any(point["output_tokens_per_inference"] for point in document["points"])
    columns = ["POINT", "LATENCY p50>", "p99>", "INFERENCES/s>"]
    if tokens:
        columns += ["FIRST TOKEN>", "NEXT TOKEN>", "TOKENS/s>"]
    columns += ["POWER>", "ENERGY/INFERENCE>"]
    if tokens:
        columns += ["ENERGY/TOKEN OUT>"]
    columns.append("SOURCE")
    show(columns, [_point_row(point, tokens=tokens) for point in document["points"]])


def _point_row(point: _Json, *, tokens: bool) -> list[str]:
    latency, energy, power = point["latency_seconds"], point["energy"], point["power"]
    rate = point["inferences_per_second"]
    row = [point["name"], number(latency["p50"], "s"), number(latency["p99"], "s"), _figure(rate, "")]
    if tokens:
        first, following = point["time_to_first_token_seconds"], point["inter_token_latency_seconds"]
        row.append(number(first["p50"], "s") if first else "-")
        row.append(number(following["p50"], "s") if following else "-")
        row.append(_figure(point["output_tokens_per_second"], ""))
    row.append(number(power["mean"]["mean"], "W") if power else "-")
    row.append(_figure(energy["per_inference"]["total"] if energy else None, "J"))
    if tokens:
        row.append(number(energy["per_output_token"]["mean"], "J") if energy and energy["per_output_token"] else "-")
    row.append(energy["per_inference"]["total"]["source"] if energy else "not valid" if not point["valid"] else "-")
    return row


def _show_cost(document: _Json) -> None:
    priced = [point for point in document["points"] if point["cost"]]
    if not priced:
        return
    answer("")
    currency = priced[0]["cost"]["currency"]
    rows = []
    for point in priced:
        for basis in ("usage", "allocation"):
            prices = point["cost"][basis]
            if prices:
                rows.append(_cost_row(point, basis, prices))
    unit = currency or "the unit of the prices given"
    answer(f"Cost per million, in {unit} (SOURCE is of the energy)")
    show(
        (
            "POINT",
            "BASIS",
            "UTILIZATION>",
            "ENERGY/M INFERENCES>",
            "CAPITAL/M>",
            "TOTAL/M>",
            "TOTAL/M TOKENS OUT>",
            "SOURCE",
        ),
        rows,
    )
    cost = priced[0]["cost"]
    for missing in cost["missing"]:
        answer(f"Not given: {missing['name']}: {missing['without']}")
    for assumed in cost["assumed"]:
        answer(f"Assumed: {assumed['name']} = {assumed['value']:g} ({assumed['source']})")


def _cost_row(point: _Json, basis: str, prices: _Json) -> list[str]:
    parts, tokens = prices["per_inference"], prices["per_million_output_tokens"]
    energy, capital = parts["energy"], parts["capital"]
    total = energy["mean"] + capital["mean"] if energy and capital else None
    per_tokens = (
        tokens and tokens["energy"] and tokens["capital"] and tokens["energy"]["mean"] + tokens["capital"]["mean"]
    )
    return [
        point["name"],
        basis,
        f"{prices['utilization']:.0%}",
        _money(energy and energy["mean"] * 1e6),
        _money(capital and capital["mean"] * 1e6),
        _money(total and total * 1e6),
        _money(per_tokens),
        point["energy"]["per_inference"]["total"]["source"],
    ]


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _show_reasons(document: _Json) -> None:
    answer("")
    for point in document["points"]:
        for finding in point["findings"]:
            if not finding["passed"]:
                weight = "not valid" if finding["fatal"] else "look twice"
                answer(f"{point['name']}: {weight}: {finding['expectation']}: {finding['message']}")
