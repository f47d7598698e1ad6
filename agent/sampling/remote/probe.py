"""The sensors of another host as probes of this one; their values have the times at which that host read them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.http_get import HttpError, checked_url
from agent.sampling.remote.feed import POLL_SECONDS, SHORTEST_POLL_SECONDS, Feed
from probes.errors import DeviceLostError, ReadError
from probes.model import ENERGY_METRICS, METRICS, MetricType, Problem, Reason, Rejection
from probes.registry import Discovery

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.sampling.remote.feed import Reading
    from agent.sampling.remote.records import ServedProbe
    from probes.model import Channel, Probe
    from store.records import Host

SLOWEST_SECONDS = 2.0
"""The longest sampling period of the other host at which windows of seconds have samples at their edges."""
_BREAKS = frozenset({Reason.RESET, Reason.WRAP_UNKNOWN, Reason.BACKWARD})
"""The rejections that concern the counts before and after, even if their tick was not seen."""


class RemoteHostError(Exception):
    """The service of another host cannot be used; the message has the cause, `remedy` the next step."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """A host, and its sensors as the service at a URL has them."""

    feed: Feed
    host: Host
    discovery: Discovery

    @property
    def url(self) -> str:
        """The URL of the service."""
        return self.feed.url

    @property
    def clock_uncertainty_seconds(self) -> float:
        """The half-width of the bounds of that host's clock, by the latest exchange."""
        return self.feed.clock_uncertainty_seconds

    def period_of(self, probe: Probe) -> float:
        """Return the seconds between two reads of a probe of this host."""
        return probe.period_seconds if isinstance(probe, RemoteProbe) else POLL_SECONDS


class RemoteProbe:
    """One probe of another host: `read` asks its service, and `taken_ns` is the time at which that host read it.

    Counters continue after the service started again; what they counted meanwhile is unknown, which is a rejection.
    """

    files_only = False

    def __init__(self, feed: Feed, served: ServedProbe) -> None:
        self.name = served.name
        self.channels: tuple[Channel, ...] = served.channels
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self.period_seconds = min(max(served.period_seconds, SHORTEST_POLL_SECONDS), SLOWEST_SECONDS)
        self._feed = feed
        self._counters = [
            position
            for position, channel in enumerate(served.channels)
            if METRICS[channel.metric].type is MetricType.COUNTER
        ]
        self._session = ""
        self._seen_ns = 0
        self._last_ns = (0, 0)
        self._totals: dict[int, float] = {}
        self._bases: dict[int, float] = {}
        self._rejected: dict[tuple[int, Reason], int] = {}

    def read(self, at_ns: int) -> list[float]:
        """Return the latest values; all NaN, and `taken_ns` None, if there is none since the last read.

        Raises ReadError if the service does not answer or has no value now, DeviceLostError if it lacks the sensor.
        """
        self.taken_ns = None
        nothing = [math.nan] * len(self.channels)
        reading = self._feed.read(at_ns)
        served = self._find(reading)
        if served.tick is None or (reading.counters.session == self._session and served.tick.end_ns <= self._seen_ns):
            if served.reason:
                raise ReadError(f"{self.name}: {served.reason}")
            return nothing
        taken_ns = reading.interval_ns(served.tick.start_ns, served.tick.end_ns)
        if sum(taken_ns) <= sum(self._last_ns) or taken_ns[0] < self._last_ns[0]:
            return nothing  # the clock of the other host is not known well enough to order the two
        values = [math.nan if value is None else value for value in served.tick.values]
        self._count(reading.counters.session, served, values)
        self._seen_ns, self._last_ns, self.taken_ns = served.tick.end_ns, taken_ns, taken_ns
        return values

    def close(self) -> None:
        """Release nothing: there is a connection only during a read."""

    def _find(self, reading: Reading) -> ServedProbe:
        for probe in reading.counters.probes:
            if probe.name == self.name and [each.key for each in probe.channels] == [
                each.key for each in self.channels
            ]:
                return probe
        raise DeviceLostError(f"{self._feed.url} no longer has the sensors of {self.name}")

    def _count(self, session: str, served: ServedProbe, values: list[float]) -> None:
        """Continue the counters in `values`, and reject those whose count since the last read is unknown."""
        counts = {(each.channel, each.reason): each.count for each in served.rejected}
        if session != self._session:
            for position in self._totals:
                self._reject(position, Reason.RESET, values)
            self._bases = {}
        else:
            for (position, reason), count in counts.items():
                if reason in _BREAKS and count > self._rejected.get((position, reason), 0):
                    self._reject(position, reason, values)
        self._session, self._rejected = session, counts
        for position in self._counters:
            if math.isnan(values[position]):
                continue
            total = self._totals.get(position)
            if total is not None and position not in self._bases:
                self._bases[position] = total - values[position]
            values[position] += self._bases.setdefault(position, 0.0)
            self._totals[position] = values[position]

    def _reject(self, position: int, reason: Reason, values: list[float]) -> None:
        if position in self._counters:
            self.rejections.append(Rejection(position, reason))
            values[position] = math.nan


def connect(url: str, authorization: str = "", monotonic_ns: Callable[[], int] = time.monotonic_ns) -> RemoteHost:
    """Return the host whose service is at `url`, with its sensors. Raises RemoteHostError.

    `authorization` is the header of a service with passwords, empty for none.
    """
    try:
        checked_url(url)
        feed = Feed(url, authorization)
        reading = feed.read(monotonic_ns())
    except (HttpError, ReadError) as error:
        remedy = "give the address of its service, such as http://host:19795, and let it listen there (exporter.listen)"
        raise RemoteHostError(f"no sensor of the serving host can be read: {error}", remedy) from error
    probes, problems = [], [_uncovered(channel) for channel in reading.counters.uncovered]
    for served in reading.counters.probes:
        energetic = [channel for channel in served.channels if channel.metric in ENERGY_METRICS]
        if energetic and served.period_seconds > SLOWEST_SECONDS:
            problems.append(_slow(served, energetic[0]))
        else:
            probes.append(RemoteProbe(feed, served))
    feed.interval_seconds = min((probe.period_seconds for probe in probes), default=POLL_SECONDS)
    feed.interval_seconds = min(feed.interval_seconds, POLL_SECONDS)
    host, discovery = reading.counters.host, Discovery(tuple(probes), tuple(problems), ())
    return RemoteHost(feed, host, discovery)


def _uncovered(channel: Channel) -> Problem:
    reason = "the serving host cannot read it"
    return Problem(channel.path, reason, "run `inferometer doctor` on that host", device=channel)


def _slow(served: ServedProbe, channel: Channel) -> Problem:
    reason = f"the serving host reads it every {served.period_seconds:g} s, too rarely for windows of seconds"
    return Problem(served.name, reason, "set sampling.period_seconds to 1 or less on that host", device=channel)
