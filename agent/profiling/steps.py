"""The steps of a sweep: warm-up, idle time and the record of a window, with the workload and the rule that they use."""

from __future__ import annotations

import time
from array import array
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.profiling.analysis.statistics import trend
from agent.profiling.plan import STEADY_CHUNKS, chunk_seconds
from agent.runtime.typed_json import to_json
from agent.workloads.point import encode_point
from store.records import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from agent.profiling.plan import MeasurementPlan
    from agent.runtime.clock import Timebase
    from agent.workloads.model_record import LoadedModel
    from agent.workloads.point import Point
    from agent.workloads.runner.protocol import Measured, Prepared

_STEADY_WITHIN = 0.03


class Workload(Protocol):
    """The process that runs the model, as the sweep uses it."""

    def prepare(self, parameters: Point) -> Prepared:
        """Make the inputs of a point and run it once. Raises LostPointError if only this point fails."""
        ...

    def measure(
        self, phase: str, seconds: float, iterations: int, edge: Callable[[], object] = lambda: None
    ) -> Measured:
        """Run one phase for at least `seconds` and `iterations`, and return the window.

        `edge` is called when the window begins and when it has ended.
        """
        ...


class StoppingRule(Protocol):
    """Decides what is measured further."""

    def unfinished(self, windows: Sequence[Window], points: Sequence[str]) -> Collection[str]:
        """Return those of the encoded points that need a further repeat."""
        ...

    def is_idle_known(self, start_ns: int, end_ns: int, part_seconds: float) -> bool:
        """Return whether the idle power since `start_ns` is known well enough, from parts of its window."""
        ...


def first_load(model: LoadedModel, earlier: Sequence[LoadedModel]) -> LoadedModel:
    """Return the first load of a model that a new process has loaded again; `earlier` are those of ended processes."""
    unloaded = partial(msgspec.structs.replace, load_start_ns=0, load_seconds=0.0)
    return next((each for each in earlier if unloaded(each) == unloaded(model)), model)


def measure_window(
    workload: Workload,
    phase: str,
    plan: MeasurementPlan,
    edge: Callable[[], object],
    read_limits: Callable[[], Mapping[str, float]],
) -> tuple[Measured, tuple[Mapping[str, float], ...]]:
    """Measure one window; return it with the power limits at both of its edges."""
    limits: list[Mapping[str, float]] = []

    def at_edge() -> None:
        edge()
        limits.append(read_limits())

    return workload.measure(phase, plan.window_seconds, plan.iterations, at_edge), tuple(limits)


def warm_up(workload: Workload, phase: str, plan: MeasurementPlan) -> None:
    """Run short chunks until the last of them show no trend, or the time allowed is over."""
    end = time.monotonic() + plan.warmup_seconds
    rates: list[float] = []
    while time.monotonic() < end:
        measured = workload.measure(phase, chunk_seconds(plan), 1)
        rates.append(measured.iterations / ((measured.end_ns - measured.start_ns) / 1e9))
        latest = rates[-STEADY_CHUNKS:]
        if len(latest) == STEADY_CHUNKS and trend(latest, _STEADY_WITHIN).steady:
            return


def rest(
    plan: MeasurementPlan,
    rule: StoppingRule | None,
    start_ns: int,
    now_ns: Callable[[], int],
    sleep: Callable[[float], object],
) -> None:
    """Sleep for the length of an idle baseline; with a rule, until the idle power since `start_ns` is known."""
    left, part = plan.idle_seconds, plan.idle_part_seconds
    while rule is not None and left > part:
        sleep(part)
        left -= part
        if rule.is_idle_known(start_ns, now_ns(), part):
            return
    sleep(left)


def window_of(measured: Measured, run_id: str, point: Point, repeat: int, timebase: Timebase) -> Window:
    """Return the window of a measured phase, in Unix time.

    A run holds the latencies of all its windows, so they are in arrays: 8 bytes each instead of 32.
    """
    return Window(
        run_id,
        encode_point(point),
        measured.phase,
        repeat,
        timebase.unix_ns(measured.start_ns),
        timebase.unix_ns(measured.end_ns),
        measured.iterations,
        measured.inferences,
        measured.input_tokens,
        measured.output_tokens,
        array("d", measured.latencies_seconds),
        array("d", measured.step_seconds),
        measured.requests_in_window,
        None if measured.load is None else to_json(measured.load, separators=(",", ":")),
    )
