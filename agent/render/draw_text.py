"""The power of a machine under its real use as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.render.figures import figure
from agent.render.tables import percent, plain, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.profiling.analysis.draw import Draw, HourCost

_INDENT = 13


def draw_text(draw: Draw, width: int) -> str:
    """Return the power of each sensor and the total, and a labelled line for each other fact."""
    rows = [
        (
            each.device,
            each.domain,
            figure(msgspec.to_builtins(each.watts), "W") if each.watts else "; ".join(each.reasons) or "unknown",
            each.watts.source.value if each.watts else "",
            "yes" if each.in_total else "no",
        )
        for each in draw.sensors
    ]
    lines = "\n".join(wrapped(text, width, _INDENT, label) for label, text in _facts(draw))
    return "\n\n".join([lines, table(("DEVICE", "DOMAIN", "WATTS>", "SOURCE", "IN TOTAL"), rows, width)])


def _facts(draw: Draw) -> Iterator[tuple[str, str]]:
    missing = f"; not covered: {', '.join(draw.not_covered)}" if draw.not_covered else ""
    total = "unknown" if draw.watts is None else f"{figure(msgspec.to_builtins(draw.watts), 'W')} {draw.watts.source}"
    yield "Power", f"{total}, boundary {draw.boundary}{missing}"
    known = [watts for watts in draw.window_watts if watts is not None]
    spread = f", from {plain(min(known))} to {plain(max(known))} W" if len(known) > 1 else ""
    count = f"{draw.windows} window{'s' if draw.windows > 1 else ''}"
    yield "Windows", f"{count} in {draw.duration_seconds:.3g} s{spread}"
    if draw.cpu is not None:
        share = percent((draw.cpu.self_cpus + draw.cpu.other_cpus) / draw.cpu.cpus)
        own = f"{draw.cpu.self_cpus:.2f} by this program, {draw.cpu.other_cpus:.2f} by others"
        yield "CPUs busy", f"{share} of {draw.cpu.cpus}: {own} ({draw.cpu.max_other_cpus:.2f} in the busiest window)"
    if draw.gpus:
        yield "GPUs busy", ", ".join(f"{each.device} {percent(each.busy_share)}" for each in draw.gpus)
    if draw.cost_per_hour is not None:
        yield "Cost", _cost(draw.cost_per_hour)


def _cost(cost: HourCost) -> str:
    currency = cost.currency or "price units"
    parts = []
    if cost.energy is not None:
        price = figure(msgspec.to_builtins(cost.energy), currency)
        parts.append(f"{price} an hour for energy with an overhead of {cost.overhead:.3g}")
    if cost.machine is not None:
        parts.append(f"{plain(cost.machine)} {currency} an hour for the machine")
    return ", ".join(parts) or "unknown: the tariff has no price of energy, capital or rent"
