"""The table of the work of a profile: operations and bytes per second, and the energy of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.figures import figure
from agent.render.tables import percent, plain, titled_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Json = dict[str, Any]
_GIGA, _PICO = 1e-9, 1e12


def work_table(points: Sequence[_Json], width: int) -> str:
    """Return operations and bytes per second of each phase, without columns that no phase has; empty without work."""
    works = [(point["name"], work) for point in points for work in point.get("work", ())]
    if not works:
        return ""
    phases = len({work["phase"] for _, work in works}) > 1
    cells = {title: [shown(work) for _, work in works] for title, shown in _COLUMNS}
    known = {title: column for title, column in cells.items() if any(cell != "-" for cell in column)}
    columns = ["POINT", *(["PHASE"] if phases else []), *known]
    rows = [
        [name, *([work["phase"]] if phases else []), *row]
        for (name, work), row in zip(works, zip(*known.values(), strict=True), strict=True)
    ]
    return titled_table(_title(known), columns, rows, width)


def _title(known: dict[str, list[str]]) -> str:
    title = "Work, counted from the shapes."
    if "WITH ALLOCATE>" in known:
        title += " WITH ALLOCATE: GB/s if the processor reads each line of its cache before it writes it."
    if "OF CEILING>" in known:
        title += " OF CEILING: the least time at the measured ceiling of this host, over the mean time."
    return title


def _figure(rate: _Json | None, factor: float) -> str:
    return figure(rate, factor=factor) if rate else "-"


def _mean(quantity: _Json | None, factor: float) -> str:
    return plain(quantity["mean"] * factor) if quantity else "-"


def _with_allocate(work: _Json) -> str:
    rate, moved, allocated = (
        work["bytes_per_second"],
        work["moved_bytes_per_inference"],
        work["allocated_bytes_per_inference"],
    )
    return plain(rate["mean"] * allocated / moved * _GIGA) if rate and allocated else "-"


def _share(share: float | None) -> str:
    return "-" if share is None else percent(share)


_COLUMNS: tuple[tuple[str, Callable[[_Json], str]], ...] = (
    ("GFLOP/S>", lambda work: _figure(work["operations_per_second"], _GIGA)),
    ("PJ/FLOP>", lambda work: _mean(work["joules_per_operation"], _PICO)),
    ("GB/S>", lambda work: _figure(work["bytes_per_second"], _GIGA)),
    ("WITH ALLOCATE>", _with_allocate),
    ("PJ/B>", lambda work: _mean(work["joules_per_byte"], _PICO)),
    ("OF CEILING>", lambda work: _share(work["share_of_ceiling"])),
)
