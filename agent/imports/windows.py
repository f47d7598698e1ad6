"""Makes the windows of a run from the runs of a tool; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from msgspec import structs

from agent.imports.records import SERVING
from agent.runtime.typed_json import to_json
from agent.workloads.load_records import OK, LoadWindow
from agent.workloads.point import encode_point
from store.records import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.imports.records import TimeRange, ToolRun
    from agent.workloads.load_records import RequestRecord

MOST_OUTCOMES = 20
"""The number of kinds of errors that are counted one by one."""
_OTHER = "other"
MAX_LENGTH_DIFFERENCE = 0.05
"""The relative difference of the mean token counts from which two runs of the same load are different points."""


@dataclass(frozen=True, slots=True)
class PlacedRun:
    """A run of a tool with the time at which its measured part can have started on the clock of the samples."""

    run: ToolRun
    start: TimeRange

    @property
    def earliest_ns(self) -> int:
        """The earliest start."""
        return self.start.earliest_ns

    @property
    def latest_end_ns(self) -> int:
        """The latest end."""
        return self.start.latest_ns + self.run.duration_ns


def windows_of(placed: Sequence[PlacedRun], run_id: str) -> tuple[Window, ...]:
    """Return one window for each run; runs of the same load are repeats of one point."""
    repeats = Counter[str]()
    found = []
    for each in placed:
        point = encode_point(each.run.parameters)
        repeats[point] += 1
        found.append(_window(each, run_id, point, repeats[point]))
    return tuple(found)


def distinguished(runs: Sequence[ToolRun]) -> list[ToolRun]:
    """Return runs whose parameters include the mean numbers of tokens if those of the same load differ."""
    found = []
    for run in runs:
        alike = [each for each in runs if each.parameters == run.parameters]
        own, lengths = run.parameters, _lengths(run)
        if run.phase == SERVING and (not own or any(_differ(_lengths(each), lengths) for each in alike)):
            names = ("prompt_tokens", "output_tokens")
            counts = {name: round(length) for name, length in zip(names, lengths, strict=True) if name not in own}
            own = {**own, **counts}
        found.append(replace(run, parameters=own))
    return found


def _differ(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return any(abs(a - b) > MAX_LENGTH_DIFFERENCE * max(a, b) for a, b in zip(one, other, strict=True))


def _lengths(run: ToolRun) -> tuple[float, float]:
    """Return the mean numbers of input and output tokens of a successful request."""
    good = [request for request in run.requests if request.ok]
    if good:
        return fmean(each.input_tokens or 0 for each in good), fmean(each.output_tokens or 0 for each in good)
    completed = run.totals.completed if run.totals else len(run.repetitions)
    return (run.input_tokens / completed, run.output_tokens / completed) if completed else (0.0, 0.0)


def _window(placed: PlacedRun, run_id: str, point: str, repeat: int) -> Window:
    run, start_ns = placed.run, placed.start.middle_ns
    window = Window(run_id, point, run.phase, repeat, start_ns, start_ns + run.duration_ns)
    if run.repetitions:
        count = len(run.repetitions)
        return replace(
            window,
            iterations=count,
            inferences=count,
            input_tokens=run.input_tokens,
            output_tokens=run.output_tokens,
            latencies_seconds=run.repetitions,
        )
    load = LoadWindow(
        arrivals=run.arrivals,
        requests=_with_few_outcomes(run.requests),
        in_flight_start=_under_way(run.requests, 0),
        in_flight_end=_under_way(run.requests, run.duration_ns + 1) + run.in_flight_end,
        token_source="tool",  # noqa: S106  no password
        timeout_seconds=0.0,
        client=None,
        totals=run.totals,
    )
    window = replace(window, load=to_json(load, separators=(",", ":")), step_seconds=run.steps)
    if run.totals:
        completed = run.totals.completed
        return replace(
            window,
            iterations=run.totals.requests,
            inferences=completed,
            input_tokens=run.input_tokens,
            output_tokens=run.output_tokens,
            requests_in_window=float(completed),
        )
    good = [request for request in run.requests if request.ok]
    return replace(
        window,
        iterations=len(run.requests),
        inferences=len(good),
        input_tokens=sum(each.input_tokens or 0 for each in good if 0 <= _arrival(each) <= run.duration_ns),
        output_tokens=round(sum((each.output_tokens or 0) * _output_share(each, run.duration_ns) for each in good)),
        requests_in_window=sum(_time_share(each, run.duration_ns) for each in good),
    )


def _with_few_outcomes(requests: tuple[RequestRecord, ...]) -> tuple[RequestRecord, ...]:
    """Return requests with the most frequent outcomes, and `other` in place of the rest."""
    found = Counter(each.outcome for each in requests)
    if len(found) <= MOST_OUTCOMES:
        return requests
    named = {name for name, _ in found.most_common(MOST_OUTCOMES - 1)} | {OK}
    return tuple(each if each.outcome in named else structs.replace(each, outcome=_OTHER) for each in requests)


def _under_way(requests: Iterable[RequestRecord], at_ns: int) -> int:
    return sum(each.sent_ns < at_ns <= each.end_ns for each in requests)


def _arrival(request: RequestRecord) -> int:
    """Return the time of the first output, at which the input is done."""
    return request.end_ns if request.first_ns is None else request.first_ns


def _time_share(request: RequestRecord, length_ns: int) -> float:
    """Return the part of a request's time that lies within the window."""
    return _share(request.sent_ns, request.end_ns, length_ns)


def _output_share(request: RequestRecord, length_ns: int) -> float:
    """Return the part of the output within the window, as if it had come at an even rate."""
    if request.first_ns is None or request.last_ns is None:
        return float(0 <= request.end_ns <= length_ns)
    return _share(request.first_ns, request.last_ns, length_ns)


def _share(first_ns: int, last_ns: int, length_ns: int) -> float:
    if last_ns <= first_ns:
        return float(0 <= first_ns <= length_ns)
    return max(0, min(last_ns, length_ns) - max(first_ns, 0)) / (last_ns - first_ns)
