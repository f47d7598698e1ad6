"""The values of a tariff with their origins, as text and as a document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from agent.cost.missing import missing_inputs
from agent.cost.tariff import DEFAULTS
from agent.cost.tariff_file import KEYS
from agent.render.tables import table

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff

_TABLES = ("ranges", "price_periods", "offers")


def tariff_document(tariff: Tariff) -> dict[str, Any]:
    """Return the values of a tariff with origin and source, its tables, and the keys without a value."""
    sources = {default.name: default.source for default in DEFAULTS}
    values = []
    for name in KEYS:
        origin = tariff.origin(name)
        if origin is not None:
            source = sources.get(name, "") if origin == "default" else ""
            values.append({"name": name, "value": getattr(tariff, name), "origin": origin, "source": source})
    return {
        "site": tariff.site,
        "values": values,
        **{name: json.loads(msgspec.json.encode(getattr(tariff, name))) for name in _TABLES},
        "missing": [{"name": each.name, "effect": each.effect} for each in missing_inputs(tariff, has_idle=True)],
    }


def tariff_text(tariff: Tariff) -> str:
    """Return the values, the missing keys and the number of entries of each table."""
    found = tariff_document(tariff)
    rows = [(each["name"], _shown(each["value"]), each["origin"], each["source"]) for each in found["values"]]
    parts = [table(("KEY", "VALUE>", "ORIGIN", "SOURCE"), rows)]
    if found["missing"]:
        parts.append(table(("NOT GIVEN", "EFFECT"), [(each["name"], each["effect"]) for each in found["missing"]]))
    ranges = [(each.name, f"{each.low:g}", f"{each.high:g}") for each in tariff.ranges]
    parts += [table(("RANGE", "LOW>", "HIGH>"), ranges)] if ranges else []
    periods = [
        (f"{each.from_hour:g} to {each.until_hour:g} h", each.days, f"{each.price_per_kwh:g}")
        for each in tariff.price_periods
    ]
    parts += [table(("TIME OF DAY", "DAYS", "PRICE PER KWH>"), periods)] if periods else []
    offers = [(each.name, "instance" if each.is_hourly else "API", each.region or "-") for each in tariff.offers]
    parts += [table(("OFFER", "KIND", "REGION"), offers)] if offers else []
    return "\n\n".join(parts)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, bool) else str(value)
