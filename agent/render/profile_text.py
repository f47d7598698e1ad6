"""Prints a profile: model and host, speed, energy, cost, and the warnings to read before using the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.profiling.analysis.background import MAX_OTHER_SHARE
from agent.render.tables import number, percent, show, spread
from agent.runtime.console import print_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_Json = dict[str, Any]
_BASES = ("usage", "allocation")


def show_profile(document: _Json) -> None:
    """Print a profile document of the present schema."""
    _show_head(document)
    _show_speed(document["points"])
    _show_energy(document["points"])
    _show_cost(document["points"])
    _show_warnings(document)


def _show_head(document: _Json) -> None:
    host, engine, workload = document["host"], document["engine"], document["workload"]
    virtual = ", virtual machine" if host["virtual"] else ""
    cpus = f", {host['logical_cpus']} logical CPUs" if host["logical_cpus"] else ""
    _line("Profile", f"{document['id']} ({document['status']}, {_plan(document['plan'])})")
    _line("Host", f"{host['name']}: {host['cpu_model'] or 'unknown CPU'}{cpus}{virtual}")
    _line("Model", f"{workload['name']}: {number(workload['parameter_count'])} parameters, {_shape(workload)}")
    _line("Engine", f"{engine['name']} {engine['version']} on {engine['provider']}")
    _line("Energy", _coverage(document["coverage"]))
    for text in _idle(document["baselines"]):
        _line("Idle", text)
    states = [point["conditions"] for point in document["points"]]
    _line("Other load", _other_load(states, host["logical_cpus"]))
    _line("Temperature", _temperature(states, document["host_state"]))


def _line(label: str, text: str) -> None:
    if text:
        print_out(f"{label:<13}{text}")


def _plan(plan: _Json) -> str:
    length = f"{plan['mode']}: {plan['repeats']} repeats of {plan['window_seconds']:.3g} s"
    return f"{length}, more until ±{percent(plan['tolerance'])}" if plan["tolerance"] else length


def _idle(baselines: Sequence[_Json]) -> Iterator[str]:
    """Yield one text for each state: its power before the run and after it."""
    for state, words in (("unloaded", "without the model"), ("loaded", "with the model loaded")):
        known = [each for each in baselines if each["state"] == state and each["watts"]]
        if known:
            powers = ", ".join(f"{_figure(each['watts'], 'W')} {each['when']} the run" for each in known)
            yield f"{powers}, {words}, {known[0]['watts']['source']}"


def _other_load(states: Sequence[_Json], logical_cpus: int | None) -> str:
    """Return the load of other programs in the worst window, empty if it is unknown."""
    others = [state["max_other_cpus"] for state in states if state["max_other_cpus"] is not None]
    of = f" of {logical_cpus}" if logical_cpus else ""
    load = [f"{max(others):.2f}{of} CPUs"] if others else []
    shares = dict[str, float]()
    for gpu in (gpu for state in states for gpu in state["gpus"]):
        shares[gpu["device"]] = max(shares.get(gpu["device"], 0.0), gpu["max_other_share"] or 0.0)
    load += [f"{gpu} {percent(share)} busy" for gpu, share in shares.items() if share > MAX_OTHER_SHARE]
    return f"{', '.join(load)} (worst window)" if load else ""


def _temperature(states: Sequence[_Json], host_state: _Json) -> str:
    found = dict[str, list[float]]()
    for each in (device for state in states for device in state["devices"]):
        known = [celsius for celsius in (each["start_celsius"], each["end_celsius"]) if celsius is not None]
        found.setdefault(each["device"], []).extend(known)
    ends = (host_state["before"], host_state["after"])
    found["CPU"] = [end["cpu_celsius"] for end in ends if end and end["cpu_celsius"] is not None]
    return ", ".join(f"{name} {min(each):.0f} to {max(each):.0f} °C" for name, each in found.items() if each)


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
        return "not available: nothing on this host measures power"
    parts = ", ".join(f"{each['device']}/{each['domain']}" for each in coverage["includes"])
    part = " its estimated part" if coverage["source"] == "mixed" else ""
    half = f",{part} ±{percent(coverage['relative_uncertainty'])}" if coverage["relative_uncertainty"] else ""
    missing = f"; not covered: {', '.join(coverage['not_covered'])}" if coverage["not_covered"] else ""
    return f"{coverage['source']}{half}, boundary {coverage['boundary']}: {parts}{missing}"


def _figure(quantity: Mapping[str, Any] | None, unit: str) -> str:
    if quantity is None:
        return "-"
    mean = number(quantity["mean"], unit)
    bounds = spread(quantity["mean"], quantity["lower"], quantity["upper"], unit)
    return f"{mean} {bounds}" if bounds.startswith("±") or not bounds else f"{mean} ({bounds})"


def _show_speed(points: Sequence[_Json]) -> None:
    columns = ["POINT", "INFERENCES/s>", "LATENCY>"]
    whole = any(point["latency_seconds"] for point in points)
    if whole:
        columns += ["p50>", "p99>"]
    tokens = any(point["output_tokens_per_inference"] for point in points)
    if tokens:
        columns += ["OUTPUT TOK/s>", "TTFT p50>", "p99>", "ITL p50>", "p99>"]
    print_out(
        "\nSpeed (LATENCY is the mean of a request, p99 needs 299 of them; ± is the 95 % interval of the repeats' mean)"
    )
    show(columns, [_speed_row(point, whole=whole, tokens=tokens) for point in points])


def _speed_row(point: _Json, *, whole: bool, tokens: bool) -> list[str]:
    row = [point["name"], _figure(point["inferences_per_second"], ""), _figure(point["mean_latency_seconds"], "s")]
    if whole:
        row += _percentiles(point["latency_seconds"])
    if tokens:
        rate = point["output_tokens_per_second"]
        row.append(number(rate["mean"]) if rate else "-")
        row += _percentiles(point["time_to_first_token_seconds"]) + _percentiles(point["inter_token_latency_seconds"])
    return row


def _percentiles(latencies: _Json | None) -> list[str]:
    """Return the median and the p99, `-` for those that were not measured often enough."""
    return [number(latencies[name], "s") if latencies else "-" for name in ("p50", "p99")]


def _show_energy(points: Sequence[_Json]) -> None:
    if not any(point["energy"] for point in points):
        print_out("\nEnergy: not available; the reasons are below")
        return
    columns = ["POINT", "POWER>", "J/INFERENCE>", "UNCERTAINTY>", "DYNAMIC>"]
    tokens = any(point["energy"] and point["energy"]["joules_per_output_token"] for point in points)
    if tokens:
        columns.append("J/OUTPUT TOKEN>")
    print_out(
        "\nEnergy (idle included; DYNAMIC is above idle; ± is the repeats' 95 % interval plus the sensors' bounds)"
    )
    show([*columns, "SOURCE"], [_energy_row(point, tokens=tokens) for point in points])


def _energy_row(point: _Json, *, tokens: bool) -> list[str]:
    energy, power = point["energy"], point["power"]
    if energy is None:
        return [point["name"], *["-"] * (5 if tokens else 4), "not available" if point["valid"] else "invalid"]
    split = energy["joules_per_inference"]
    total, dynamic, token = split["total"], split["dynamic"], energy["joules_per_output_token"]
    row = [
        point["name"],
        number(power["mean_watts"]["mean"], "W") if power else "-",
        number(total["mean"], "J"),
        spread(total["mean"], total["lower"], total["upper"], "J"),
        number(dynamic["mean"], "J") if dynamic else "-",
    ]
    if tokens:
        row.append(number(token["mean"], "J") if token else "-")
    return [*row, _source(energy)]


def _source(energy: _Json) -> str:
    """Return the source of a point's energy, with the share that is estimated where it is mixed."""
    source = str(energy["joules_per_inference"]["total"]["source"])
    return f"mixed ({percent(energy['estimated_share'])} estimated)" if source == "mixed" else source


