"""Runs a workload over its sweep and marks the windows: idle, warm-up until steady, repeats of every point."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.profiling.derive import IDLE_LOADED, IDLE_UNLOADED
from agent.profiling.statistics import trend
from store.records import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.clock import Timebase
    from agent.workloads.protocol import Measured, Ready

SETTLE_SECONDS = 0.5
"""Between what the host did before and an idle baseline."""
_STEPS_BEFORE_SWEEP = 3
_STEADY_CHUNKS = 4
_STEADY_WITHIN = 0.03


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time a run takes for how narrow an interval.

    A repeat lasts `window_seconds` and `iterations` at least, both; warm-up ends when throughput is steady or after
    `warmup_seconds`.
    """

    name: str
    idle_seconds: float
    warmup_seconds: float
    repeats: int
    window_seconds: float
    iterations: int


EFFORTS = {
    effort.name: effort
    for effort in (
        Effort("quick", 3.0, 2.0, 3, 1.5, 3),
        Effort("standard", 15.0, 10.0, 5, 10.0, 10),
        Effort("rigorous", 60.0, 30.0, 5, 60.0, 30),
    )
}


class Workload(Protocol):
    """What a session asks of the process that runs the model."""

    def prepare(self, batch: int) -> object:
        """Get ready for batches of this size."""
        ...

    def measure(self, phase: str, seconds: float, iterations: int) -> Measured:
        """Run one phase for at least so long and so often, and say when and how fast."""
        ...


class Progress(Protocol):
    """Hears how far the run is."""

    def step(self, done: int, total: int | None, doing: str) -> None:
        """Take the number of steps done, of all steps (None before they are known), and what is done now."""
        ...

    def note(self, text: str) -> None:
        """Take something the user should know now."""
        ...


def planned_seconds(effort: Effort, windows: int) -> float:
    """Return how long a run takes at least: `windows` is the number of points times that of their phases."""
    warm_up = _STEADY_CHUNKS * _chunk_seconds(effort)
    repeats = effort.repeats * effort.window_seconds
    return 2 * (SETTLE_SECONDS + effort.idle_seconds) + windows * (warm_up + repeats)


def _chunk_seconds(effort: Effort) -> float:
    return min(effort.warmup_seconds / _STEADY_CHUNKS / 2, 1.0)


class Session:
    """One run: `windows` grows by one whenever a window is complete, and each is handed to `keep` at once.

    `points` and `phases` are how many of each the sweep will have. `ready` is what the workload said of itself when
    its model was loaded, None before.
    """

    def __init__(
        self,
        run_id: str,
        effort: Effort,
        timebase: Timebase,
        keep: Callable[[Window], None],
        progress: Progress,
        *,
        points: int,
        phases: int,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.windows: list[Window] = []
        self.ready: Ready | None = None
        self._run_id = run_id
        self._effort = effort
        self._timebase = timebase
        self._keep = keep
        self._progress = progress
        self._sleep = sleep
        self._done = 0
        self._total = _STEPS_BEFORE_SWEEP + points * phases * (1 + effort.repeats)

    def run(self, workload: Workload, load: Callable[[], Ready], batches: Sequence[int]) -> None:
        """Go through the whole run; `load` has the workload load its model, and waits until it has."""
        self._idle(IDLE_UNLOADED, "idle, before the model is loaded")
        self._step("loading the model")
        self.ready = load()
        self._idle(IDLE_LOADED, "idle, with the model loaded")
        for batch in batches:
            workload.prepare(batch)
            self._measure_point(workload, self.ready, f"batch={batch}")
        self._progress.step(self._total, self._total, "done")

    def _idle(self, phase: str, doing: str) -> None:
        self._step(doing)
        self._sleep(SETTLE_SECONDS)
        start_ns = self._timebase.now_ns()
        self._sleep(self._effort.idle_seconds)
        self._add(Window(self._run_id, "", phase, 0, start_ns, self._timebase.now_ns()))

    def _measure_point(self, workload: Workload, ready: Ready, point: str) -> None:
        """Warm each phase up, then repeat all phases in turn."""
        for phase in ready.phases:
            self._step(f"{point} {phase}: warming up")
            self._warm_up(workload, phase)
        for repeat in range(1, self._effort.repeats + 1):
            for phase in ready.phases:
                self._step(f"{point} {phase}: repeat {repeat} of {self._effort.repeats}")
                measured = workload.measure(phase, self._effort.window_seconds, self._effort.iterations)
                self._add(self._window(point, repeat, measured))

    def _warm_up(self, workload: Workload, phase: str) -> None:
        """Run short chunks until the last of them show no trend, or the time allowed is over."""
        end = time.monotonic() + self._effort.warmup_seconds
        rates: list[float] = []
        while time.monotonic() < end:
            measured = workload.measure(phase, _chunk_seconds(self._effort), 1)
            rates.append(measured.iterations / ((measured.end_ns - measured.start_ns) / 1e9))
            latest = rates[-_STEADY_CHUNKS:]
            if len(latest) == _STEADY_CHUNKS and trend(latest, _STEADY_WITHIN).steady:
                return

    def _window(self, point: str, repeat: int, measured: Measured) -> Window:
        return Window(
            self._run_id,
            point,
            measured.phase,
            repeat,
            self._timebase.unix_ns(measured.start_ns),
            self._timebase.unix_ns(measured.end_ns),
            measured.iterations,
            measured.inferences,
            measured.input_tokens,
            measured.output_tokens,
            measured.latencies_seconds,
            measured.step_seconds,
        )

    def _add(self, window: Window) -> None:
        self._keep(window)
        self.windows.append(window)

    def _step(self, doing: str) -> None:
        self._progress.step(self._done, self._total, doing)
        self._done += 1
