"""A profile for people: what it is of, how fast, at what energy and cost, and what to know before using the numbers."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from agent.cli.options import answer
from agent.cli.tables import number, percent, show, spread
from agent.profiling.surrounding_gates import OTHERS_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_Json = dict[str, Any]
_BASES = ("usage", "allocation")


def show_profile(document: _Json) -> None:
    """Print a profile document."""
    _show_head(document)
    _show_speed(document["points"])
    _show_energy(document["points"])
    _show_cost(document["points"])
    _show_reasons(document)


def _show_head(document: _Json) -> None:
    host, engine, workload = document["host"], document["engine"], document["workload"]
    virtual = ", virtual machine" if host["virtual"] else ""
    answer(f"Profile  {document['id']} ({document['status']}, {_effort(document['effort'])})")
    answer(f"Host     {host['name']}: {host['cpu_model']}, {host['cores']} cores{virtual}")
    answer(f"Model    {workload['name']}: {number(workload['parameters'])} parameters, {_shape(workload)}")
    answer(f"Engine   {engine['name']} {engine['version']} on {engine['provider']}")
    answer(f"Energy   {_coverage(document['coverage'])}")
    for line in chain(_idle(document["baselines"]), _surroundings(document)):
        answer(line)


def _effort(effort: _Json) -> str:
    length = f"{effort['name']}: {effort['repeats']} repeats of {effort['window_seconds']:.3g} s"
    return f"{length}, more until ±{percent(effort['tolerance'])}" if effort.get("tolerance") else length


def _idle(baselines: Sequence[_Json]) -> Iterator[str]:
    """Yield one line a state: its power before the run and, since schema 1.1, after it."""
    for state, words in (("unloaded", "without the model"), ("loaded", "with the model loaded")):
        own = [each for each in baselines if each["state"] == state]
        totals = [(each.get("when", "before"), _total(each)) for each in own]
        told = [f"{_figure(total, 'W')} {when} the run" for when, total in totals if total]
        if told:
            yield f"Idle     {', '.join(told)}, {words}, {next(total['source'] for _, total in totals if total)}"


def _total(baseline: _Json) -> _Json | None:
    return next((power["watts"] for power in baseline["power"] if power["device"] == "total"), None)


def _surroundings(document: _Json) -> Iterator[str]:
    """Yield what other programs did, and how warm it became, where the profile says so (since schema 1.1)."""
    states = [point["conditions"] for point in document["points"] if point.get("conditions")]
    others = [state["most_other_processors"] for state in states if state["most_other_processors"] is not None]
    kept = [f"{max(others):.2f} of {document['host']['cores']} processors"] if others else []
    shares = dict[str, float]()
    for gpu in (gpu for state in states for gpu in state.get("gpus", ())):
        shares[gpu["device"]] = max(shares.get(gpu["device"], 0.0), gpu["most_other_share"] or 0.0)
    kept += [f"{gpu} for {percent(share)} of the time" for gpu, share in shares.items() if share > OTHERS_SHARE]
    if kept:
        yield f"Others   kept at most {', '.join(kept)} busy during a window"
    warm = dict[str, list[float]]()
    for each in (device for state in states for device in state["devices"]):
        known = [celsius for celsius in (each["start_celsius"], each["end_celsius"]) if celsius is not None]
        warm.setdefault(each["device"], []).extend(known)
    ends = (document.get("surroundings") or {}).values()
    warm["processors"] = [end["processor_celsius"] for end in ends if end and end["processor_celsius"] is not None]
    told = [f"{name} {min(celsius):.0f} to {max(celsius):.0f} °C" for name, celsius in warm.items() if celsius]
    if told:
        yield f"Heat     {', '.join(told)}"


def _shape(workload: _Json) -> str:
    settings = workload["settings"]
    if "layers" not in settings:
        return str(settings.get("model", ""))
    layers = f"{settings['layers']} layer{'s' if settings['layers'] > 1 else ''}"
    return (
        f"{layers} {settings['width']} wide, {workload['precision']}, "
        f"{settings['prompt_tokens']} tokens in, {settings['output_tokens']} out"
    )


def _coverage(coverage: _Json) -> str:
    if not coverage["includes"]:
        return "none: nothing here measures power"
    parts = ", ".join(f"{each['device']}/{each['domain']}" for each in coverage["includes"])
    part = ", its estimated part" if coverage["source"] == "mixed" else ""
    half = f"{part} to ±{percent(coverage['uncertainty'])}" if coverage["uncertainty"] else ""
    missing = f"; not covered: {', '.join(coverage['not_covered'])}" if coverage["not_covered"] else ""
    return f"{coverage['source']}{half}, boundary {coverage['boundary']}: {parts}{missing}"


def _figure(quantity: Mapping[str, Any] | None, unit: str) -> str:
    if quantity is None:
        return "-"
    mean = number(quantity["mean"], unit)
    bounds = spread(quantity["mean"], quantity["lower"], quantity["upper"], unit)
    return f"{mean} {bounds}" if bounds.startswith("±") or not bounds else f"{mean} ({bounds})"


def _show_speed(points: Sequence[_Json]) -> None:
    columns = ["POINT", "LATENCY p50>", "p99>", "INFERENCES/s>"]
    tokens = any(point["output_tokens_per_inference"] for point in points)
    if tokens:
        columns += ["TOKENS OUT/s>", "FIRST TOKEN>", "NEXT TOKEN>"]
    answer("\nSpeed (latencies are medians; ± is the 95 % interval of the repeats' mean)")
    show(columns, [_speed_row(point, tokens=tokens) for point in points])


def _speed_row(point: _Json, *, tokens: bool) -> list[str]:
    latency, rate = point["latency_seconds"], point["output_tokens_per_second"]
    row = [point["name"], number(latency["p50"], "s"), number(latency["p99"], "s")]
    row.append(_figure(point["inferences_per_second"], ""))
    if tokens:
        row.append(number(rate["mean"]) if rate else "-")
        steps = (point["time_to_first_token_seconds"], point["inter_token_latency_seconds"])
        row += [number(latencies["p50"], "s") if latencies else "-" for latencies in steps]
    return row


def _show_energy(points: Sequence[_Json]) -> None:
    if not any(point["energy"] for point in points):
        answer("\nEnergy: none; the reasons are below")
        return
    columns = ["POINT", "POWER>", "PER INFERENCE>", "INTERVAL>", "ABOVE IDLE>"]
    tokens = any(point["energy"] and point["energy"]["per_output_token"] for point in points)
    if tokens:
        columns.append("PER TOKEN OUT>")
    answer("\nEnergy (idle included; the interval is that of the repeats, widened by the sensors' own bounds)")
    show([*columns, "SOURCE"], [_energy_row(point, tokens=tokens) for point in points])


def _energy_row(point: _Json, *, tokens: bool) -> list[str]:
    energy, power = point["energy"], point["power"]
    if energy is None:
        return [point["name"], *["-"] * (5 if tokens else 4), "no energy" if point["valid"] else "not valid"]
    split = energy["per_inference"]
    total, dynamic, token = split["total"], split["dynamic"], energy["per_output_token"]
    row = [
        point["name"],
        number(power["mean"]["mean"], "W") if power else "-",
        number(total["mean"], "J"),
        spread(total["mean"], total["lower"], total["upper"], "J"),
        number(dynamic["mean"], "J") if dynamic else "-",
    ]
    if tokens:
        row.append(number(token["mean"], "J") if token else "-")
    return [*row, _source(energy)]


def _source(energy: _Json) -> str:
    """Return the source of a point's energy, with the share that is estimated where it is mixed."""
    source = str(energy["per_inference"]["total"]["source"])
    return f"mixed ({percent(energy['estimated_share'])} estimated)" if source == "mixed" else source


