"""Views of the example profile for the tests of reports: with prices, with offers, with a power trace, hostile."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec

from agent.cost.offers import Offer
from agent.cost.tariff import Tariff
from agent.profiling.pricing import price_document
from agent.profiling.records import Document
from agent.report.power_trace import PowerTrace, TracedWindow
from agent.report.view import View, views_of
from profile_documents import example

if TYPE_CHECKING:
    from collections.abc import Sequence

TARIFF = Tariff(
    price_per_kwh=0.25,
    currency="EUR",
    capital=900.0,
    maintenance_share=0.05,
    utilization=0.3,
    given=("capital", "currency", "maintenance_share", "price_per_kwh", "utilization"),
    offers=(Offer(name="api", price_per_million_input_tokens=0.002, price_per_million_output_tokens=0.02),),
)
TRACE = PowerTrace(
    tuple(0.5 + second for second in range(20)),
    (*(1.0 if second < 5 else 3.5 for second in range(19)), None),
    (("package-0/package", tuple(1.0 for _ in range(20))), ("package-0/dram", tuple(0.5 for _ in range(20)))),
    (TracedWindow("idle unloaded", True, 0.0, 5.0), TracedWindow("batch=1 decode, repeat 1", False, 6.0, 12.0)),
)


def document(**changes: Any) -> Document:
    """Return the example with other fields."""
    return msgspec.convert({**example(), **changes}, Document)


def priced(tariff: Tariff | None = TARIFF, **changes: Any) -> Document:
    return price_document(document(**changes), tariff)


def view(tariff: Tariff | None = TARIFF, trace: PowerTrace | None = TRACE, **changes: Any) -> View:
    return views_of([priced(tariff, **changes)], [trace])[0]


def two_views() -> tuple[View, ...]:
    """Return two profiles that differ in the precision, the second with twice the energy of a request."""
    workload = {**example()["workload"], "precision": "int8"}
    return views_of([priced(), priced(id="20260101-000000-abcd", workload=workload)], [TRACE, None])


def hostile(plain: dict[str, Any], attacks: Sequence[str]) -> Document:
    """Return a document in which every text that the schema leaves free is an attack, the first that is valid."""
    changed = copy.deepcopy(plain)
    for holder, key in list(_texts(changed)):
        before = holder[key]
        for attack in attacks:
            holder[key] = attack
            try:
                msgspec.convert(changed, Document)
                break
            except ValueError:
                holder[key] = before
    return msgspec.convert(changed, Document)


def _texts(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        if isinstance(each, str):
            yield value, key
        else:
            yield from _texts(each)
