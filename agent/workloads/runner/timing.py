"""Runs one phase again and again until it was long enough and often enough, and stamps the window."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.workloads.runner.protocol import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent.workloads.runner.protocol import Ready


@dataclass(frozen=True, slots=True)
class Phase:
    """One iteration of a phase: `run_once` runs it and appends the nanoseconds of each token step to the list.

    The counts are those of one iteration.
    """

    run_once: Callable[[list[int]], object]
    inferences: int
    input_tokens: int = 0
    output_tokens: int = 0


class Workload(Protocol):
    """A loaded model; every method raises WorkloadError, or whatever the engine raises."""

    @property
    def ready(self) -> Ready:
        """What was loaded, by whom, and which phases it has."""
        ...

    def prepare(self, batch: int) -> Mapping[str, Phase]:
        """Make the inputs of a batch and run them once, so that nothing is done for the first time when measured.

        Returns what one iteration of each phase is.
        """
        ...


LEAD_NS = 500_000
"""The window begins so long after `started` was called, so that no part of it goes into the message."""


def measure(
    phase: str,
    work: Phase,
    seconds: float,
    iterations: int,
    started: Callable[[int], object] = lambda _start_ns: None,
    ended: Callable[[int], object] = lambda _end_ns: None,
) -> Measured:
    """Iterate until both `seconds` have passed and `iterations` were run, at least once.

    Garbage is collected before. `started` gets the start of the window just before it, `ended` the end just after it,
    on CLOCK_MONOTONIC.

    Each latency runs from the end of the iteration before to its own end, so that together they are the window.
    """
    clock = time.monotonic_ns
    run_once, steps = work.run_once, list[int]()
    ends, done, shortest_ns = list[int](), 0, int(seconds * 1e9)
    with _no_garbage_collection():
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
def _no_garbage_collection() -> Iterator[None]:
    """Collect now, then not again until the window is over."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
