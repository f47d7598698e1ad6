"""The answer of `inferometer cost` as text: the price first, then its parts, ranges, fleet, years and origins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.offers_text import cheapest_text, offers_text
from agent.render.tables import percent, plain, titled_table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Json = dict[str, Any]
_LABEL = 19
_MOST_INFLUENCES = 10
_BASES = ("usage", "allocation")


def cost_text(answer: Mapping[str, Any], width: int) -> str:
    """Return the cost of one profile in lines of at most `width` characters, if its words allow."""
    parts = [
        _headline(answer, width),
        _totals(answer, width),
        _lines(answer, width),
        _token_prices(answer, width),
        _carbon(answer, width),
        _density(answer, width),
        _fleet(answer, width),
        _years(answer, width),
        _sensitivity(answer, width),
        offers_text(answer["offers"], width, answer["ownership"]) if answer["offers"] else "",
        _values(answer, width),
        _notes(answer, width),
    ]
    return "\n\n".join(part for part in parts if part)


def _currency(answer: Mapping[str, Any]) -> str:
    return answer["currency"] or "the unit of the prices given"


def _headline(answer: Mapping[str, Any], width: int) -> str:
    unit = "1M output tokens" if answer["unit"] == "output tokens" else "1M inferences"
    totals, currency = answer["totals"], answer["currency"] or "price units"
    shown = []
    for basis in reversed(_BASES):
        if basis in totals:
            use = f"at {percent(answer['cost'][basis]['utilization'])} utilization"
            shown.append(f"{plain(totals[basis]['mean'])} {currency} {use if basis == 'allocation' else 'at full use'}")
    price = ", ".join(shown) or answer["cost"]["usage"]["no_total_reason"]
    rate = f"{plain(answer['inferences_per_second'])} inferences/s"
    if answer["output_tokens_per_second"]:
        rate += f", {plain(answer['output_tokens_per_second'])} output tok/s"
    site = f", site {answer['site']}" if answer["site"] else ""
    lines = [
        (unit, price),
        ("Profile", f"{answer['profile']}: {answer['workload']} on {answer['host']}{site}"),
        ("Capacity", f"{rate} at {answer['point'] or 'its only point'}"),
        ("Energy", f"{answer['energy_source']}, boundary {answer['boundary']}"),
    ]
    if answer["offers"] and answer["offers"]["options"]:
        lines.insert(1, ("Cheapest", cheapest_text(answer["offers"])))
    return "\n".join(wrapped(text, width, _LABEL, label) for label, text in lines)


def _totals(answer: Mapping[str, Any], width: int) -> str:
    rows = [
        (
            basis,
            percent(answer["cost"][basis]["utilization"]),
            plain(found["mean"]),
            _range(found["lower"], found["upper"]),
            _range(found["worst_lower"], found["worst_upper"]),
        )
        for basis, found in answer["totals"].items()
    ]
    if not rows:
        return ""
    title = f"Price of a million {answer['unit']} in {_currency(answer)}."
    if answer["cost_of_idle"] is not None:
        share = answer["cost_of_idle"] / answer["totals"]["allocation"]["mean"] if answer["cost_of_idle"] else 0.0
        title += f" Idle time costs {plain(answer['cost_of_idle'])} of it, {percent(share)}."
    columns = ("BASIS", "UTILIZATION>", "PRICE>", "95 % INTERVAL>", "WORST CASE>")
    return titled_table(title, columns, rows, width)


def _range(lower: float | None, upper: float | None) -> str:
    if lower is None:
        return "-" if upper is None else f"up to {plain(upper)}"
    return f"{plain(lower)} or more" if upper is None else f"{plain(lower)} to {plain(upper)}"


def _lines(answer: Mapping[str, Any], width: int) -> str:
    bases = [basis for basis in _BASES if answer["cost"][basis]]
    amounts = {
        basis: {line["name"]: line["amount"] for line in answer["cost"][basis]["per_hour"]["lines"]} for basis in bases
    }
    names = list(dict.fromkeys(name for own in amounts.values() for name in own))
    if not names:
        return ""
    last = amounts[bases[-1]]
    whole = sum(last.values())
    rows = [
        [
            name.replace("_", " "),
            *(plain(own.get(name)) for own in amounts.values()),
            percent(last.get(name, 0.0) / whole) if whole else "-",
        ]
        for name in names
    ]
    rows.append(["total", *(plain(sum(own.values())) for own in amounts.values()), ""])
    columns = ["LINE", *(f"{basis.upper()}>" for basis in bases), "SHARE>"]
    return titled_table(f"An hour of the machine in {_currency(answer)}.", columns, rows, width)


def _token_prices(answer: Mapping[str, Any], width: int) -> str:
    found = answer["token_prices"]
    if found is None:
        return ""
    rows = [(basis, plain(found[basis][0]), plain(found[basis][1])) for basis in _BASES if found[basis] is not None]
    title = (
        f"Price of a million tokens in {_currency(answer)}, if input tokens without cached ones bear "
        f"{percent(found['input_share'])} of a request (method {found['method']})."
    )
    text = titled_table(title, ("BASIS", "INPUT>", "OUTPUT>"), rows, width)
    notes = [f"Not {each['method']}: {each['reason']}." for each in found["refused"]]
    return "\n".join([text, *(wrapped(note, width, 2) for note in notes)])


def _carbon(answer: Mapping[str, Any], width: int) -> str:
    rows = []
    for basis in _BASES:
        found = answer["cost"][basis] and answer["cost"][basis]["carbon_grams_per_inference"]
        if found:
            parts = [found[name]["mean"] if found[name] else None for name in ("operational", "embodied")]
            whole = None if None in parts else sum(part for part in parts if part is not None)
            rows.append((basis, *(plain(part) for part in (*parts, whole))))
    columns = ("BASIS", "OPERATION>", "MANUFACTURE>", "TOTAL (SCI)>")
    return titled_table("Grams of CO2 equivalent of an inference.", columns, rows, width) if rows else ""


def _density(answer: Mapping[str, Any], width: int) -> str:
    found = answer["density"]
    rows = []
    for name, machines, key in (
        ("provisioned kW", found["machines_per_kilowatt"], "kilowatt"),
        ("rack", found["machines_per_rack"], "rack"),
    ):
        if machines is not None:
            work = (found[f"{unit}_per_second_per_{key}"] for unit in ("inferences", "output_tokens"))
            rows.append((name, _shown(machines), *map(plain, work)))
    title = f"Density, with {plain(found['watts_per_machine'])} W provisioned for a machine."
    return titled_table(title, ("IN A", "MACHINES>", "INFERENCES/S>", "OUTPUT TOK/S>"), rows, width)


def _fleet(answer: Mapping[str, Any], width: int) -> str:
    found = answer["fleet"]
    if found is None:
        return ""
    currency = _currency(answer)
    lines = [
        ("Demand", f"{plain(found['mean_rate'])} inferences/s on average, {plain(found['peak_rate'])} at the peak"),
        ("Machines", f"{found['machines']:,} with {found['spares']} spare, {percent(found['headroom'])} headroom"),
        ("Utilization", f"{percent(found['utilization'])} on average"),
        ("Capital", "-" if found["capital"] is None else f"{plain(found['capital'])} {currency}"),
        ("Cost of a year", f"{plain(found['cost_per_year'])} {currency}"),
        ("1M inferences", f"{plain(found['cost_per_million_inferences'])} {currency}"),
        ("Provisioned", f"{plain(found['provisioned_kilowatts'])} kW for the machines"),
        ("With the facility", f"{plain(found['facility_kilowatts'])} kW"),
        ("Energy of a year", f"{plain(found['kilowatt_hours_per_year'])} kWh"),
    ]
    if found["racks"]:
        lines.append(("Racks", f"{found['racks']:,}"))
    return "\n".join(["Fleet for the demand.", *(wrapped(text, width, _LABEL, label) for label, text in lines)])


def _years(answer: Mapping[str, Any], width: int) -> str:
    found = answer["ownership"]
    if found is None:
        return ""
    years = found["years"]
    names = list(dict.fromkeys(payment["name"] for year in years for payment in year["payments"]))
    amounts = [_by_name(year["payments"]) for year in years]
    rows = [[name.replace("_", " "), *(plain(own.get(name)) for own in amounts)] for name in names]
    rows.append(["total", *(plain(year["total"]) for year in years)])
    rows.append(["present value", *(plain(year["present_value"]) for year in years)])
    rows.append(["machines", *(f"{year['machines']:,}" for year in years)])
    rows.append(["utilization", *(percent(year["utilization"]) for year in years)])
    columns = ["PAYMENT", *(f"YEAR {year['year']}>" for year in years)]
    title = (
        f"Payments in {_currency(answer)}: {plain(found['total'])} in total, net present value "
        f"{plain(found['net_present_value'])}."
    )
    return titled_table(title, columns, rows, width)


def _by_name(payments: Iterable[_Json]) -> dict[str, float]:
    found: dict[str, float] = {}
    for payment in payments:
        found[payment["name"]] = found.get(payment["name"], 0.0) + payment["amount"]
    return found


def _sensitivity(answer: Mapping[str, Any], width: int) -> str:
    found = answer["sensitivity"][:_MOST_INFLUENCES]
    if not found:
        return ""
    basis = {"range": "given", "ten_percent": "±10 %", "measured": "bounds"}
    rows = [
        (
            each["name"],
            f"{plain(each['low'])} to {plain(each['high'])}",
            basis[each["basis"]],
            plain(each["cost_at_low"]),
            plain(each["cost_at_high"]),
        )
        for each in found
    ]
    title = f"Price of a million {answer['unit']} at both ends of each input, the largest influence first."
    return titled_table(title, ("INPUT", "RANGE>", "BASIS", "AT LOW>", "AT HIGH>"), rows, width)


def _values(answer: Mapping[str, Any], width: int) -> str:
    rows = [(each["name"], _shown(each["value"]), each["origin"]) for each in answer["values"]]
    text = titled_table("Values behind the result.", ("VALUE", "IS>", "ORIGIN"), rows, width)
    sources = [
        f"{each['name']}: {each['source']}." for each in answer["values"] if each["source"] not in {"", each["origin"]}
    ]
    return "\n".join([text, *(wrapped(source, width, 2) for source in sources)])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return plain(value) if isinstance(value, float) else str(value)


def _notes(answer: Mapping[str, Any], width: int) -> str:
    return "\n".join(wrapped(f"{note}.", width, 7, "Note:") for note in answer["notes"])
