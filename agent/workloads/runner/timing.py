"""Repeats one phase for a minimum time and a minimum number of iterations, and stamps the window."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from agent.workloads.runner.protocol import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent.workloads.model_record import LoadedModel
    from agent.workloads.point import Point
    from agent.workloads.runner.protocol import Ready
    from agent.workloads.work import Work


@dataclass(frozen=True, slots=True)
class Phase:
    """One iteration of a phase: `run_once` runs it and appends the nanoseconds of each token step to the list.

    The counts are per iteration, and `work` is that of one inference. `verify` is called after every window, and raises
    WorkloadError if its results are wrong.
    """

    run_once: Callable[[list[int]], object]
    inferences: int
    input_tokens: int = 0
    output_tokens: int = 0
    work: Work | None = None
    verify: Callable[[], object] | None = None


class MeasuringPhase(Protocol):
    """A phase that measures its own windows, because its requests overlap."""

    def measure(
        self,
        phase: str,
        seconds: float,
        iterations: int,
        started: Callable[[int], object],
        ended: Callable[[int], object],
    ) -> Measured:
        """Return one window, as `measure` does for a `Phase`."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A workload that must be closed at the end: it started a server, for example."""

    def close(self) -> None:
        """End everything that the workload started."""
        ...


@runtime_checkable
class Variants(Protocol):
    """A workload whose points run different models, such as one for each precision."""

    def model_of(self, parameters: Point) -> LoadedModel | None:
        """Return the facts of the model of the point that was prepared last, None if all points have the same."""
        ...


class Workload(Protocol):
    """A loaded model. Every method raises WorkloadError, or the engine's own exception."""

    @property
    def ready(self) -> Ready:
        """The facts of the model, the engine and the phases."""
        ...

    def prepare(self, parameters: Point) -> Mapping[str, Phase | MeasuringPhase]:
        """Make the inputs of a point, run it once, and return its phases, each as one iteration or as a whole.

        The first run of an input shape is slow in many engines, so it must not be part of a window.
        """
        ...


LEAD_NS = 500_000
"""The time from the call of `started` to the begin of the window, so that writing the message is no part of it."""


def measure(
    phase: str,
    work: Phase,
    seconds: float,
    iterations: int,
    started: Callable[[int], object] = lambda _start_ns: None,
    ended: Callable[[int], object] = lambda _end_ns: None,
) -> Measured:
    """Iterate for at least `seconds` and at least `iterations`, and at least once.

    Garbage is collected before the window. `started` gets the start of the window just before it, `ended` its end just
    after it, both on CLOCK_MONOTONIC in nanoseconds. A latency is the time from the end of the previous iteration to
    the end of its own, so the latencies add up to the window.
    """
    clock = time.monotonic_ns
    run_once, steps = work.run_once, list[int]()
    ends, done, shortest_ns = list[int](), 0, int(seconds * 1e9)
    with no_garbage_collection():
        start = end = clock() + LEAD_NS
        started(start)
        while clock() < start:
            pass
        while done < max(iterations, 1) or end - start < shortest_ns:
            run_once(steps)
            end = clock()
            ends.append(end)
            done += 1
        ended(end)
    if work.verify is not None:
        work.verify()
    return Measured(
        phase=phase,
        start_ns=start,
        end_ns=end,
        iterations=done,
        inferences=done * work.inferences,
        input_tokens=done * work.input_tokens,
        output_tokens=done * work.output_tokens,
        latencies_seconds=tuple((after - before) / 1e9 for before, after in zip([start, *ends], ends, strict=False)),
        step_seconds=tuple(step / 1e9 for step in steps),
    )


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect garbage now, then not before the end of the window."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
