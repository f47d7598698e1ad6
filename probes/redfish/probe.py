"""Reads the power and the energy counters of one BMC."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ReadError
from probes.model import Channel, Reason, Rejection
from probes.plausibility import BLANKS, check_gauge
from probes.redfish.documents import text
from probes.redfish.session import LoginError, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from probes.counter import Counter
    from probes.redfish.documents import Resource
    from probes.redfish.session import BmcSession

SECONDS = 9.5
"""The longest time for all responses of a read."""
SHORTEST_INTERVAL_SECONDS = 0.9
"""A little less than a second, so that a schedule of one second with some jitter reads every time."""
REQUEST_SHARE = 0.25
"""The largest share of the time in which the BMC answers: a response takes its slow processor one to ten seconds."""
REFUSED_SECONDS = 300.0
"""The time between two logins after a refusal: BMCs lock a user after some attempts."""
COUNTS_PER_JOULE = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """One channel: the path of its resource, and the function that takes the value out of it, in the channel's unit."""

    channel: Channel
    path: str
    pick: Callable[[Resource], Decimal | None]
    counter: Counter | None = None

    def value(self, resource: Resource, at_ns: int) -> float | Reason:
        """Return the value, NaN without one, or the reason for its rejection."""
        found = self.pick(resource)
        if found is None:
            return math.nan
        if self.counter:
            return self.counter.advance(round(found * COUNTS_PER_JOULE), at_ns) or self.counter.total / COUNTS_PER_JOULE
        return Reason.SENTINEL if found in BLANKS else check_gauge(self.channel, float(found))


class RedfishProbe:
    """The channels of one BMC, each from one resource that was selected at discovery.

    A read before `SHORTEST_INTERVAL_SECONDS`, or before the BMC has rested for three times its last answers, returns
    nothing new, and neither does one whose time stamps (`ReadingTime` of sensors) are those of the read before it.
    """

    files_only = False

    def __init__(self, name: str, session: BmcSession, readings: Sequence[Reading]) -> None:
        self.name = name
        self.channels = tuple(each.channel for each in readings)
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._session, self._readings = session, tuple(readings)
        self._paths = tuple(dict.fromkeys(each.path for each in readings))
        self._next_ns = 0
        self._stamps: list[str] = []

    def read(self, at_ns: int) -> list[float]:
        """Request each resource and return one value per channel; all NaN, with `taken_ns` None, if nothing is new.

        Raises ReadError if no resource was answered. The channels of one that failed alone are NaN.
        """
        self.taken_ns = None
        nothing = [math.nan] * len(self.channels)
        if at_ns < self._next_ns:
            return nothing
        found, times = self._request(at_ns)
        stamps = [text(resource.get("ReadingTime")) for resource in found.values()]
        if all(stamps) and stamps == self._stamps:
            return nothing
        self._stamps, self.taken_ns = stamps, (min(times), max(times))
        return [self._value(position, found.get(each.path), at_ns) for position, each in enumerate(self._readings)]

    def _request(self, at_ns: int) -> tuple[dict[str, Resource], list[int]]:
        """Return the resources that were answered, and the times of their requests and responses."""
        found: dict[str, Resource] = {}
        times: list[int] = []
        failure: ReadError | None = None
        wait_seconds, began_ns = SHORTEST_INTERVAL_SECONDS, time.monotonic_ns()
        took_seconds = 0.0
        for path in self._paths:
            try:
                found[path], *between_ns = self._session.get(path, SECONDS - took_seconds)
                times += between_ns
            except ReadError as error:
                failure = error
                wait_seconds = max(wait_seconds, _wait_seconds(error))
            took_seconds = (time.monotonic_ns() - began_ns) / 1e9
            if took_seconds >= SECONDS or isinstance(failure, LoginError):
                break
        self._next_ns = at_ns + round(max(wait_seconds, took_seconds / REQUEST_SHARE) * 1e9)
        if not found and failure:
            raise failure
        return found, times

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _value(self, position: int, resource: Resource | None, at_ns: int) -> float:
        value = math.nan if resource is None else self._readings[position].value(resource, at_ns)
        if isinstance(value, Reason):
            self.rejections.append(Rejection(position, value))
            return math.nan
        return value


def _wait_seconds(error: ReadError) -> float:
    if isinstance(error, LoginError):
        return max(REFUSED_SECONDS, error.retry_seconds)
    return error.retry_seconds if isinstance(error, StatusError) else 0.0