def _show_cost(points: Sequence[_Json]) -> None:
    priced = [point for point in points if point["cost"]]
    if not priced:
        return
    cost = priced[0]["cost"]
    print_out(f"\nCost per million inferences, in {cost['currency'] or 'the unit of the prices given'}")
    columns = ["POINT", "BASIS", "UTILIZATION>", "ENERGY>", "CAPITAL>", "TOTAL>", "RANGE>"]
    tokens = any(prices and prices["per_million_output_tokens"] for p in priced for prices in _prices_by_basis(p))
    if tokens:
        columns.append("PER M OUTPUT TOKENS>")
    rows = [
        _cost_row(point, basis, prices, tokens=tokens)
        for point in priced
        for basis, prices in zip(_BASES, _prices_by_basis(point), strict=True)
        if prices
    ]
    show([*columns, "ENERGY IS"], rows)
    for missing in cost["missing"]:
        print_out(f"Not given: {missing['name']}: {missing['effect']}")
    for assumed in cost["assumed"]:
        source = "" if assumed["source"] == "assumed" else f" ({assumed['source']})"
        print_out(f"Assumed: {assumed['name']} = {assumed['value']:g}{source}")


def _prices_by_basis(point: _Json) -> list[_Json | None]:
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


def _show_warnings(document: _Json) -> None:
    said = [*_failed_checks(document["points"]), *(f"Note: {note}" for note in document["notes"])]
    if said:
        print_out("")
    for line in said:
        print_out(line)


def _failed_checks(points: Sequence[_Json]) -> Iterator[str]:
    """Yield every failed check once, those that withhold figures first, with its points and the message of one."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for point in points:
        for check in (each for each in point["checks"] if each["status"] == "failed"):
            found.setdefault((check["severity"], check["name"]), []).append((point["name"], check["message"]))
    for (severity, name), failures in sorted(found.items(), key=lambda item: item[0][0] != "invalid"):
        names = [point for point, _ in failures]
        where = "every point" if len(names) == len(points) > 1 else ", ".join(names)
        first, message = failures[0]
        alike = len({words for _, words in failures}) == 1
        yield f"{where}: {severity}: {name}: {message}{'' if alike else f' [{first}]'}"
