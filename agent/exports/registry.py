"""The registry of exporters: one line for each."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from agent.exports import (
    aiconfigurator,
    benchmark_report,
    dynamo,
    focus,
    llm_d_planner,
    mlperf_power,
    opencost,
    points,
    wva,
)

if TYPE_CHECKING:
    from agent.exports.records import Exporter

EXPORTERS: tuple[Exporter, ...] = (
    llm_d_planner.EXPORTER,
    dynamo.EXPORTER,
    wva.EXPORTER,
    benchmark_report.EXPORTER,
    opencost.EXPORTER,
    focus.EXPORTER,
    aiconfigurator.EXPORTER,
    mlperf_power.EXPORTER,
    points.CSV,
    points.PARQUET,
)


def exporter_named(name: str, option: str = "--to") -> Exporter:
    """Return the exporter of that name. Raises ValueError that names the option, with the nearest name."""
    names = {each.name: each for each in EXPORTERS}
    if name in names:
        return names[name]
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the names are {', '.join(names)}"
    raise ValueError(f"{option}: no export is named {name[:40]!r}: {hint}")
