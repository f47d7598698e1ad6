"""Coarsens samples to a minute, under the new ids of their devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.sample_rows import Sample
from probes.model import METRICS, MetricType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.bundles.anonymize import Anonymizer

MINUTE_NS = 60 * 10**9
_Key = tuple[str, str, str, str, str]


class _Minute:
    """The samples of one channel in one minute."""

    __slots__ = ("count", "last", "total")

    def __init__(self) -> None:
        self.count, self.total, self.last = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.last = value


def coarse(samples: Iterable[Sample], anonymizer: Anonymizer) -> list[Sample]:
    """Return one sample for each channel and minute, at the start of the minute.

    A gauge has the mean of the minute. A counter has its last value, counted from its first one, as the count since the
    start of a host identifies it.
    """
    minutes: dict[tuple[int, _Key], _Minute] = {}
    first: dict[_Key, float] = {}
    for each in samples:
        key = (anonymizer.device(each.device), anonymizer.word(each.domain), each.metric, each.source, each.unit)
        first.setdefault(key, each.value)
        minutes.setdefault((each.time_ns // MINUTE_NS, key), _Minute()).add(each.value)
    return [_sample(minute, key, first[key], found) for (minute, key), found in sorted(minutes.items(), key=_order)]


def coarse_span(span_ns: tuple[int, int]) -> tuple[int, int]:
    """Return the start of the first minute of a time, and the end of the last."""
    start_ns, end_ns = span_ns
    return start_ns // MINUTE_NS * MINUTE_NS, -(-end_ns // MINUTE_NS) * MINUTE_NS


def _order(item: tuple[tuple[int, _Key], _Minute]) -> tuple[int, _Key]:
    return item[0]


def _sample(minute: int, key: _Key, first: float, found: _Minute) -> Sample:
    device, domain, metric, source, unit = key
    counted = METRICS[metric].type is MetricType.COUNTER
    value = found.last - first if counted else found.total / found.count
    return Sample(minute * MINUTE_NS, device, domain, metric, source, value, unit, 1)
