"""The cheapest mix of machines as text: the answer, the machines, and the cost with machines of one setup alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.tables import percent, plain, table, wrapped

if TYPE_CHECKING:
    from agent.comparison.mix import Mix


def mix_text(found: Mix, width: int) -> str:
    """Return a mix as text, in lines of up to `width` characters."""
    unit = found.currency or "price units"
    chosen = " and ".join(f"{part.count} x {part.setup}" for part in found.parts)
    answer = (
        f"{chosen} serve {plain(found.demand)} inferences/s for {plain(found.cost_per_hour)} {unit} an hour, "
        f"{plain(found.cost_per_million_inferences)} {unit} per million inferences."
    )
    rows = [
        [part.setup, part.name, str(part.count), plain(part.load), percent(part.utilization), plain(part.cost_per_hour)]
        for part in found.parts
    ]
    columns = ["", "SETUP", "MACHINES>", "INFERENCES/S>", "UTILIZATION>", f"{unit} AN HOUR>"]
    alone = ", ".join(f"{label} {plain(cost)}" for label, cost in found.single.items())
    lines = [f"With machines of one setup alone, {unit} an hour: {alone}.", *(f"Note: {each}." for each in found.notes)]
    lines += [f"Left out: {each}." for each in found.left_out]
    forced = [wrapped(f"Forced, not comparable: {each}.", width, 2) for each in found.incomparable]
    texts = "\n".join(wrapped(each, width, 2) for each in lines)
    return "\n\n".join([*forced, wrapped(answer, width, 2), table(columns, rows, width), texts])
