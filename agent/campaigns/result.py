"""The result of a campaign's run as frozen records, which `--json` prints. Units are in the names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.comparison.regression import Drift  # noqa: TC001  msgspec resolves the annotations
from agent.cost.interval import Interval
from agent.profiling.analysis.statistics import summarize
from agent.render.figures import best_point
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.campaigns.events import Checked, RunState, TaskState

_Json = dict[str, Any]
_RUNS_FOR_INTERVAL = 3


class HostResult(msgspec.Struct, frozen=True):
    """A host: `verified`, `refused` with its problems, or `waiting`; its clock differs by at most `clock_seconds`."""

    host: str
    status: Literal["verified", "refused", "waiting"]
    version: str | None
    energy: str | None
    clock_seconds: float | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class TaskResult(msgspec.Struct, frozen=True):
    """A profile of the run; `reason` is that of a failed one, and a `fetched` one is not stored by the head yet."""

    uid: str
    host: str
    workload: str
    repetition: int
    status: Literal["waiting", "running", "fetched", "done", "failed"]
    stored: bool
    reason: str


class Figures(msgspec.Struct, frozen=True):
    """The figures of a workload on a host at its best point: means of `done` profiles of `planned`.

    An interval is that between three profiles or more; fewer have none.
    """

    host: str
    workload: str
    planned: int
    done: int
    point: str | None = None
    inferences_per_second: Interval | None = None
    output_tokens_per_second: Interval | None = None
    joules_per_inference: Interval | None = None
    joules_per_output_token: Interval | None = None
    energy_source: str | None = None


class CampaignResult(msgspec.Struct, frozen=True):
    """The result of a run. `drift` is None if none is looked for, `accepted` the run that it is compared with."""

    campaign: str
    run: str
    status: Literal["running", "finished", "unfinished"]
    hosts: tuple[HostResult, ...]
    profiles: tuple[TaskResult, ...]
    figures: tuple[Figures, ...]
    accepted: str | None = None
    drift: Drift | None = None

    @property
    def has_failures(self) -> bool:
        """Whether the head lacks a profile, for example of a refused host, or cannot test something for drift."""
        untested = self.drift is not None and bool(self.drift.untested)
        return untested or any(each.status != "done" for each in self.profiles)


def result_of(
    campaign: str,
    state: RunState,
    document: Callable[[str], _Json | None],
    *,
    running: bool,
    accepted: str | None = None,
    drift: Drift | None = None,
) -> CampaignResult:
    """Return the result of a run; `document` returns the stored profile of an id."""
    return CampaignResult(
        campaign=campaign,
        run=state.begun.run,
        status="running" if running else "finished" if state.finished else "unfinished",
        hosts=tuple(_host(name, state.hosts.get(name)) for name in state.begun.hosts),
        profiles=tuple(_task(each, state) for each in state.tasks.values()),
        figures=tuple(_figures(state, document)),
        accepted=accepted,
        drift=drift,
    )


def _host(name: str, checked: Checked | None) -> HostResult:
    if checked is None:
        return HostResult(name, "waiting", None, None, None, (), ())
    facts, clock = checked.facts, checked.clock
    return HostResult(
        host=name,
        status="refused" if checked.problems else "verified",
        version=facts.version if facts else None,
        energy=facts.energy if facts else None,
        clock_seconds=max(map(abs, clock)) if clock else None,
        problems=checked.problems,
        notes=checked.notes,
    )


def _task(task: TaskState, state: RunState) -> TaskResult:
    planned = task.planned
    return TaskResult(
        uid=planned.uid,
        host=planned.host,
        workload=state.begun.workloads[planned.workload],
        repetition=planned.repetition,
        status=task.status,
        stored=task.stored,
        reason=task.ended.reason if task.ended else "",
    )


def _figures(state: RunState, document: Callable[[str], _Json | None]) -> Iterable[Figures]:
    """Yield the figures of each host and workload, in the order of the file."""
    groups: dict[tuple[str, int], list[TaskState]] = {}
    for task in state.tasks.values():
        groups.setdefault((task.planned.host, task.planned.workload), []).append(task)
    for (host, workload), tasks in groups.items():
        found = [each for task in tasks if (each := document(task.planned.uid)) is not None]
        done = sum(task.status == "done" for task in tasks)
        yield _group(host, state.begun.workloads[workload], len(tasks), done, found)


def _group(host: str, workload: str, planned: int, done: int, documents: Sequence[_Json]) -> Figures:
    best = best_point(documents[-1]["points"]) if documents else None
    if best is None:
        return Figures(host, workload, planned, done)
    points = [point for each in documents for point in each["points"] if point["name"] == best["name"]]
    energies = [point["energy"] for point in points]
    return Figures(
        host=host,
        workload=workload,
        planned=planned,
        done=done,
        point=one_line(best["name"]),
        inferences_per_second=_mean([point["inferences_per_second"] for point in points]),
        output_tokens_per_second=_mean([point["output_tokens_per_second"] for point in points]),
        joules_per_inference=_mean([each and each["joules_per_inference"]["total"] for each in energies]),
        joules_per_output_token=_mean([each and each["joules_per_output_token"] for each in energies]),
        energy_source=documents[-1]["coverage"]["source"],
    )


def _mean(values: Sequence[_Json | None]) -> Interval | None:
    """Return the mean of the values of several profiles, None if one of them has none."""
    means = [value["mean"] for value in values if value is not None]
    if not means or len(means) < len(values):
        return None
    summary = summarize(means)
    if summary.lower is None or len(means) < _RUNS_FOR_INTERVAL:
        return Interval(summary.mean)
    return Interval(summary.mean, max(0.0, summary.lower), summary.upper)
