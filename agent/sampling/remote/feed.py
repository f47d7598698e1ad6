"""Polls the service of another host for all of its sensors at once."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.http_get import HttpError, get
from agent.sampling.remote.clock import ClockOffset
from agent.sampling.remote.records import MAX_BYTES, PATH, decode
from probes.errors import ReadError

if TYPE_CHECKING:
    from agent.sampling.remote.records import Counters

DEADLINE_SECONDS = 3.0
POLL_SECONDS = 1.0
"""The longest time between two requests; a service that samples more often is asked more often."""
SHORTEST_POLL_SECONDS = 0.1
_OK = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer of the service, and the bounds of its clock's lead over CLOCK_MONOTONIC of this host."""

    counters: Counters
    lowest_ns: int
    highest_ns: int

    def interval_ns(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return the shortest interval on CLOCK_MONOTONIC that certainly contains an interval of the other clock."""
        return start_ns - self.highest_ns, end_ns - self.lowest_ns


class Feed:
    """The sensors of the host whose service is at `url`; any thread may ask, and one request answers all.

    `authorization` is the value of that header, empty for none. `interval_seconds` is the time between two requests,
    `clock_uncertainty_seconds` the half-width of the bounds of the clock's lead at the last one.
    """

    def __init__(self, url: str, authorization: str = "") -> None:
        self.url = url.rstrip("/")
        self._authorization = authorization
        self.interval_seconds = POLL_SECONDS
        self.clock_uncertainty_seconds = math.inf
        self._lock = threading.Lock()
        self._clock = ClockOffset()
        self._session = ""
        self._asked_ns: int | None = None
        self._result: Reading | ReadError | None = None

    def read(self, at_ns: int) -> Reading:
        """Return the sensors at `at_ns` on CLOCK_MONOTONIC, from the last answer if it is new. Raises ReadError."""
        with self._lock:
            asked_ns = self._asked_ns
            if self._result is None or asked_ns is None or at_ns - asked_ns > self.interval_seconds * 0.5e9:
                self._asked_ns, self._result = at_ns, self._asked()
            if isinstance(self._result, ReadError):
                raise ReadError(str(self._result))
            return self._result

    def _asked(self) -> Reading | ReadError:
        try:
            answer = get(self.url + PATH, DEADLINE_SECONDS, MAX_BYTES, authorization=self._authorization)
            if answer.status != _OK:
                said = answer.body[:200].decode(errors="replace").strip()
                return ReadError(f"{self.url}{PATH} answers {answer.status}: {said}")
            counters = decode(answer.body)
        except HttpError as error:
            return ReadError(str(error))
        except ValueError as error:
            return ReadError(f"{self.url}{PATH} is not the answer of an Inferometer service: {error}")
        if counters.session != self._session:  # a restart of the service measures its clock again
            self._session, self._clock = counters.session, ClockOffset()
        self._clock.add(answer.sent_ns, counters.now_ns, answer.received_ns)
        lowest_ns, highest_ns = self._clock.bounds_ns()
        self.clock_uncertainty_seconds = (highest_ns - lowest_ns) / 2e9
        return Reading(counters, lowest_ns, highest_ns)
