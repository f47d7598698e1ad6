"""Finds the recordings that cover the runs of a tool on a host, and reads their samples."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from agent.host.records import CONDITION_METRICS
from agent.imports.records import ResultError
from agent.imports.values import shown
from agent.profiling.stopping import AROUND_NS
from probes.model import ENERGY_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.imports.windows import PlacedRun
    from probes.model import Channel
    from store.reader import Reader
    from store.records import Host, RecordingSpan, Series

SERVICE = "daemon"
"""The program of the recordings of the service; a host has one at a time."""
STORED_AFTER_NS = 5_000_000_000
"""The time after which the service has stored a sample, with a margin for a busy host."""
MAX_CLOCK_ERROR_NS = 2_000_000_000
_PAUSE_SECONDS = 0.2
_SHOWN_SPANS = 10


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """The samples around the runs: the recordings that have them, all their channels, and the series."""

    recordings: tuple[RecordingSpan, ...]
    channels: tuple[Channel, ...]
    series: tuple[Series, ...]

    @property
    def sampling_period_seconds(self) -> float:
        """The median time between two samples of the slowest sensor of energy or power."""
        periods = [
            median(after - before for before, after in pairwise(each.times_ns)) / 1e9
            for each in self.series
            if each.channel.metric in ENERGY_METRICS and len(each.times_ns) > 1
        ]
        return max(periods, default=0.0)


def host_named(reader: Reader, wanted: str | None, own: Host) -> Host:
    """Return the stored host with a name or an id, this host without one. Raises ResultError."""
    hosts = reader.hosts()
    key = own.id if wanted is None else wanted
    found = [host for host in hosts if host.id == key] or [host for host in hosts if host.name == key]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{host.name} ({host.id})" for host in hosts) or "none"
    if found:
        raise ResultError(f"--host: several hosts have the name {key}: give the id of one: {known}")
    named = "this host" if wanted is None else f"the host {key!r}"
    raise ResultError(f"no samples of {named} are stored; --host takes one of: {known}")


def await_samples(
    spans: Callable[[], tuple[RecordingSpan, ...]],
    placed: Sequence[PlacedRun],
    now_ns: Callable[[], int],
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[RecordingSpan, ...]:
    """Return the recordings of a host; if the runs ended just now, wait until their last samples are stored.

    A time in the future is that of another clock, for which no wait helps.
    """
    end_ns = max(run.latest_end_ns for run in placed)
    found = spans()
    while -MAX_CLOCK_ERROR_NS < now_ns() - end_ns < STORED_AFTER_NS:
        if any(_covers(span, run) for span in found for run in placed if run.latest_end_ns == end_ns):
            break
        sleep(_PAUSE_SECONDS)
        found = spans()
    return found


def covering(spans: Sequence[RecordingSpan], placed: Sequence[PlacedRun]) -> tuple[RecordingSpan, ...]:
    """Return the recordings with the samples of the runs, as few as possible; those of the service come first.

    Recordings of other programs count only if one covers every run, because they can overlap. Raises ResultError with
    the recorded times if no run is covered.
    """
    service = [each for each in spans if each.recording.program == SERVICE]
    for own in (service, spans):
        for span in own:
            if all(_covers(span, run) for run in placed):
                return (span,)
    found = tuple(span for span in service if any(_covers(span, run) for run in placed))
    if not found:
        raise ResultError(_not_covered(spans, placed))
    return found


def _covers(span: RecordingSpan, run: PlacedRun) -> bool:
    return span.first_ns <= run.earliest_ns and run.latest_end_ns <= span.last_ns


def _not_covered(spans: Sequence[RecordingSpan], placed: Sequence[PlacedRun]) -> str:
    wanted = f"{shown(min(run.earliest_ns for run in placed))} to {shown(max(run.latest_end_ns for run in placed))}"
    if not spans:
        remedy = "start the service before the load (`inferometer service install`), and run the load again"
        return f"no recording covers {wanted}, because it has no samples: {remedy}"
    newest = sorted(spans, key=lambda span: span.last_ns, reverse=True)[:_SHOWN_SPANS]
    listed = "\n  ".join(
        f"{shown(span.first_ns)} to {shown(span.last_ns)} ({_program(span)})" for span in reversed(newest)
    )
    more = f"\n  and {len(spans) - _SHOWN_SPANS} earlier ones" if len(spans) > _SHOWN_SPANS else ""
    remedy = (
        "if the clock of the load generator was wrong, give --offset; for another time, --window; else run it again"
    )
    return f"no recording covers {wanted}; {remedy}. Recorded:\n  {listed}{more}"


def _program(span: RecordingSpan) -> str:
    program = span.recording.program
    return "the service" if program == SERVICE else f"inferometer {program}"


def stored_samples(reader: Reader, recordings: Sequence[RecordingSpan], placed: Sequence[PlacedRun]) -> StoredSamples:
    """Return the samples of energy, power and conditions around the runs. Raises StoreError."""
    metrics = ENERGY_METRICS | CONDITION_METRICS
    by_channel: dict[tuple[str, ...], Series] = {}
    channels: dict[tuple[str, ...], Channel] = {}
    for span in recordings:
        for layout in reader.layouts(span.recording.id):
            channels |= {channel.key: channel for channel in layout.channels}
        for start_ns, end_ns in _merged(run for run in placed if _overlaps(span, run)):
            for each in reader.series(span.recording.id, start_ns, end_ns, metrics):
                key = each.channel.key
                by_channel[key] = _continued(by_channel[key], each) if key in by_channel else each
    return StoredSamples(tuple(recordings), tuple(channels.values()), tuple(by_channel.values()))


def _overlaps(span: RecordingSpan, run: PlacedRun) -> bool:
    return span.first_ns < run.latest_end_ns and run.earliest_ns < span.last_ns


def _merged(placed: Iterable[PlacedRun]) -> list[tuple[int, int]]:
    """Return the times around the runs, in order and without overlap."""
    found: list[tuple[int, int]] = []
    for start_ns, end_ns in sorted((run.earliest_ns - AROUND_NS, run.latest_end_ns + AROUND_NS) for run in placed):
        if found and start_ns <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_ns)
        else:
            found.append((start_ns, end_ns))
    return found


def _continued(series: Series, more: Series) -> Series:
    return replace(
        series,
        times_ns=(*series.times_ns, *more.times_ns),
        values=(*series.values, *more.values),
        halves_ns=(*series.halves_ns, *more.halves_ns),
        rejections=(*series.rejections, *more.rejections),
    )
