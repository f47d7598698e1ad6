"""Imports results: recognizes the tool, places its runs in time, reads the samples, stores the profile."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from agent.imports.build import build_document
from agent.imports.files import read_file
from agent.imports.records import ResultError, TimeRange
from agent.imports.registry import tool_of
from agent.imports.samples import await_samples, covering, host_named, stored_samples
from agent.imports.windows import PlacedRun, distinguished, windows_of
from agent.profiling.document.codec import to_json
from agent.profiling.run import run_id
from store.reader import Reader
from store.records import Profile, Run, RunStatus
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from agent.cost.tariff import Tariff
    from agent.imports.records import ToolRun
    from agent.runtime.clock import Timebase
    from store.damage import Damage
    from store.records import Host


MOST_RUNS = 500
"""More than the repeats and points of any sweep."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The files to import and the answers to what they do not contain.

    `host` is the name or the id of the host of the server, None for this one. `offset_ns` is added to the times of the
    results. `window` replaces them: the measured part of the only run lies within it.
    """

    files: Sequence[Path]
    host: str | None = None
    offset_ns: int = 0
    window: TimeRange | None = None
    tariff: Tariff | None = None


def import_results(
    request: ImportRequest, engine: Engine, own: Host, timebase: Timebase, report: Callable[[Damage], None]
) -> str:
    """Store the profile of the results and return it as JSON text. Raises ResultError and StoreError."""
    files = [read_file(path) for path in request.files]
    reader = Reader(engine, report)
    host = host_named(reader, request.host, own)
    tool = tool_of(files)
    runs = tool.runs(files, timebase.offset_ns if host.id == own.id else None)
    _check(runs)
    placed = [_placed(run, request) for run in distinguished(runs)]
    if request.window is not None and len(placed) > 1:
        raise ResultError(f"--window: the results have {len(placed)} runs, and a window is that of one: import one run")
    _check_apart(placed)
    spans = await_samples(lambda: reader.spans(host.id), placed, timebase.now_ns)
    recordings = covering(spans, placed)
    samples = stored_samples(reader, recordings, placed)
    newest = recordings[-1].recording
    created_ns, settings = timebase.now_ns(), _settings(request, tool.name)
    run = Run(
        run_id(),
        host.id,
        newest.id,
        tool.name,
        json.dumps(settings),
        RunStatus.COMPLETE,
        min(each.start.middle_ns for each in placed),
        max(each.latest_end_ns for each in placed),
    )
    windows = windows_of(placed, run.id)
    host = replace(host, boot_id=newest.boot_id)
    text = to_json(build_document(run, host, placed, windows, samples, request.tariff, created_ns))
    writer = Writer(engine)
    writer.save_run(run)
    for window in windows:
        writer.save_window(window)
    writer.save_profile(Profile(run.id, run.id, created_ns, tool.name, text))
    return text


def _check_apart(placed: Sequence[PlacedRun]) -> None:
    """Raise ResultError if two runs took place at the same time: the samples have the energy of both."""
    for one, other in combinations(placed, 2):
        if (one.start, one.run.duration_ns) == (other.start, other.run.duration_ns) or _overlap(one, other):
            raise ResultError(
                f"{other.run.file}: this run took place at the same time as that of {one.run.file}, "
                "and the samples have the energy of both: import each result once, without those of a second client"
            )


def _overlap(one: PlacedRun, other: PlacedRun) -> bool:
    """Return whether two runs overlapped whatever their true starts."""
    return all(
        first.start.latest_ns < second.earliest_ns + second.run.duration_ns
        for first, second in ((one, other), (other, one))
    )


def _check(runs: Sequence[ToolRun]) -> None:
    """Raise ResultError for too many runs, several models, a run without a success, or times in the wrong order."""
    if len(runs) > MOST_RUNS:
        raise ResultError(f"these are {len(runs)} runs: import at most {MOST_RUNS} at once")
    models = sorted({run.model for run in runs if run.model})
    if len(models) > 1:
        raise ResultError(f"these are results of several models ({', '.join(models)[:200]}): import each on its own")
    for run in runs:
        for request in run.requests:
            times = (request.sent_ns, request.first_ns, request.last_ns, request.end_ns)
            known = [each for each in times if each is not None]
            if known != sorted(known):
                remedy = "its clock was set meanwhile: run the load again"
                raise ResultError(f"{run.file}: the times of a request are in the wrong order; {remedy}")
        succeeded = run.repetitions or (run.totals.completed if run.totals else any(each.ok for each in run.requests))
        if not succeeded:
            raise ResultError(f"{run.file}: no request succeeded, so there is nothing to divide the energy by")


def _placed(run: ToolRun, request: ImportRequest) -> PlacedRun:
    """Return a run with its time. Raises ResultError if it has none, or the window is too short for it."""
    window = request.window
    if window is None:
        if run.start is None:
            raise ResultError(f"{run.file}: it has no time at which the run began: give --window START/END")
        return PlacedRun(run, run.start.shifted(request.offset_ns))
    latest_ns = window.latest_ns - run.duration_ns
    if latest_ns < window.earliest_ns:
        seconds = (window.latest_ns - window.earliest_ns) / 1e9
        raise ResultError(
            f"--window: it is {seconds:.3g} s long, and the run took {run.duration_ns / 1e9:.3g} s: give a longer one"
        )
    return PlacedRun(run, TimeRange(window.earliest_ns, latest_ns).shifted(request.offset_ns))


def _settings(request: ImportRequest, tool: str) -> dict[str, object]:
    """Return the request as plain values; the paths of the files are not stored."""
    return {
        "workload": tool,
        "files": [path.name for path in request.files],
        "host": request.host,
        "offset_seconds": request.offset_ns / 1e9,
        "window_ns": None if request.window is None else [request.window.earliest_ns, request.window.latest_ns],
    }
