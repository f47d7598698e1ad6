"""Builds the profile document of a run from its windows, its samples and its environment."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agent.host.records import CONDITIONS, Circumstances
from agent.profiling.analysis.idle import derive_baselines, derive_drift
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.document.codec import coverage_facts, device_facts, host_facts
from agent.profiling.points import derive_points
from agent.profiling.records import SCHEMA_VERSION, Document, EngineFacts, WorkloadFacts
from agent.profiling.run_facts import PlanFacts
from agent.profiling.stopping import AROUND_NS
from agent.workloads.given_inputs import synthetic_note
from probes.model import ENERGETIC, Source
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.profiling.context import Job, Recorded, Scene
    from agent.profiling.records import Point
    from probes.model import Channel
    from store.records import Series


def asked_for(job: Job) -> dict[str, Any]:
    """Return the requested settings of workload, sweep and engine, as plain values."""
    return {**_settings(job), "batches": ",".join(map(str, job.batches))}


def _settings(job: Job) -> dict[str, Any]:
    """Return the requested settings of workload and engine, as plain values."""
    return {**job.spec.settings(), **asdict(job.engine)}


def _plan(job: Job) -> PlanFacts:
    effort = job.effort
    return PlanFacts(
        mode=effort.name,
        idle_seconds=effort.idle_seconds,
        warmup_seconds=effort.warmup_seconds,
        repeats=effort.repeats,
        window_seconds=effort.window_seconds,
        min_iterations=effort.iterations,
        tolerance=effort.tolerance,
        budget_seconds=effort.budget_seconds,
        limiting_sensor=effort.limiting_sensor,
        sweep={"batch": list(job.batches)},
        order_seed=job.order_seed,
    )


def assemble(job: Job, scene: Scene, recorded: Recorded, found: tuple[Series, ...], created_ns: int) -> Document | None:
    """Derive the profile from the samples `found`, dated as it is stored; None where no repeat was complete."""
    ready, windows = recorded.ready, recorded.windows
    if ready is None or not any(window.point for window in windows):
        return None
    energetic = (each for each in found if each.channel.metric in ENERGETIC)
    sensors = Sensors.of(energetic, recorded.beat_seconds, scene.channels)
    points = derive_points(windows, sensors, job.tariff, _circumstances(job, recorded, scene.channels, found))
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=recorded.run.id,
        created=datetime.fromtimestamp(created_ns // 10**9, UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=recorded.run.status,
        plan=_plan(job),
        host=host_facts(scene.host),
        engine=EngineFacts(ready.engine, ready.version, ready.provider, ready.threads or None),
        workload=WorkloadFacts(
            job.spec.workload,
            _settings(job),
            ready.precision,
            ready.parameters,
            ready.model_bytes,
            ready.sha256,
            ready.inputs,
        ),
        devices=device_facts(scene.channels, sensors.coverage),
        coverage=coverage_facts(sensors.coverage),
        host_state=recorded.host_state,
        sampler=recorded.sampler,
        baselines=derive_baselines(windows, sensors),
        idle_drift=derive_drift(windows, sensors),
        points=tuple(sorted(points, key=lambda point: job.batches.index(int(point.parameters["batch"])))),
        tariff=job.tariff,
        notes=(*_notes(job, recorded, sensors, points), *scene.warnings),
    )


def samples(scene: Scene, recorded: Recorded) -> tuple[Series, ...]:
    """Return the samples of a run, none if it has no window. Raises StoreError."""
    if not recorded.windows:
        return ()
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
        start=recorded.host_state.before,
        end=recorded.host_state.after,
        silent=tuple(sorted(measuring - heard)),
        effort=job.effort.name,
        tolerance=job.effort.tolerance,
        faults=recorded.sampler.faults if recorded.sampler else (),
    )


def _notes(job: Job, recorded: Recorded, sensors: Sensors, points: Iterable[Point]) -> tuple[str, ...]:
    notes = []
    if recorded.run.status is RunStatus.INTERRUPTED:
        notes.append("the run was interrupted: points and repeats that were not complete by then are missing")
    if recorded.failure:
        notes.append(f"the run failed, and points and repeats after that are missing: {recorded.failure.message}")
    if not sensors.coverage.includes:
        notes.append("nothing on this host measures power, and no estimate was allowed: latency and throughput only")
    if recorded.ready and (note := synthetic_note(recorded.ready.inputs)):
        notes.append(note)
    if job.effort.name == "quick":
        notes.append("quick mode: short windows and few repeats, so the intervals are wide")
    if job.effort.tolerance is not None:
        notes.append(
            _tolerance(job.effort.tolerance, [point.name for point in points if not point.convergence.converged])
        )
    return tuple(notes)


def _tolerance(tolerance: float, missed: list[str]) -> str:
    asked = f"the tolerance of ±{tolerance * 100:g}%"
    if not missed:
        return f"{asked} was met by every point"
    missing = f"{asked} was not met in time by {', '.join(missed)}"
    return f"{missing}: the checks report the repeats needed, --budget allows more time"
