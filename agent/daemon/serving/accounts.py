"""Stores the totals and the hours of served traffic, and reads them after a restart of the service."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from agent.attribution.idle import IdlePower
from agent.attribution.ledger import Totals
from probes.model import Source
from store.records import Total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from store.records import Host

_COUNTS, _JOULES, _PARTS, _IDLE = "serving", "serving_joules", "serving_parts", "serving_idle"
"""The probes of the totals. Their devices are servers, and for parts the devices."""
_SEPARATOR = "\t"
_IDLE_FIELDS = ("watts", "lower", "upper")
_LONGEST_IDLE_NS = 24 * 3600 * 10**9
"""The age from which a stored idle power no longer counts: models and temperatures change."""


def totals_of(saved: Iterable[Total], now_ns: int) -> Totals:
    """Return the totals of served traffic among the stored ones, and the idle powers of the last day."""
    totals, idle = Totals(), defaultdict[str, dict[str, Total]](dict)
    for each in saved:
        if each.probe == _COUNTS:
            totals.counts[each.device, each.domain, each.metric] = each.total
        elif each.probe == _JOULES:
            model, part, method, source = each.domain.rsplit(_SEPARATOR, 3)
            totals.joules[each.device, model, part, method, source] = each.total
        elif each.probe == _PARTS:
            part, source = each.domain.rsplit(_SEPARATOR, 1)
            totals.parts[each.device, part, source] = each.total
        elif each.probe == _IDLE and now_ns - each.at_ns <= _LONGEST_IDLE_NS:
            idle[each.device][each.domain] = each
    for device, rows in idle.items():
        if rows.keys() == set(_IDLE_FIELDS):
            watts, lower, upper = (rows[name].total for name in _IDLE_FIELDS)
            totals.idle[device] = IdlePower(watts, lower, upper, rows["watts"].at_ns)
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
    for device, power in totals.idle.items():
        for name in _IDLE_FIELDS:
            one = row(_IDLE, device, name, "power_watts", Source.MEASURED, getattr(power, name))
            yield one._replace(at_ns=power.at_ns or at_ns)