def _show_cost(points: Sequence[_Json]) -> None:
    priced = [point for point in points if point["cost"]]
    if not priced:
        return
    cost = priced[0]["cost"]
    answer(f"\nCost per million inferences, in {cost['currency'] or 'the unit of the prices given'}")
    columns = ["POINT", "BASIS", "UTILIZATION>", "ENERGY>", "CAPITAL>", "TOTAL>", "BOUNDS>"]
    tokens = any(prices and prices["per_million_output_tokens"] for p in priced for prices in _both(p))
    if tokens:
        columns.append("PER M TOKENS OUT>")
    rows = [
        _cost_row(point, basis, prices, tokens=tokens)
        for point in priced
        for basis, prices in zip(_BASES, _both(point), strict=True)
        if prices
    ]
    show([*columns, "ENERGY IS"], rows)
    for missing in cost["missing"]:
        answer(f"Not given: {missing['name']}: {missing['without']}")
    for assumed in cost["assumed"]:
        source = "" if assumed["source"] == "assumed" else f" ({assumed['source']})"
        answer(f"Assumed: {assumed['name']} = {assumed['value']:g}{source}")


def _both(point: _Json) -> list[_Json | None]:
    return [point["cost"][basis] for basis in _BASES]


def _cost_row(point: _Json, basis: str, prices: _Json, *, tokens: bool) -> list[str]:
    energy, capital, total = _parts(prices["per_inference"], 1e6)
    row = [
        point["name"],
        basis,
        percent(prices["utilization"]),
        _mean(energy),
        _mean(capital),
        _mean(total),
        _money_bounds(total),
    ]
    if tokens:
        per_tokens = prices["per_million_output_tokens"]
        whole = _parts(per_tokens, 1)[2] if per_tokens else None
        row.append(_mean(whole))
    return [*row, _source(point["energy"])]


def _parts(parts: _Json, factor: float) -> tuple[_Json | None, _Json | None, _Json | None]:
    """Return energy, capital and, where both are known, their sum, each times the factor."""
    energy, capital = (part and {key: each and each * factor for key, each in part.items()} for part in parts.values())
    if not energy or not capital:
        return energy, capital, None
    total = {key: None if energy[key] is None or capital[key] is None else energy[key] + capital[key] for key in energy}
    return energy, capital, total


def _mean(amount: _Json | None) -> str:
    return _money(amount["mean"]) if amount else "-"


def _money(value: float) -> str:
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"  # noqa: PLR2004  cents matter below


def _money_bounds(total: _Json | None) -> str:
    if total is None or (total["lower"] is None and total["upper"] is None):
        return "-"
    if total["upper"] is None:
        return f"{_money(total['lower'])} or more"
    return f"{_money(total['lower'] or 0.0)} to {_money(total['upper'])}"


def _show_reasons(document: _Json) -> None:
    said = [*_doubts(document["points"]), *(f"Note: {note}" for note in document["notes"])]
    if said:
        answer("")
    for line in said:
        answer(line)


def _doubts(points: Sequence[_Json]) -> list[str]:
    """Return every expectation that was not met, point by point; first and once what all points say alike."""
    found: dict[str, list[str]] = {}
    for point in points:
        for finding in (each for each in point["findings"] if not each["passed"]):
            verdict = "not valid" if finding["fatal"] else "look twice"
            found.setdefault(f"{verdict}: {finding['expectation']}: {finding['message']}", []).append(point["name"])
    alike = [words for words, names in found.items() if len(names) == len(points) > 1]
    own = ((point["name"], words) for point in points for words, names in found.items() if point["name"] in names)
    return [f"every point: {words}" for words in alike] + [
        f"{name}: {words}" for name, words in own if words not in alike
    ]
