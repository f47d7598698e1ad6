"""Runs a sweep and records its windows: idle baselines, repeats of all points in random order, idle baselines."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.host.activity import cpu_usage_between
from agent.host.records import HostLoad, WindowKey, window_key
from agent.profiling.analysis.idle import AFTER, BASELINES, BEFORE, IDLE_LOADED, IDLE_UNLOADED
from agent.profiling.analysis.serving import load_of
from agent.profiling.analysis.startup import FIRST_RUN, LOAD
from agent.profiling.plan import SETTLE_SECONDS, chunk_seconds, least_idle_seconds
from agent.profiling.rate_driver import RateSearch
from agent.profiling.rate_search import FIRST_RATE, at_rate
from agent.profiling.steps import first_load, measure_window, rest, warm_up, window_of
from agent.workloads.errors import LostPointError
from agent.workloads.point import encode_point, point_name
from store.records import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from agent.host.activity import ActivitySnapshot
    from agent.profiling.plan import MeasurementPlan
    from agent.profiling.progress import Progress
    from agent.profiling.serving_records import ServiceLevel, SustainableRate
    from agent.profiling.steps import StoppingRule, Workload
    from agent.runtime.clock import Timebase
    from agent.workloads.load_records import LoadWindow
    from agent.workloads.model_record import LoadedModel
    from agent.workloads.point import Point
    from agent.workloads.runner.protocol import Ready
    from agent.workloads.work import Work

_OTHER_STEPS = 3
"""The steps of loading, trying and ending the model."""
_SIDES = 2
"""Every idle baseline is measured before the sweep and after it."""


class Sweep:
    """One run. Every complete window is appended to `windows` and passed to `save_window`.

    `phases` is the number of phases. `approach` is called before an edge of a window and may wait for the best moment;
    `edge` is called at the edge or just after it. `snapshot` reads the activity of CPUs and GPUs before each window and
    after it, then given the first snapshot; the load between both is in `loads`. `rule` is None for a plan without a
    tolerance. `ready` is the workload's description of its loaded model, None before. `baselines` are the phases of the
    idle baselines, each before the sweep and after it. With a `level`, the sweep searches the highest rate that meets
    it. A point that fails alone, such as by too little memory, is in `lost` with its error. `models` and `works` are
    by the encoded point, `power_limits` the results of `read_power_limits` at both edges of each window.
    """

    def __init__(
        self,
        run_id: str,
        plan: MeasurementPlan,
        timebase: Timebase,
        save_window: Callable[[Window], None],
        progress: Progress,
        *,
        phases: int,
        seed: int,
        approach: Callable[[], object],
        edge: Callable[[], object],
        snapshot: Callable[[ActivitySnapshot | None], ActivitySnapshot],
        rule: StoppingRule | None,
        on_trial_complete: Callable[[], object],
        baselines: Collection[str] = BASELINES,
        level: ServiceLevel | None = None,
        read_power_limits: Callable[[], Mapping[str, float]] = dict,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.windows: list[Window] = []
        self.loads: dict[WindowKey, HostLoad] = {}
        self.ready: Ready | None = None
        self.lost: dict[str, LostPointError] = {}
        self.models: dict[str, LoadedModel] = {}
        self.power_limits: dict[WindowKey, tuple[Mapping[str, float], ...]] = {}
        self.works: dict[str, Mapping[str, Work]] = {}
        self._search: RateSearch | None = None
        self._run_id = run_id
        self._plan = plan
        self._timebase = timebase
        self._save_window = save_window
        self._progress = progress
        self._phases = phases
        self._order = random.Random(seed)  # noqa: S311  an order that can be repeated, no secret
        self._approach = approach
        self._edge = edge
        self._read_power_limits = read_power_limits
        self._snapshot = snapshot
        self._rule = rule
        self._on_trial_complete = on_trial_complete
        self._baselines = baselines
        self._level = level
        self._sleep = sleep
        self._began = time.monotonic()
        self._load: Callable[[], Ready] | None = None
        self._earlier: tuple[LoadedModel, ...] = ()
        self._prepared: Point | None = None
        self._done = self._total = 0
        self._windows_ahead, self._idles_ahead = 0, _SIDES * len(baselines)

    def run(
        self, workload: Workload, load: Callable[[], Ready], unload: Callable[[], object], points: Sequence[Point]
    ) -> None:
        """Measure the baselines and every point.

        `load` returns once the workload has loaded its model; `unload` ends the workload. Every point is tried before
        the first window of any, so that none fails after minutes; `on_trial_complete` is called then. Raises
        LostPointError if no point can be measured.
        """
        self._load = load
        self._windows_ahead = len(points) * self._phases * self._plan.repeats
        self._total = _OTHER_STEPS + self._idles_ahead + len(points) * self._phases + self._windows_ahead
        self._idle(IDLE_UNLOADED, BEFORE, "idle, before the model is loaded")
        self._step("loading the model")
        self.ready = load()
        self._add_load(self.ready.load_start_ns, self.ready.load_seconds)
        self._step("trying every point")
        points = self._tried(workload, points)
        self._on_trial_complete()
        self._idle(IDLE_LOADED, BEFORE, "idle, with the model loaded")
        if self._level is None:
            self._sweep(workload, self.ready, points)
        else:
            self._find_rate(workload, self.ready, points[0], self._level)
        self._idle(IDLE_LOADED, AFTER, "idle, with the model still loaded")
        self._step("ending the workload")
        unload()
        self._idle(IDLE_UNLOADED, AFTER, "idle, after the workload")
        self._progress.step(self._total, self._total, "done")

    def _tried(self, workload: Workload, points: Sequence[Point]) -> list[Point]:
        """Run every point once, and return those that can be measured."""
        fitting = []
        for point in points:
            try:
                self._prepare(workload, point)
            except LostPointError as error:
                self._lose(point, error, self._plan.repeats)
            else:
                fitting.append(point)
        if not fitting:
            raise next(iter(self.lost.values()))
        return fitting

    def _lose(self, point: Point, error: LostPointError, repeats: int) -> None:
        """Drop the remaining repeats of a point, and load the model again if the workload process is gone."""
        self.lost[encode_point(point)] = error
        self._prepared = None
        self._windows_ahead -= repeats * self._phases
        self._total -= (repeats + 1) * self._phases
        self._progress.note(f"warning: {point_name(point)} is left out: {error.message}")
        if error.ended and self._load is not None:
            self._earlier = tuple(self.models.values())
            self._load()

    def _add_load(self, start_ns: int, seconds: float) -> None:
        """Add the window in which a model was loaded, once for each model."""
        known = {window.start_ns for window in self.windows if window.phase == LOAD}
        if start_ns and self._timebase.unix_ns(start_ns) not in known:
            self._add_start(LOAD, start_ns, start_ns + round(seconds * 1e9))

    def _add_start(self, phase: str, start_ns: int, end_ns: int) -> None:
        """Add a window of the start of a workload; the times are on CLOCK_MONOTONIC."""
        number, unix_ns = sum(window.phase == phase for window in self.windows), self._timebase.unix_ns
        self._keep(Window(self._run_id, "", phase, number, unix_ns(start_ns), unix_ns(end_ns)))

    def sustainable_rate(self, point: Point) -> SustainableRate | None:
        """Return the result of the search so far, None before it; `point` is the one it began with."""
        if self._search is None:
            return None
        return self._search.result(lambda rate: point_name(at_rate(point, rate)))

    def _find_rate(self, workload: Workload, ready: Ready, point: Point, level: ServiceLevel) -> None:
        """Search the highest rate that meets the level, and measure the point of that rate."""
        plan, first_rate = self._plan, float(point.get("rate") or FIRST_RATE)

        def measure(rate: float, seconds: float) -> tuple[Sequence[LoadWindow], float]:
            self._prepare(workload, at_rate(point, rate))
            measured = workload.measure(ready.phases[0], seconds, 1)
            return () if measured.load is None else (measured.load,), seconds

        def confirm(rate: float, seconds: float) -> tuple[Sequence[LoadWindow], float]:
            chosen = at_rate(point, rate)
            self._total += plan.repeats + 1
            self._windows_ahead = plan.repeats
            self._plan = replace(plan, window_seconds=max(plan.window_seconds, seconds))
            self._sweep(workload, ready, [chosen])
            load = load_of([(window,) for window in self.windows if window.point == encode_point(chosen)])
            return (load.reports, load.seconds) if load else ((), seconds)

        def report(text: str) -> None:
            self._progress.step(self._done, None, text)

        self._total = self._done + 1 + len(self._baselines)
        self._search = RateSearch(level, first_rate, plan.window_seconds, measure, confirm, report)
        self._search.run()

    def _prepare(self, workload: Workload, point: Point) -> None:
        """Prepare a point, unless it is the last one that was prepared."""
        if point == self._prepared:
            return
        prepared = workload.prepare(point)
        self._prepared = point
        if not any(window.phase == FIRST_RUN for window in self.windows):
            self._add_start(FIRST_RUN, prepared.start_ns, prepared.end_ns)
        if prepared.model is not None:
            model = self.models[encode_point(point)] = first_load(prepared.model, self._earlier)
            self._add_load(model.load_start_ns, model.load_seconds)
        self.works[encode_point(point)] = prepared.work

    def _sweep(self, workload: Workload, ready: Ready, points: Sequence[Point]) -> None:
        """Repeat all points, each time in another random order: drift of the host then affects all of them alike."""
        remaining, repeat, asked = list(points), 0, self._plan.repeats
        while remaining:
            repeat += 1
            began = time.monotonic()
            for point in self._order.sample(remaining, len(remaining)):
                try:
                    self._measure_point(workload, ready, point, repeat)
                except LostPointError as error:
                    if remaining == [point]:
                        raise
                    self._lose(point, error, max(asked - repeat, 0) + 1)
                    remaining.remove(point)
            if repeat >= asked:
                remaining = self._unfinished(remaining, time.monotonic() - began)

    def _unfinished(self, points: Sequence[Point], block_seconds: float) -> list[Point]:
        """Return the points that need a further repeat; none if the budget allows no further one."""
        budget = self._plan.budget_seconds
        if self._rule is None:
            return []
        ahead = block_seconds + len(self._baselines) * (SETTLE_SECONDS + self._plan.idle_seconds)
        if budget is not None and time.monotonic() - self._began + ahead > budget:
            return []
        unfinished = self._rule.unfinished(self.windows, [encode_point(point) for point in points])
        still = [point for point in points if encode_point(point) in unfinished]
        self._total += len(still) * self._phases
        self._windows_ahead = len(still) * self._phases
        return still

    def _idle(self, phase: str, side: int, doing: str) -> None:
        if phase not in self._baselines:
            return
        self._step(doing)
        self._sleep(SETTLE_SECONDS)
        before = self._snapshot(None)
        self._approach()
        start_ns = self._timebase.now_ns()
        self._edge()
        rest(self._plan, self._rule, start_ns, self._timebase.now_ns, self._sleep)
        self._approach()
        end_ns = self._timebase.now_ns()
        self._edge()
        self._add(Window(self._run_id, "", phase, side, start_ns, end_ns), before, self._snapshot(before))

    def _measure_point(self, workload: Workload, ready: Ready, point: Point, repeat: int) -> None:
        """Measure every phase of a point once, after a warm-up; the first warm-up lasts until throughput is steady."""
        name, is_next = point_name(point), point != self._prepared
        self._prepare(workload, point)
        if repeat == 1:
            for phase in ready.phases:
                self._step(f"{name} {phase}: warming up")
                warm_up(workload, phase, self._plan)
        for phase in ready.phases:
            self._step(f"{name} {phase}: repeat {repeat} of {max(repeat, self._plan.repeats)}")
            if repeat > 1 and is_next and self._plan.warmup_seconds:
                workload.measure(phase, chunk_seconds(self._plan), 1)
            before = self._snapshot(None)
            self._approach()
            measured, limits = measure_window(workload, phase, self._plan, self._edge, self._read_power_limits)
            window = window_of(measured, self._run_id, point, repeat, self._timebase)
            self.power_limits[window_key(window)] = limits
            self._add(window, before, self._snapshot(before))

    def _add(self, window: Window, before: ActivitySnapshot, after: ActivitySnapshot) -> None:
        load = cpu_usage_between(before, after)
        if load is not None:
            self.loads[window_key(window)] = load
        if window.point:
            self._windows_ahead -= 1
        else:
            self._idles_ahead -= 1
        self._keep(window)

    def _keep(self, window: Window) -> None:
        self._save_window(window)
        self.windows.append(window)

    def _step(self, doing: str) -> None:
        idle = self._idles_ahead * (SETTLE_SECONDS + least_idle_seconds(self._plan))
        least = idle + self._windows_ahead * self._plan.window_seconds
        self._progress.step(self._done, self._total, doing, least)
        self._done += 1
