"""The power of this host in windows over stored samples, for commands that compare windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.energy.layers import WorkingChannels

if TYPE_CHECKING:
    import typer

    from agent.energy.crosscheck import Powers
    from store.reader import Reader

WINDOW_SECONDS = 60.0
_PART_WINDOWS = 60
_AROUND_NS = 10_000_000_000
"""The samples before and after a window that its edges need."""


@dataclass(slots=True)
class PowerWindows:
    """The power of each sensor in some windows, with the sensors that worked; `code` is that of an interruption.

    `seconds` is the length of a window.
    """

    seconds: float
    windows: list[Powers] = field(default_factory=list)
    working: WorkingChannels = field(default_factory=WorkingChannels)
    code: int = 0


def stored_windows(context: typer.Context, start_ns: int, end_ns: int) -> PowerWindows:
    """Return the windows of a minute that the stored samples of this host fill; damaged rows end the command."""
    from agent.cli.stores import SkippedRows, opened
    from agent.host.inventory import host_id
    from store.reader import Reader

    found = PowerWindows(WINDOW_SECONDS)
    with opened(context) as engine:
        skipped_rows = SkippedRows()
        reader = Reader(engine, skipped_rows.report)
        host = host_id()
        for span in reader.spans(host):
            first_ns, last_ns = max(start_ns, span.first_ns), min(end_ns, span.last_ns)
            part_ns = round(_PART_WINDOWS * WINDOW_SECONDS * 1e9)
            for since_ns in range(first_ns, last_ns, part_ns):
                _add_part(found, reader, span.recording.id, since_ns, min(since_ns + part_ns, last_ns))
    skipped_rows.end()
    return found


def _add_part(found: PowerWindows, reader: Reader, recording: int, start_ns: int, end_ns: int) -> None:
    from agent.energy.counted_sensors import best_series
    from agent.energy.crosscheck import powers
    from agent.energy.window import SeriesEnergy
    from probes.model import ENERGY_METRICS

    stored = reader.series(recording, start_ns - _AROUND_NS, end_ns + _AROUND_NS, ENERGY_METRICS)
    series = best_series(stored)
    found.working.add(series)
    energies, window_ns = [SeriesEnergy(each) for each in series], round(WINDOW_SECONDS * 1e9)
    for since_ns in range(start_ns, end_ns - window_ns + 1, window_ns):
        window = powers(energies, since_ns, since_ns + window_ns)
        if window:
            found.windows.append(window)
