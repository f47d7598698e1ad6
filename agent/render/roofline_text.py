"""A roofline as text: its ceilings, and the phases below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.tables import percent, plain, titled_table

if TYPE_CHECKING:
    from agent.profiling.roofline import Roofline

_GIGA = 1e-9


def roofline_text(found: Roofline, width: int) -> str:
    """Return the ceilings of a device, and the phases with the share that they reach."""
    rows = [
        [
            each.precision,
            plain(each.operations_per_second * _GIGA),
            plain(each.bytes_per_second * _GIGA),
            plain(each.operations_per_second / each.bytes_per_second),
            each.gemm_profile,
            each.stream_profile,
        ]
        for each in found.ceilings
    ]
    columns = ["TYPE", "GFLOP/S>", "GB/S>", "RIDGE>", "GEMM", "STREAM"]
    title = f"The measured ceiling of {found.device}. RIDGE: operations for each byte, from which they are the limit."
    ceilings = titled_table(title, columns, rows, width)
    if not found.phases:
        return ceilings
    phases = [
        [
            each.profile,
            each.point,
            each.phase,
            plain(each.operations_per_byte),
            plain(each.operations_per_second * _GIGA),
            "-" if each.share_of_ceiling is None else percent(each.share_of_ceiling),
        ]
        for each in found.phases
    ]
    columns = ["PROFILE", "POINT", "PHASE", "FLOP/B>", "GFLOP/S>", "OF CEILING>"]
    title = "Phases. OF CEILING: by the ceiling at the time of the profile; above 100 % if caches hold weights."
    return "\n\n".join((ceilings, titled_table(title, columns, phases, width)))
