"""Yields stored samples one after the other, read in parts, so that any number fits into memory."""

from __future__ import annotations

from fnmatch import fnmatchcase
from heapq import merge
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from probes.model import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from probes.model import Channel
    from store.reader import Reader
    from store.records import Recording, Series

_SHORTEST_NS = 60 * 10**9
_LONGEST_NS = 24 * 3600 * 10**9
_MAX_SAMPLES = 50_000
"""The target number of samples in a part: with fewer, the next part is twice as long, with more, half as long."""


class Sample(NamedTuple):
    """One value of one channel; `time_ns` is Unix time, `unit` is empty for a plain number."""

    time_ns: int
    device: str
    domain: str
    metric: str
    source: str
    value: float
    unit: str
    recording: int


def path_of(channel: Channel) -> str:
    """Return the path that patterns match: device/domain/metric."""
    return f"{channel.path}/{channel.metric}"


def fits(path: str, patterns: Sequence[str]) -> bool:
    """Return whether a path matches one of the patterns (`*`, `?` and `[...]`), or there are none."""
    return not patterns or any(fnmatchcase(path, pattern) for pattern in patterns)


def channels(reader: Reader, recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the sorted paths of the channels in these recordings."""
    layouts = chain.from_iterable(reader.layouts(recording.id) for recording in recordings)
    return tuple(sorted({path_of(channel) for layout in layouts for channel in layout.channels}))


def samples(
    reader: Reader, recordings: Sequence[Recording], start_ns: int, end_ns: int, patterns: Sequence[str] = ()
) -> Iterator[Sample]:
    """Yield the samples of matching channels from `start_ns` to before `end_ns`.

    Recordings follow one another, each in order of time.
    """

    def where(channel: Channel) -> bool:
        return fits(path_of(channel), patterns)

    for recording in recordings:
        for found in _time_partitions(reader, recording.id, start_ns, end_ns, where):
            yield from merge(*(_rows(series, recording.id) for series in found))  # in order of time, their first part


def _time_partitions(
    reader: Reader, recording: int, start_ns: int, end_ns: int, where: Callable[[Channel], bool]
) -> Iterator[tuple[Series, ...]]:
    """Yield the series of consecutive parts of the time, without gaps or overlaps."""
    length_ns = _SHORTEST_NS
    while start_ns < end_ns:
        next_ns = min(start_ns + length_ns, end_ns)
        found = reader.series(recording, start_ns, next_ns - 1, where=where)
        yield found
        count = sum(len(series.times_ns) for series in found)
        if not count and not any(left.id == recording for left in reader.recordings(next_ns, end_ns)):
            return
        length_ns = min(length_ns * 2, _LONGEST_NS) if count < _MAX_SAMPLES else max(length_ns // 2, _SHORTEST_NS)
        start_ns = next_ns


def _rows(series: Series, recording: int) -> Iterator[Sample]:
    channel = series.channel
    first, last = map(repeat, channel.key), map(repeat, (unit_of(channel.metric), recording))
    return map(Sample._make, zip(series.times_ns, *first, series.values, *last, strict=False))
