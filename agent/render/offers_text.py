"""The answer of `inferometer cost` about offers as text: the cheapest option, all options, and the break-even loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.tables import percent, plain, table, titled_table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_Json = dict[str, Any]
TitledTable = tuple[str, "Sequence[str]", "Sequence[Sequence[str]]"]
"""Title, headings and rows; a heading that ends in `>` is right-aligned."""
_LABEL = 19
_NOTE = 7
_SHOWN_RANGES = 1
_MILLION = 1e6
_NEIGHBORS = 1e-9


def offers_text(answer: Mapping[str, Any], width: int, ownership: Mapping[str, Any] | None = None) -> str:
    """Return the answer as paragraphs and tables of `width` characters; `ownership` has the years of own machines."""
    lines = [wrapped(text, width, _LABEL, label) for label, text in _headline(answer)]
    parts = ["\n".join(["Own machines, offers, or both.", *lines])]
    if answer["options"]:
        parts.append(_titled(options_table(answer), width))
    if answer["rents"]:
        parts.append(_years(answer, ownership, width))
    if answer["break_even"]:
        parts += [_titled(break_even_table(answer), width), _offers(answer, width)]
    notes = [wrapped(f"{text}.", width, _NOTE, "Note:") for text in notes_of(answer)]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def _headline(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Own machine", _machine(answer)
    demand = answer["demand"]
    if demand is None:
        yield "Demand", "not given: --demand or a utilization in the tariff adds the cost of each option"
        return
    mean, peak = plain(demand["mean_requests_per_second"]), plain(demand["peak_requests_per_second"])
    peak_text = "" if mean == peak else f", {peak} at the peak"
    yield "Demand", f"{mean} requests/s{peak_text} ({demand['origin']})"
    yield "Cheapest", cheapest_text(answer)
    if chances := _chances(answer):
        yield "Own or rent", chances
    if answer["sovereignty_per_year"] is not None:
        yield "Sovereignty", _sovereignty(answer)


def _sovereignty(answer: Mapping[str, Any]) -> str:
    price, least, currency = answer["sovereignty_per_year"], answer["options"][0], _currency(answer)
    if not price:
        return f"{_required(answer['requirements'])} costs nothing: the cheapest option meets it"
    share = f" ({percent(price / least['cost'])})" if least["cost"] else ""
    cheapest = f"{_name(least)} for {plain(least['cost'])} {currency}"
    return f"{_required(answer['requirements'])} costs {plain(price)} {currency} a year{share} more than {cheapest}"


def _required(requirements: Mapping[str, Any]) -> str:
    names = ["on_premises"] if requirements["on_premises"] else []
    names += [f"region={each}" for each in requirements["regions"]]
    names += [f"certification={each}" for each in requirements["certifications"]]
    if requirements["confidential_share"]:
        names.append(f"confidential_share={100 * requirements['confidential_share']:g}%")
    return ", ".join(names)


def _machine(answer: Mapping[str, Any]) -> str:
    mix = answer["tokens_per_request"]
    tokens = [f"{plain(mix[name])} {name}" for name in ("input", "output") if mix[name]]
    cached = f", {plain(mix['cached_input'])} input cached" if mix["cached_input"] else ""
    size = f"; tokens of a request: {', '.join(tokens)}{cached}" if tokens else ""
    return f"{plain(answer['capacity_requests_per_second'])} requests/s at {answer['point']}{size}"


def _chances(answer: Mapping[str, Any]) -> str:
    known = [each for each in answer["break_even"] if each["owning_wins"] is not None]
    shares = [f"than {each['offer']} in {percent(each['owning_wins'])}" for each in known]
    shares[:1] = [f"{each} of the draws of uncertain inputs" for each in shares[:1]]
    return f"own machines alone cost less {', '.join(shares)}" if shares else ""


def cheapest_text(answer: Mapping[str, Any]) -> str:
    """Return the cheapest allowed option with its cost."""
    option = answer["cheapest"]
    if option is None:
        return "no option meets the requirements"
    currency = _currency(answer)
    unit, amount = _per_work(option)
    rented = (
        f", {percent(option['rented_share'])} of the requests rented"
        if option["machines"] and option["rented_share"]
        else ""
    )
    return f"{_name(option)}{rented}: {plain(option['cost'])} {currency} a year, {plain(amount)} {currency} for {unit}"


def _name(option: _Json) -> str:
    machines = option["machines"]
    own = f"{machines:,} own machine{'s' if machines != 1 else ''}"
    if option["offer"] is None:
        return own
    return f"{own} with {option['offer']}" if machines else f"{option['offer']} alone"


def _per_work(option: _Json) -> tuple[str, float]:
    if option["per_million_output_tokens"] is not None:
        return "1M output tokens", option["per_million_output_tokens"]
    return "1M requests", option["per_request"] * _MILLION


def _titled(parts: TitledTable, width: int) -> str:
    title, columns, rows = parts
    return titled_table(title, columns, rows, width)


def options_table(answer: Mapping[str, Any]) -> TitledTable:
    """Return the table of the options."""
    title = f"A year of each option in {_currency(answer)} (per 1M: for {_per_work(answer['options'][0])[0]}):"
    columns: tuple[str, ...] = (
        "OPTION",
        "OWNED>",
        "ENERGY>",
        "RENTED>",
        "TOTAL>",
        "PER 1M>",
        "RENTED H>",
        "ALLOWED",
    )
    rows: list[tuple[str, ...]] = [
        (
            _short_name(option),
            plain(option["owned_capital"]),
            plain(option["owned_energy"]),
            plain(option["rented_cost"]),
            plain(option["cost"]),
            plain(_per_work(option)[1]),
            plain(option["rented_hours"]),
            "no" if option["objections"] else "yes",
        )
        for option in answer["options"]
    ]
    if not any(option["objections"] for option in answer["options"]):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return title, columns, rows


def _short_name(option: _Json) -> str:
    own = [f"{option['machines']:,} own"] if option["machines"] else []
    return " + ".join([*own, *([option["offer"]] if option["offer"] else [])])


def _years(answer: Mapping[str, Any], ownership: Mapping[str, Any] | None, width: int) -> str:
    """Return the rents of each year, with the payments of own machines for the same years."""
    found = [(each["offer"], each["payments"], each["net_present_value"]) for each in answer["rents"]]
    if ownership:
        totals = [year["total"] for year in ownership["years"]]
        found.append(("own machines", totals, ownership["net_present_value"]))
    years = len(answer["rents"][0]["payments"])
    columns = ("ALL WORK BY", "PRESENT VALUE>", *(f"YEAR {year}>" for year in range(1, years + 1)))
    rows = [
        (name, plain(value), *map(plain, payments)) for name, payments, value in sorted(found, key=lambda row: row[2])
    ]
    title = f"Payments of {years} years in {_currency(answer)}, with growth and changes of prices:"
    return titled_table(title, columns, rows, width)


def break_even_table(answer: Mapping[str, Any]) -> TitledTable:
    """Return the table of the break-even loads, without the columns that are unknown for all offers."""
    tokens = all(each["price_per_million_output_tokens"] is not None for each in answer["break_even"])
    unit = "1M output tokens" if tokens else "1M requests"
    title = f"Own machines are cheaper than an offer (its price in {_currency(answer)} for {unit}) at these loads:"
    columns: tuple[str, ...] = ("OFFER", "PRICE>", "UTILIZATION", "REQUESTS/S", "PAYBACK", "RENTED H>")
    rows: list[tuple[str, ...]] = [
        (
            each["offer"],
            plain(each["price_per_million_output_tokens"] if tokens else each["price_per_request"] * _MILLION),
            _ranges([(100 * r["low"], 100 * r["high"]) for r in each["utilizations"]], 100.0, " %"),
            _ranges([(r["low"], r["high"]) for r in each["demands"]], each["searched_demand"], ""),
            _payback(each["payback_years"], answer),
            "-" if each["hours_per_year"] is None else f"from {plain(each['hours_per_year'])}",
        )
        for each in answer["break_even"]
    ]
    used = [place for place in range(len(columns)) if any(row[place] != "-" for row in rows)]
    return title, [columns[place] for place in used], [[row[place] for place in used] for row in rows]


def _offers(answer: Mapping[str, Any], width: int) -> str:
    columns = ("OFFER", "AS GIVEN", "REGION", "SOURCE")
    rows = [(each["name"], _given(each), each["region"] or "-", each["source"] or "given") for each in answer["offers"]]
    return table(columns, rows, width)


def _given(offer: _Json) -> str:
    """Return the prices and the throughput of an offer as they are in the tariff."""
    if offer["price_per_hour"] is None:
        names = {"input": "in", "cached_input": "cached", "output": "out"}
        prices = {short: offer[f"price_per_million_{name}_tokens"] for name, short in names.items()}
        return (
            f"{', '.join(f'{price:g} {short}' for short, price in prices.items() if price is not None)} for 1M tokens"
        )
    unit = "requests/s" if offer["requests_per_second"] is not None else "output tok/s"
    rate = offer["requests_per_second"] or offer["output_tokens_per_second"]
    return f"{offer['price_per_hour']:g} an hour, {rate:g} {unit} ({offer['throughput_origin'] or 'stated'})"


def _ranges(ranges: Sequence[tuple[float, float]], limit: float, unit: str) -> str:
    """Return ranges as text, the last one without its end if it reaches the limit of the search."""
    if not ranges:
        return "never"
    texts = [_range(low, high, limit, unit) for low, high in ranges]
    if len(texts) > _SHOWN_RANGES + 1:
        texts[_SHOWN_RANGES:-1] = ["..."]
    return ", ".join(texts)


def _range(low: float, high: float, limit: float, unit: str) -> str:
    if high < limit * (1 - _NEIGHBORS):
        return f"{plain(low)} to {plain(high)}{unit}"
    return f"from {plain(low)}{unit}" if low else "any"


def _payback(years: float | None, answer: Mapping[str, Any]) -> str:
    if answer["demand"] is None or answer["life_years"] is None:
        return "-"
    return f"over {answer['life_years']:g} years" if years is None else f"{plain(years)} years"


def notes_of(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the notes to read beside the tables: the demand, the requirements, and the offers that are left out."""
    yield from (answer["demand"] or {}).get("notes", ())
    yield from answer["notes"]
    objections: dict[tuple[str, ...], list[str]] = {}
    for option in answer["options"]:
        if option["objections"]:
            objections.setdefault(tuple(option["objections"]), []).append(_name(option))
    for each in () if answer["options"] else answer["break_even"]:
        if each["objections"]:
            objections.setdefault(tuple(each["objections"]), []).append(each["offer"])
    for reasons, names in objections.items():
        yield f"not allowed: {', '.join(names)}: {'; '.join(reasons)}"
    for each in answer["left_out"]:
        yield f"left out: {each['reason']}"
    if any(each["hours_per_year"] is not None for each in answer["break_even"]):
        yield (
            "price and utilization are against an instance that is always busy, requests/s against whole instances; "
            "rented hours are those a year of one instance that cost as much as a year of one own machine at full use"
        )
    assumed: dict[str, list[str]] = {}
    for each in answer["assumptions"]:
        assumed.setdefault(each["reason"], []).append(each["offer"])
    for text, names in assumed.items():
        yield f"assumed for {', '.join(names)}: {text}"


def _currency(answer: Mapping[str, Any]) -> str:
    return answer["currency"] or "price units"
