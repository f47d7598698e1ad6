"""The measured windows of a profile's run with their power over time, from the stored samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.window import SeriesEnergy
from agent.profiling.document.codec import counted_sensors
from agent.profiling.stopping import AROUND_NS
from probes.model import ENERGY_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.profiling.records import Document
    from probes.model import Channel
    from store.reader import Reader
    from store.records import Window


@dataclass(frozen=True, slots=True)
class PoweredWindow:
    """A window of a point with the mean power of equal parts of about a second: their middles in Unix time, in watts.

    The power is that of the profile's total; a part for which a sensor has no energy is left out.
    """

    window: Window
    power: tuple[tuple[int, float], ...]


def powered_windows(reader: Reader, document: Document) -> tuple[PoweredWindow, ...]:
    """Return the windows of the points, none if the store does not have the run. Raises StoreError."""
    run = reader.run(document.id)
    counted = counted_sensors(document)
    if run is None or not counted:
        return ()

    def is_counted(channel: Channel) -> bool:
        return (*channel.place, channel.metric) in counted

    windows = [each for each in reader.windows(run.id) if each.point]
    return tuple(_powered(reader, run.recording, window, is_counted, len(counted)) for window in windows)


def _powered(
    reader: Reader, recording: int, window: Window, is_counted: Callable[[Channel], bool], sensors: int
) -> PoweredWindow:
    around = window.start_ns - AROUND_NS, window.end_ns + AROUND_NS
    found = reader.series(recording, *around, ENERGY_METRICS, is_counted)
    series = [SeriesEnergy(each) for each in found if each.times_ns]
    if len(series) < sensors:
        return PoweredWindow(window, ())
    parts = max(1, round(window.seconds))
    edges = [window.start_ns + (window.end_ns - window.start_ns) * part // parts for part in range(parts + 1)]
    power = [((start + end) // 2, _watts(series, start, end)) for start, end in pairwise(edges)]
    return PoweredWindow(window, tuple((middle, watts) for middle, watts in power if watts is not None))


def _watts(series: Sequence[SeriesEnergy], start_ns: int, end_ns: int) -> float | None:
    watts = [each.between(start_ns, end_ns).mean_watts for each in series]
    known = [each for each in watts if each is not None]
    return sum(known) if len(known) == len(watts) else None
