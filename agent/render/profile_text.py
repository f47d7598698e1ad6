"""A profile as text: the answer in three lines, the warnings, the tables of models, speed, energy, cost, the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.commands_text import commands_text
from agent.render.headline import headline
from agent.render.models_table import models_table
from agent.render.phase_table import phase_table
from agent.render.profile_tables import cost_table, energy_table, speed_table
from agent.render.profile_warnings import profile_warnings
from agent.render.reported_table import reported_table
from agent.render.run_details import run_details
from agent.render.serving_tables import latency_table, load_table
from agent.render.work_table import work_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Json = dict[str, Any]


def profile_text(document: Mapping[str, Any], width: int) -> str:
    """Return a profile document of the present schema as text, in lines of up to `width` characters."""
    points = document["points"]
    tables = (energy_table(points, width), cost_table(points, width)) if points else ()
    more = (phase_table(points, width), work_table(points, width), reported_table(points, width))
    speed = (*_speed(points, width), *more) if points else ()
    parts = (
        headline(document, width),
        profile_warnings(document, width),
        models_table(points, width),
        *speed,
        *tables,
        commands_text(document, width),
        run_details(document, width),
    )
    return "\n\n".join(part for part in parts if part)


def _speed(points: Sequence[_Json], width: int) -> tuple[str, ...]:
    """Return the tables of speed: those of a load, or that of a model in this process."""
    served = [point for point in points if point.get("serving")]
    return (load_table(served, width), latency_table(served, width)) if served else (speed_table(points, width),)
