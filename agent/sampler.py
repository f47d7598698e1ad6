"""Reads every probe on a beat of its own and puts the ticks into one bounded queue."""

from __future__ import annotations

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
    from probes.model import Probe

QUEUE_LIMIT = 100_000
"""Ticks that may wait for the consumer before new ones are dropped and counted."""
_JOIN_SECONDS = 2.0

log = get_logger("sampler")


@dataclass(slots=True)
class BeatState:
    """How one probe's beat fares; written by its thread alone, read by anyone.

    `last_success_ns` is Unix time, 0 before the first. `missed` counts beats that passed without a read because the
    one before took too long or the host was too busy; `failed` counts reads that gave nothing at all.
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


class Sampler:
    """Runs one thread a probe. A slow, failing or dead probe delays no other.

    The deadlines of a beat are absolute (start + n * period), so it never drifts; a beat that could not be kept is
    counted in its state. Ticks are stamped with Unix times derived from CLOCK_MONOTONIC.
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
        self._drop_lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._beat, args=(layout, probe, state), name=f"beat-{probe.name}", daemon=True)
            for (layout, probe, _), state in zip(probes, self.states, strict=True)
        ]

    def start(self) -> None:
        """Start every beat at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask every beat to end and wait for them; one that hangs inside a driver is left behind."""
        self._stop.set()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _beat(self, layout: Layout, probe: Probe, state: BeatState) -> None:
        period_ns = max(1, round(state.period_seconds * 1e9))
        deadline = time.monotonic_ns()
        while not self._stop.wait(max(0, deadline - time.monotonic_ns()) / 1e9):
            try:
                self._read(layout, probe, state)
            except DeviceLostError as error:
                state.up, state.lost = False, True
                log.error("device lost", probe=probe.name, reason=str(error))  # noqa: TRY400  a trace says no more
                return
            deadline += period_ns
            late_ns = time.monotonic_ns() - deadline
            if late_ns > 0:
                missed = -(-late_ns // period_ns)
                state.missed += missed
                deadline += missed * period_ns

    def _read(self, layout: Layout, probe: Probe, state: BeatState) -> None:
        start_ns = time.monotonic_ns()
        try:
            values = tuple(probe.read(start_ns))
        except DeviceLostError:
            raise
        except ReadError as error:
            if state.up:
                log.warning("read failed", probe=probe.name, reason=str(error))
            values = None
        except Exception as error:  # the edge of a thread: a fault in one probe must not end it silently
            if state.up:
                log.exception("probe fault", probe=probe.name, reason=repr(error))
            values = None
        end_ns = time.monotonic_ns()
        rejections = tuple(probe.rejections)
        probe.rejections.clear()
        for rejection in rejections:
            key = (rejection.channel, rejection.reason.value)
            state.rejected[key] = state.rejected.get(key, 0) + 1
        state.read_seconds = (end_ns - start_ns) / 1e9
        if values is None:
            state.up = False
            state.failed += 1
            return
        unix_start_ns = self._timebase.unix_ns(start_ns)
        state.up = True
        state.ticks += 1
        state.last_success_ns = self._timebase.unix_ns(end_ns)
        self._put(Tick(layout.id, unix_start_ns, state.last_success_ns, values, rejections))

    def _put(self, tick: Tick) -> None:
        if self.queue.qsize() < self._limit:
            self.queue.put(tick)
            return
        with self._drop_lock:
            self.dropped += 1
