"""The table of the phases of a model that writes tokens: the speed and the energy of prefill and decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.tables import plain, titled_table

if TYPE_CHECKING:
    from collections.abc import Sequence

_Json = dict[str, Any]
_TOKENS = {"prefill": "input", "decode": "output"}
"""The tokens that a phase processes."""


def phase_table(points: Sequence[_Json], width: int) -> str:
    """Return tokens per second and joules per token of both phases, empty for points without both."""
    shown = [point for point in points if [each["phase"] for each in point.get("phases", ())] == list(_TOKENS)]
    if not shown or any(point.get("serving") for point in points):
        return ""
    energy = any(point["energy"] for point in shown)
    columns = ["POINT"]
    for phase in _TOKENS:
        columns += [f"{phase.upper()} TOK/S>", *(["J/TOKEN>"] if energy else [])]
    title = "Phases. Prefill reads the tokens of the prompts, decode writes the tokens of the outputs."
    return titled_table(title, columns, [_row(point, energy=energy) for point in shown], width)


def _row(point: _Json, *, energy: bool) -> list[str]:
    row = [point["name"]]
    joules = {each["phase"]: each for each in point["energy"]["phases"]} if point["energy"] else {}
    for speed in point["phases"]:
        kind = _TOKENS[speed["phase"]]
        row.append(plain(speed[f"{kind}_tokens"] / speed["duration_seconds"]))
        if energy:
            found = joules.get(speed["phase"], {}).get(f"joules_per_{kind}_token")
            row.append(plain(found["mean"]) if found else "-")
    return row
