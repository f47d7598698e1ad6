"""The series of each probe that the service exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.sampling.probe_reader import ProbeHealth
    from store.records import Layout


@dataclass(frozen=True, slots=True)
class ExportedSeries:
    """One series: the name of its metric, the position of its value in the tick, and its label values."""

    metric: str
    position: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportedProbe:
    """One probe: its layout, its state, its series, and the age from which a tick is not exported."""

    layout: Layout
    state: ProbeHealth
    lines: tuple[ExportedSeries, ...]
    stale_ns: int


def exported_series(layouts: Sequence[Layout]) -> Iterator[tuple[ExportedSeries, ...]]:
    """Yield the series of each layout.

    If two channels have the same key, only the first is exported, even while it has no value: a series that changed its
    sensor would jump.
    """
    shown: set[tuple[str, str, str, str]] = set()
    for layout in layouts:
        lines = []
        for position, channel in enumerate(layout.channels):
            if channel.key in shown:
                continue
            shown.add(channel.key)
            labels = (channel.device.id, channel.device.kind.value, channel.domain, channel.source.value)
            lines.append(ExportedSeries(channel.metric, position, labels))
        yield tuple(lines)
