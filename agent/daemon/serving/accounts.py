"""Stores the totals and the hours of served traffic, and reads them after a restart of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.attribution.ledger import Totals
from probes.model import Source
from store.records import Total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from store.records import Host

_COUNTS, _JOULES, _PARTS = "serving", "serving_joules", "serving_parts"
"""The probes of the totals. Their devices are servers, and for parts the devices."""
_SEPARATOR = "\t"


def totals_of(saved: Iterable[Total]) -> Totals:
    """Return the totals of served traffic among the stored ones."""
    totals = Totals()
    for each in saved:
        if each.probe == _COUNTS:
            totals.counts[each.device, each.domain, each.metric] = each.total
        elif each.probe == _JOULES:
            model, part, method, source = each.domain.rsplit(_SEPARATOR, 3)
            totals.joules[each.device, model, part, method, source] = each.total
        elif each.probe == _PARTS:
            part, source = each.domain.rsplit(_SEPARATOR, 1)
            totals.parts[each.device, part, source] = each.total
    return totals


def stored_totals(totals: Totals, host: Host, at_ns: int) -> Iterator[Total]:
    """Yield the totals in their stored form; `at_ns` is the Unix time."""

    def row(probe: str, device: str, domain: str, metric: str, source: str, value: float) -> Total:
        kind = Source.MEASURED if source == Source.MEASURED else Source.ESTIMATED
        return Total(host.id, probe, device, domain, metric, kind, host.boot_id, None, value, at_ns)

    for (server, model, quantity), value in totals.counts.items():
        yield row(_COUNTS, server, model, quantity, Source.MEASURED, value)
    for (server, *labels), value in totals.joules.items():
        yield row(_JOULES, server, _SEPARATOR.join(labels), "energy_joules", labels[-1], value)
    for (device, part, source), value in totals.parts.items():
        yield row(_PARTS, device, f"{part}{_SEPARATOR}{source}", "energy_joules", source, value)
