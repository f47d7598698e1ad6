"""Samples a host's probes for the duration of a run or a measurement."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.energy.read_rates import trailing_seconds, update_seconds
from agent.runtime.realtime import REALTIME_LIMIT, low_latency
from agent.sampling.facts import SamplingConditions, ThrottledPeriod
from agent.sampling.thread import STUCK_NS
from probes.model import ENERGY_METRICS
from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.runtime.realtime import Realtime
    from agent.sampling.pipeline import Pipeline, SinkT
    from agent.sampling.probe_reader import ProbeHealth
    from agent.sampling.recorder import Recorder
    from probes.model import Channel
    from store.records import Layout

_LONGEST_WAIT_SECONDS = 5.0
"""The longest wait for the first or the last ticks; sensors may hang."""
_TRIES = 3
"""The number of failed reads after which there is no further wait for a probe."""
_LONGEST_APPROACH_NS = 1_000_000_000
"""The longest time at the high rate before an edge; a load that begins later must not use up the CPU budget."""
_LONGEST_EDGE_PERIOD_SECONDS = 0.05
"""The longest sampling period by which the high rate after an edge is prolonged: slow reads use up the budget."""
_LONGEST_REFRESH_WAIT_SECONDS = 0.15
"""The longest wait for a refresh before an edge."""
_SLOW_REFRESH_SECONDS = 0.01
"""The shortest refresh period of a counter for which an edge waits."""
_POLL_SECONDS = 0.001
"""The time between two checks for a refresh."""


class Recording:
    """A sampler that runs; `sampling_period_seconds` is the longest base period of a probe with energy or power."""

    def __init__(self, pipeline: Pipeline[SinkT]) -> None:
        self.timebase = pipeline.timebase
        self.sampler = sampler = pipeline.sampler
        self.recorder = pipeline.recorder
        self._states = sampler.states
        self._measuring = [
            (state, layout.channels)
            for layout, state in zip(sampler.layouts, self._states, strict=True)
            if any(channel.metric in ENERGY_METRICS for channel in layout.channels)
        ]
        self._edge_seconds = max(
            (_edge_seconds(channels, state.period_seconds) for state, channels in self._measuring), default=0.0
        )
        self._slowest = _slowest_counter(zip(self._states, sampler.layouts, strict=True))
        self.sampling_period_seconds = max((state.period_seconds for state, _ in self._measuring), default=0.0)

    @property
    def realtime(self) -> Realtime:
        """The scheduling of the thread that reads files; valid from the first tick."""
        return self.sampler.realtime

    def facts(self) -> SamplingConditions:
        """Return the scheduling of the sampling threads, their CPU budget, the lost reads, and the failing sensors."""
        had, budget, unix_ns = self.realtime, self.sampler.budget, self.timebase.unix_ns
        periods = (
            ThrottledPeriod(unix_ns(span.start_ns), unix_ns(span.end_ns), span.waited_ns / 1e9) for span in budget.spans
        )
        return SamplingConditions(
            policy=had.policy,
            priority=had.priority,
            cpu=had.cpu,
            limitation=had.reason or None,
            reads_missed=sum(state.missed for state in self._states),
            reads_late=sum(state.late for state in self._states),
            reads_throttled=sum(state.throttled for state in self._states),
            throttled=tuple(periods),
            cpu_budget=budget.share or None,
            cpu_share=budget.used_share,
            faults=tuple(f"{device}/{domain}: {why}" for (device, domain), why in self.faults().items()),
        )

    def faults(self) -> dict[tuple[str, str], str]:
        """Return the reason for each channel without a value, by (device id, domain): lost, failing or hanging.

        Once samples were lost that could not be stored, every channel has this as its reason.
        """
        now_ns, unstored = time.monotonic_ns(), _unstored_reason(self.recorder)
        found: dict[tuple[str, str], str] = {}
        for state, layout in zip(self._states, self.sampler.layouts, strict=True):
            whole = state.reason or unstored
            if state.reading_since_ns and now_ns - state.reading_since_ns > STUCK_NS:
                whole = f"{state.probe} does not answer"
            for position, channel in enumerate(layout.channels):
                if reason := state.faults.get(position, whole):
                    found.setdefault(channel.place, reason)
        return found

    def await_counter_refresh(self) -> None:
        """Read at the high rate until the next `mark_edge`, and return just after a refresh of the slowest counter.

        An edge right after a refresh has little uncertainty. It returns at once if every counter refreshes within
        10 ms, and otherwise waits at most 1.5 refresh periods or 0.15 s, whichever is shorter.
        """
        self.sampler.high_rate_until(time.monotonic_ns() + _LONGEST_APPROACH_NS)
        if not self._slowest:
            return
        state, position, refresh_seconds = self._slowest
        before, began_ns = math.nan, self.timebase.now_ns()
        deadline = time.monotonic() + min(1.5 * refresh_seconds, _LONGEST_REFRESH_WAIT_SECONDS)
        while state.up and time.monotonic() < deadline:
            latest = state.latest
            if latest and latest.start_ns >= began_ns:  # an earlier read may have missed several refreshes
                if latest.values[position] > before:
                    return
                before = latest.values[position] if math.isnan(before) else before
            time.sleep(_POLL_SECONDS)

    def mark_edge(self) -> None:
        """Mark an edge of a window: read counters at the high rate from now until each of them has refreshed.

        Gauges are not read at the high rate, so an average over a second does not prolong it.
        """
        self.sampler.high_rate_until(time.monotonic_ns() + round(self._edge_seconds * 1e9))

    def wait_for_first_ticks(self) -> None:
        """Return when every probe was read, and every power sensor for long enough that a window can start.

        Probes that fail, hang or are lost delay this by at most a few seconds.
        """
        _wait(lambda: all(state.ticks or state.lost or state.failed >= _TRIES for state in self._states))
        self.mark_edge()
        self._wait_for_refreshes()

    def wait_for_last_ticks(self) -> None:
        """Return when every sensor has shown the energy of a window that ends now."""
        self._wait_for_refreshes()

    def _wait_for_refreshes(self) -> None:
        """Return when every energy and power sensor has refreshed and was read since."""
        now_ns = self.timebase.now_ns()
        wanted = [
            (state, now_ns + round(trailing_seconds(channels, state.period_seconds) * 1e9), state.failed + _TRIES)
            for state, channels in self._measuring
        ]
        _wait(
            lambda: all(
                state.lost or state.last_success_ns > until_ns or state.failed >= most_failed
                for state, until_ns, most_failed in wanted
            )
        )


def _unstored_reason(recorder: Recorder) -> str:
    """Return the reason for samples that were dropped because they could not be stored, empty if none was."""
    cause = f": {recorder.error.cause}" if isinstance(recorder.error, StoreError) else ""
    return f"samples could not be stored{cause}" if recorder.dropped else ""


def _edge_seconds(channels: Iterable[Channel], period_seconds: float) -> float:
    """Return the time at the high rate after an edge, in seconds: until every counter of a probe has refreshed."""
    counters = [channel for channel in channels if channel.metric == "energy_joules"]
    return trailing_seconds(counters, min(period_seconds, _LONGEST_EDGE_PERIOD_SECONDS)) if counters else 0.0


def _slowest_counter(probes: Iterable[tuple[ProbeHealth, Layout]]) -> tuple[ProbeHealth, int, float] | None:
    """Return the slowest energy counter: its probe, its position and its refresh period in seconds.

    None if every counter refreshes within a few milliseconds, or if no period is known.
    """
    slow = [
        (update_seconds(channel), state, position)
        for state, layout in probes
        for position, channel in enumerate(layout.channels)
        if channel.metric == "energy_joules" and update_seconds(channel) >= _SLOW_REFRESH_SECONDS
    ]
    if not slow:
        return None
    refresh, state, position = max(slow, key=lambda each: each[0])
    return state, position, refresh


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.005)


@contextmanager
def recording(pipeline: Pipeline[SinkT]) -> Iterator[Recording]:
    """Sample inside the block; afterwards the sink has every tick.

    After a suspension of the host nothing more is read, so a window that includes or follows one has no energy.

    Raises the last error of the sink if it did not take the last ticks.
    """
    with low_latency(), REALTIME_LIMIT.bounding(pipeline.sampler.demote):
        pipeline.start()
        try:
            yield Recording(pipeline)
        finally:
            pipeline.stop_reads()
            pipeline.recorder.stop()
    if pipeline.recorder.error:
        raise pipeline.recorder.error
