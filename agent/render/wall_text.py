"""A learned wall factor as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.energy.wall_factor import COUNTED
from agent.render.tables import plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.host.wall_state import WallRecord

_INDENT = 13


def wall_text(record: WallRecord, void: Sequence[str], width: int) -> str:
    """Return the line, its origin, the powers that it holds for, and the reasons that make it void."""
    factor = record.factor
    facts = [
        ("Wall", f"{plain(factor.constant_watts)} W + {factor.slope:.3f} x total, estimated"),
        ("Spread", f"{plain(factor.deviation_watts)} W about the line, {plain(factor.sensor_watts)} W by the sensors"),
        ("Learned", f"{record.learned}, from {factor.windows} windows of {factor.window_seconds:g} s"),
        ("Meter", ", ".join([*record.meters, *(f"{name} {text}" for name, text in record.meter_facts.items())])),
        ("Total of", ", ".join(record.key[COUNTED])),
    ]
    facts += [(name.capitalize(), f"{plain(low)} to {plain(high)} W") for name, (low, high) in factor.ranges.items()]
    facts += [("Void", each) for each in void]
    return "\n".join(wrapped(text, width, _INDENT, label) for label, text in facts)
