"""Runs the search for the highest rate of an open loop that meets a service level, and confirms its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.profiling.rate_search import (
    highest_met,
    lowest_missed,
    next_rate,
    rate_to_confirm,
    trial_seconds,
    verdict,
)
from agent.profiling.serving_records import SustainableRate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.profiling.serving_records import RateTrial, ServiceLevel
    from agent.workloads.load_records import LoadWindow

    Windows = tuple[Sequence[LoadWindow], float]
    Measure = Callable[[float, float], Windows]

MOST_WINDOWS = 4
"""The windows of a trial, its budget: without a verdict after the last one it is undecided."""
MOST_TRIALS = 30
MOST_CONFIRMATIONS = 6


class RateSearch:
    """One search. `trials` has every rate in the order of the search, `confirmed` the result of the fresh run.

    `measure` offers a rate for some seconds to a server without open requests, until the last request has ended, and
    returns the windows with their length in seconds. `confirm` does the same as a part of the run: all repeats of a
    point. `report` shows a text to the user before each.
    """

    def __init__(
        self,
        level: ServiceLevel,
        first_rate: float,
        shortest_seconds: float,
        measure: Measure,
        confirm: Measure,
        report: Callable[[str], object],
    ) -> None:
        self.trials: list[RateTrial] = []
        self.confirmed: float | None = None
        self._level = level
        self._first_rate = first_rate
        self._shortest_seconds = shortest_seconds
        self._measure = measure
        self._confirm = confirm
        self._report = report
        self._request_seconds = 0.0

    def run(self) -> None:
        """Find the bracket, then confirm its lower end; each failed confirmation takes a step down."""
        while len(self.trials) < MOST_TRIALS and (rate := next_rate(self.trials, self._first_rate)) is not None:
            self._report(f"trying {rate:g} requests/s, for {self._seconds(rate):.0f} s or more")
            self.trials.append(self._try(rate))
        for failures in range(MOST_CONFIRMATIONS):
            rate = rate_to_confirm(self.trials, failures)
            if rate is None:
                return
            self._report(f"confirming {rate:g} requests/s")
            found = verdict(rate, *self._confirm(rate, self._seconds(rate)), self._level)
            if found.outcome == "met":
                self.confirmed = rate
                return
            self.trials.append(msgspec.structs.replace(found, reason=f"not confirmed: {found.reason}"))

    def result(self, name: Callable[[float], str]) -> SustainableRate:
        """Return the result so far; `name` returns the name of the point of a rate."""
        return SustainableRate(
            level=self._level,
            highest_met=highest_met(self.trials) if self.confirmed is None else self.confirmed,
            lowest_missed=lowest_missed(self.trials),
            point=None if self.confirmed is None else name(self.confirmed),
            trials=tuple(self.trials),
        )

    def _try(self, rate: float) -> RateTrial:
        """Return the verdict on a rate as soon as there is one, at the latest after the budget."""
        loads: list[LoadWindow] = []
        total = 0.0
        while True:
            windows, seconds = self._measure(rate, self._seconds(rate))
            loads += windows
            total += seconds
            self._note_durations(windows)
            found = verdict(rate, loads, total, self._level)
            if found.outcome != "undecided" or len(loads) >= MOST_WINDOWS:
                return found

    def _seconds(self, rate: float) -> float:
        return trial_seconds(rate, self._level, self._request_seconds, self._shortest_seconds)

    def _note_durations(self, loads: Sequence[LoadWindow]) -> None:
        """Note the duration of the fastest request so far, which waited least in a queue."""
        found = [request.end_to_end_seconds for load in loads for request in load.requests if request.ok]
        if found:
            self._request_seconds = min(self._request_seconds or found[0], *found)
