"""Sums up the middle of the samples of a power gauge as they arrive, so that any recording fits into memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.bounds import ceiling_watts, slowest_refresh_seconds
from agent.energy.power import integrate
from store.records import EnergySegment, Series

if TYPE_CHECKING:
    from probes.model import Channel, Reason

_Sample = tuple[int, int, float]
"""The middle of a read and half its length in nanoseconds, and the value."""
RAW_EDGE_NS = 30_000_000_000
"""The time after the first and before the latest sample in which all samples stay, for the edges of windows."""
_SEGMENT_NS = 60_000_000_000
_MIN_MARGIN_NS = 1_000_000_000
_MAX_SEGMENTS = 256
_MAX_REJECTIONS = 1000


class GaugeSamples:
    """The samples of one power gauge: the first and the latest ones, and segments of known energy between them.

    The energy of a window from the first samples to the latest is the same as that of all samples. Its bound is a
    little wider, by the uncertainty of a gauge at the ends of each segment.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._margin_ns = max(_MIN_MARGIN_NS, round(4e9 * slowest_refresh_seconds(channel)))
        self._raw_edge_ns = max(RAW_EDGE_NS, 3 * self._margin_ns)
        self._first: list[_Sample] = []
        self._latest: list[_Sample] = []
        self._segments: list[EnergySegment] = []
        self._rejections: list[tuple[int, Reason]] = []

    def refuse(self, at_ns: int, reason: Reason) -> None:
        """Add a rejected reading; only the first thousand count."""
        if len(self._rejections) < _MAX_REJECTIONS:
            self._rejections.append((at_ns, reason))

    def take(self, at_ns: int, half_ns: int, watts: float) -> None:
        """Add a sample, in time order."""
        sample = (at_ns, half_ns, watts)
        if not self._first or at_ns <= self._first[0][0] + self._raw_edge_ns:
            self._first.append(sample)
            return
        if not self._latest:
            start_ns = self._next_ns() - self._margin_ns
            self._latest = [each for each in self._first if each[0] >= start_ns] or self._first[-1:]
        self._latest.append(sample)
        while at_ns - self._raw_edge_ns >= self._next_ns() + _SEGMENT_NS + self._margin_ns:
            self._condense()

    @property
    def series(self) -> Series:
        """Everything there is of the gauge."""
        last_ns = self._first[-1][0] if self._first else 0
        samples = [*self._first, *(each for each in self._latest if each[0] > last_ns)]
        return replace(
            _series(self._channel, samples), rejections=tuple(self._rejections), segments=tuple(self._segments)
        )

    def _next_ns(self) -> int:
        """Return where the next stretch starts."""
        if self._segments:
            return self._segments[-1].end_ns
        return self._first[0][0] + self._raw_edge_ns - self._margin_ns

    def _condense(self) -> None:
        start_ns = self._next_ns()
        end_ns = start_ns + _SEGMENT_NS
        margin_ns = self._margin_ns
        near = [each for each in self._latest if start_ns - margin_ns <= each[0] <= end_ns + margin_ns]
        self._segments.append(self._segment(near, start_ns, end_ns))
        if len(self._segments) > _MAX_SEGMENTS:
            pairs = zip(self._segments[::2], self._segments[1::2], strict=False)
            odd = self._segments[-1:] if len(self._segments) % 2 else []
            self._segments = [*(_merged(one, other) for one, other in pairs), *odd]
        # The last sample before the next stretch stays, however long ago it was.
        rest = next((i for i, each in enumerate(self._latest) if each[0] >= end_ns - margin_ns), len(self._latest))
        del self._latest[: max(0, rest - 1)]

    def _segment(self, near: list[_Sample], start_ns: int, end_ns: int) -> EnergySegment:
        inside = [each for each in near if start_ns <= each[0] < end_ns]
        gaps = [later[0] - earlier[0] for earlier, later in pairwise(near)]
        if not near or near[0][0] > start_ns or near[-1][0] < end_ns:
            return self._unsampled_segment(inside, start_ns, end_ns)
        result = integrate(_series(self._channel, near), start_ns, end_ns)
        energy, peak = result.energy, result.peak_watts or 0.0
        gap = max(gaps, default=0) / 1e9
        return EnergySegment(
            start_ns, end_ns, energy.joules, energy.lower, energy.upper, peak, len(inside), gap, result.reasons
        )

    def _unsampled_segment(self, inside: list[_Sample], start_ns: int, end_ns: int) -> EnergySegment:
        """Take the last reading for a stretch that has none about an end of it; the ceiling bounds it."""
        watts = self._latest[0][2]
        seconds = (end_ns - start_ns) / 1e9
        highest = max(watts, *(each[2] for each in inside), 0.0)
        most = ceiling_watts(self._channel, highest) * seconds
        return EnergySegment(start_ns, end_ns, max(0.0, watts) * seconds, 0.0, most, highest, len(inside), seconds)


def _series(channel: Channel, samples: list[_Sample]) -> Series:
    times, halves, values = zip(*samples, strict=True) if samples else ((), (), ())
    return Series(channel, times, values, halves_ns=halves)


def _merged(one: EnergySegment, other: EnergySegment) -> EnergySegment:
    return EnergySegment(
        one.start_ns,
        other.end_ns,
        one.joules + other.joules,
        one.lower + other.lower,
        one.upper + other.upper,
        max(one.highest, other.highest),
        one.samples + other.samples,
        max(one.largest_gap_seconds, other.largest_gap_seconds),
        tuple(dict.fromkeys((*one.reasons, *other.reasons))),
    )
