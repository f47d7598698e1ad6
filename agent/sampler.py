"""Reads every probe on a beat of its own and puts the ticks into one bounded queue."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from agent.log import get_logger
from probes.errors import DeviceLostError, ReadError
from store.records import Layout, Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Timebase
    from probes.model import Probe, Rejection

QUEUE_LIMIT = 100_000
"""Ticks that may wait for the consumer before new ones are dropped and counted."""
HANGING_PERIODS = 3
HANGING_SECONDS = 10.0
"""A read that lasts longer than three periods and ten seconds hangs."""
STOP_SECONDS = 2.0

log = get_logger("sampler")


@dataclass(slots=True)
class BeatState:
    """How one probe's beat fares; written by its thread alone, read by anyone.

    `last_success_ns` is Unix time, 0 before the first; `reading_since_ns` is when the read that is under way began, on
    CLOCK_MONOTONIC, 0 between reads. `missed` counts beats that passed without a read because the one before took too
    long or the host was too busy; `failed` counts reads that gave nothing at all.
    """

    probe: str
    period_seconds: float
    up: bool = True
    lost: bool = False
    read_seconds: float = 0.0
    last_success_ns: int = 0
    ticks: int = 0
    missed: int = 0
    failed: int = 0
    rejected: dict[tuple[int, str], int] = field(default_factory=dict)
    reading_since_ns: int = 0

    @property
    def tried(self) -> bool:
        """Whether a first read has ended, one way or another."""
        return bool(self.ticks or self.failed)

    def hangs(self, now_ns: int) -> bool:
        """Tell whether at `now_ns`, on CLOCK_MONOTONIC, its read has lasted too long to be only slow."""
        since_ns = self.reading_since_ns
        longest = max(HANGING_PERIODS * self.period_seconds, HANGING_SECONDS)
        return bool(since_ns) and now_ns - since_ns > longest * 1e9


class Sampler:
    """Runs one thread a probe. A slow, failing or dead probe delays no other.

    The deadlines of a beat are absolute (start + n * period), so it never drifts; a beat that could not be kept is
    counted in its state. Ticks are stamped with Unix times derived from CLOCK_MONOTONIC. A read that gave nothing but
    reasons is a tick as well: all NaN, with its rejections.
    """

    def __init__(
        self,
        probes: Sequence[tuple[Layout, Probe, float]],
        timebase: Timebase,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self.queue: SimpleQueue[Tick] = SimpleQueue()
        self.layouts = tuple(layout for layout, _, _ in probes)
        self.states = tuple(BeatState(probe.name, period) for _, probe, period in probes)
        self.dropped = 0
        self._timebase = timebase
        self._limit = queue_limit
        self._stop = threading.Event()
        self._putting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._beat, args=(layout, probe, state), name=f"beat-{probe.name}", daemon=True)
            for (layout, probe, _), state in zip(probes, self.states, strict=True)
        ]
        self._probes = tuple(probe for _, probe, _ in probes)

    def start(self) -> None:
        """Start every beat at once."""
        for thread in self._threads:
            thread.start()

    def stop(self, within_seconds: float = STOP_SECONDS) -> tuple[Probe, ...]:
        """Ask every beat to end and wait for them so long at most.

        Returns the probes that hang inside a driver: their threads are left behind, and closing them may hang too.
        """
        self._stop.set()
        deadline = time.monotonic() + within_seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return tuple(probe for probe, thread in zip(self._probes, self._threads, strict=True) if thread.is_alive())

    def _beat(self, layout: Layout, probe: Probe, state: BeatState) -> None:
        period_ns = max(1, round(state.period_seconds * 1e9))
        deadline = time.monotonic_ns()
        while not self._stop.wait(max(0, deadline - time.monotonic_ns()) / 1e9):
            self._read(layout, probe, state)
            if state.lost:
                return
            deadline += period_ns
            late_ns = time.monotonic_ns() - deadline
            if late_ns > 0:
                missed = -(-late_ns // period_ns)
                state.missed += missed
                deadline += missed * period_ns

    def _read(self, layout: Layout, probe: Probe, state: BeatState) -> None:
        start_ns = state.reading_since_ns = time.monotonic_ns()
        failure = None
        try:
            values = _checked(probe.read(start_ns), len(layout.channels))
        except BaseException as error:  # noqa: BLE001  the edge of a thread, where even SystemExit would end it silently
            failure = error
            values = (math.nan,) * len(layout.channels)
        end_ns = time.monotonic_ns()
        state.reading_since_ns = 0
        state.read_seconds = (end_ns - start_ns) / 1e9
        rejections = _taken(probe, state)
        if failure is None:
            _note_success(state, self._timebase.unix_ns(end_ns))
        else:
            _note_failure(state, failure)
        if failure is None or rejections:
            self._put(
                Tick(layout.id, self._timebase.unix_ns(start_ns), self._timebase.unix_ns(end_ns), values, rejections)
            )

    def _put(self, tick: Tick) -> None:
        with self._putting:
            if self.queue.qsize() < self._limit:
                self.queue.put(tick)
            else:
                self.dropped += 1


def _checked(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return a probe's values as floats, one a channel; anything else would spoil the store and every scrape."""
    floats = tuple(map(float, values))
    if len(floats) != channels:
        raise ValueError(f"{len(floats)} values for {channels} channels")
    return floats


def _taken(probe: Probe, state: BeatState) -> tuple[Rejection, ...]:
    """Take what the read refused out of the probe, and count it."""
    rejections = tuple(probe.rejections)
    probe.rejections.clear()
    for rejection in rejections:
        key = (rejection.channel, rejection.reason.value)
        state.rejected[key] = state.rejected.get(key, 0) + 1
    return rejections


def _note_success(state: BeatState, at_ns: int) -> None:
    if not state.up:
        log.info("probe reads again", probe=state.probe)
    state.up = True
    state.ticks += 1
    state.last_success_ns = at_ns


def _note_failure(state: BeatState, failure: BaseException) -> None:
    """Count a read that failed; say so once until the next that works, with a trace where the fault is ours."""
    state.failed += 1
    if isinstance(failure, DeviceLostError):
        state.lost = True
        log.error("device lost", probe=state.probe, reason=str(failure))
    elif state.up and isinstance(failure, ReadError):
        log.warning("read failed", probe=state.probe, reason=str(failure))
    elif state.up:
        log.error("probe fault", probe=state.probe, reason=repr(failure), exc_info=failure)
    state.up = False
