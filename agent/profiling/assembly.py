"""Puts a profile together from what a run has left: its windows, its samples, and what surrounded it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agent.profiling.circumstances import CONDITIONS, Circumstances
from agent.profiling.derive import derive_points
from agent.profiling.document import coverage_facts, device_facts
from agent.profiling.facts import EffortFacts, SamplerFacts
from agent.profiling.figures import Sensors
from agent.profiling.idle import derive_baselines, derive_drift
from agent.profiling.profile import SCHEMA_VERSION, Document, EngineFacts, WorkloadFacts
from agent.profiling.so_far import AROUND_NS
from agent.workloads.given_inputs import synthetic_note
from probes.model import ENERGETIC, Source
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.profiling.job import Job, Recorded, Scene
    from agent.profiling.profile import Point
    from agent.profiling.recording import Recording
    from probes.model import Channel
    from store.records import Series


def asked_for(job: Job) -> dict[str, Any]:
    """Return everything that was asked for of workload and engine, as plain values."""
    return {**job.spec.settings(), "batches": ",".join(map(str, job.batches)), **asdict(job.engine)}


def sampler_facts(at_work: Recording) -> SamplerFacts:
    """Return what the threads that read the sensors had, and which of their beats they did not keep."""
    had, states = at_work.realtime, at_work.sampler.states
    missed, late = sum(state.missed for state in states), sum(state.late for state in states)
    return SamplerFacts(had.policy, had.priority, had.cpu, had.reason, missed, late)


def assemble(job: Job, scene: Scene, recorded: Recorded, created_ns: int) -> Document | None:
    """Derive the profile, dated as it is stored; None where no repeat was complete."""
    ready, windows = recorded.ready, recorded.windows
    if ready is None or not any(window.point for window in windows):
        return None
    found = _samples(scene, recorded)
    energetic = (each for each in found if each.channel.metric in ENERGETIC)
    sensors = Sensors.of(energetic, recorded.beat_seconds, scene.channels)
    points = derive_points(windows, sensors, job.tariff, _circumstances(job, recorded, scene.channels, found))
    in_order = [f"batch={batch}" for batch in job.batches]
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=recorded.run.id,
        created=datetime.fromtimestamp(created_ns // 10**9, UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=recorded.run.status,
        effort=EffortFacts(**asdict(job.effort), order_seed=job.order_seed),
        host=scene.host,
        engine=EngineFacts(ready.engine, ready.version, ready.provider, ready.threads),
        workload=WorkloadFacts(
            job.spec.workload,
            asked_for(job),
            ready.precision,
            ready.parameters,
            ready.model_bytes,
            ready.sha256,
            ready.inputs,
        ),
        devices=device_facts(scene.channels, sensors.coverage),
        coverage=coverage_facts(sensors.coverage),
        surroundings=recorded.surroundings,
        sampler=recorded.sampler,
        baselines=derive_baselines(windows, sensors),
        idle_drift=derive_drift(windows, sensors),
        points=tuple(sorted(points, key=lambda point: in_order.index(point.name))),
        tariff=job.tariff,
        notes=(*_notes(job, recorded, sensors, points), *scene.warnings),
    )


def _samples(scene: Scene, recorded: Recorded) -> tuple[Series, ...]:
    start_ns = min(window.start_ns for window in recorded.windows) - AROUND_NS
    end_ns = max(window.end_ns for window in recorded.windows) + AROUND_NS
    return scene.series(start_ns, end_ns, ENERGETIC | CONDITIONS)


def _circumstances(
    job: Job, recorded: Recorded, channels: Iterable[Channel], found: tuple[Series, ...]
) -> Circumstances:
    measuring = {c.device.id for c in channels if c.metric in ENERGETIC and c.source is Source.MEASURED}
    heard = {each.channel.device.id for each in found if each.channel.metric in ENERGETIC and each.times_ns}
    return Circumstances(
        loads=recorded.loads,
        series=tuple(each for each in found if each.channel.metric in CONDITIONS),
        start=recorded.surroundings.start,
        end=recorded.surroundings.end,
        silent=tuple(sorted(measuring - heard)),
        effort=job.effort.name,
        tolerance=job.effort.tolerance,
    )


def _notes(job: Job, recorded: Recorded, sensors: Sensors, points: Iterable[Point]) -> tuple[str, ...]:
    notes = []
    if recorded.run.status is RunStatus.INTERRUPTED:
        notes.append("the run was interrupted: points and repeats that were not complete by then are missing")
    if recorded.failure:
        notes.append(f"the run failed, and points and repeats after that are missing: {recorded.failure.message}")
    if not sensors.coverage.includes:
        notes.append("nothing on this host measures power and no model was allowed: there is time, and no energy")
    if recorded.ready and (note := synthetic_note(recorded.ready.inputs)):
        notes.append(note)
    if job.effort.name == "quick":
        notes.append("quick mode: short windows and few repeats, so the intervals are wide")
    if job.effort.tolerance is not None:
        notes.append(_tolerance(job.effort.tolerance, [point.name for point in points if not point.precision.met]))
    return tuple(notes)


def _tolerance(tolerance: float, missed: list[str]) -> str:
    asked = f"the tolerance of ±{tolerance * 100:g}%"
    if not missed:
        return f"{asked} was met by every point"
    return f"{asked} was not met in time by {', '.join(missed)}: findings say what it takes, --budget gives more time"
