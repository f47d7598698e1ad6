"""Builds the profile document of a run from its windows, its samples and its environment."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from agent.host.records import RunEnvironment
from agent.profiling.analysis.idle import derive_baselines, derive_drift
from agent.profiling.analysis.layer_checks import check_layers
from agent.profiling.analysis.meters import ambient, meter_facts
from agent.profiling.analysis.startup import derive_startup, with_models
from agent.profiling.document.codec import coverage_facts, device_facts, host_facts
from agent.profiling.points import analyze
from agent.profiling.records import SCHEMA_VERSION, Document
from agent.profiling.run_facts import EngineFacts, PlanFacts, WorkloadFacts
from agent.profiling.service import model_name, server_notes
from agent.profiling.tolerance_notes import tolerance_notes
from agent.profiling.work import with_work
from agent.workloads.input_spec import synthetic_note
from agent.workloads.parameter import settings_of
from agent.workloads.point import decode_point, point_name
from probes.model import ENERGY_METRICS, Source
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.profiling.analysis.metrics import Sensors
    from agent.profiling.context import ProfileRequest, RunContext, RunRecord
    from agent.profiling.records import Point
    from agent.profiling.run_samples import RunSamples
    from agent.workloads.point import Value
    from probes.model import Channel


def requested_settings(request: ProfileRequest) -> dict[str, Any]:
    """Return the requested settings of workload, sweep and engine, as plain values."""
    return {**_settings(request), "sweep": _sweep(request)}


def _settings(request: ProfileRequest) -> dict[str, Any]:
    """Return the requested settings of workload and engine, as plain values, without the swept parameters."""
    fixed = {name: value for name, value in settings_of(request.spec).items() if name not in request.axes}
    return {**fixed, "workload": request.spec.workload, **msgspec.structs.asdict(request.engine)}


def _sweep(request: ProfileRequest) -> dict[str, list[Value]]:
    return {name: list(values) for name, values in request.axes.items()}


def _plan(request: ProfileRequest) -> PlanFacts:
    plan = request.plan
    return PlanFacts(
        mode=plan.name,
        idle_seconds=plan.idle_seconds,
        warmup_seconds=plan.warmup_seconds,
        repeats=plan.repeats,
        window_seconds=plan.window_seconds,
        min_iterations=plan.iterations,
        tolerance=plan.tolerance,
        budget_seconds=plan.budget_seconds,
        equivalence=plan.equivalence,
        limiting_sensor=plan.limiting_sensor,
        sweep=_sweep(request),
        order_seed=request.order_seed,
    )


def build_document(
    request: ProfileRequest, context: RunContext, record: RunRecord, samples: RunSamples, created_ns: int
) -> Document | None:
    """Return the profile from the samples of the run, dated by its storage; None without a complete repeat."""
    ready, windows = record.ready, record.windows
    if ready is None or not any(window.point for window in windows):
        return None
    sensors = samples.sensors
    environment = _run_environment(request, record, context.channels, samples)
    points = analyze(windows, sensors, request.tariff, environment, request.level)
    points = with_models(points, record.models, windows, sensors, context.timebase)
    points = with_work(points, record.works, windows, request.plan.tolerance)
    different = any(point.model for point in points)
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=record.run.id,
        created=datetime.fromtimestamp(created_ns // 10**9, UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=record.run.status,
        plan=_plan(request),
        host=host_facts(context.host),
        engine=EngineFacts(
            ready.engine,
            ready.version,
            ready.provider,
            ready.threads or None,
            ready.device,
            ready.cpu_operator_share,
            ready.cpus if context.server is None else None,
        ),
        workload=WorkloadFacts(
            request.spec.workload,
            {**_settings(request), **ready.chosen, **({"model": model_name(ready.model)} if ready.model else {})},
            None if different or _has_several_types(request) else ready.precision,
            ready.parameters,
            None if different else ready.model_bytes,
            ready.sha256,
            ready.inputs,
            None if different else ready.computes_in,
        ),
        devices=device_facts(context.channels, sensors.coverage),
        coverage=coverage_facts(sensors.coverage, context.channels),
        host_state=record.host_state,
        sampler=record.sampler,
        baselines=derive_baselines(windows, sensors),
        idle_drift=derive_drift(windows, sensors),
        points=tuple(sorted(points, key=lambda point: _position(request, point))),
        tariff=request.tariff,
        notes=(*_notes(request, context, record, sensors, points), *context.warnings),
        sustainable_rate=record.sustainable_rate,
        startup=derive_startup(windows, sensors),
        cross_checks=check_layers(windows, sensors),
        meters=meter_facts(context.channels),
        ambient=ambient(request.ambient_celsius, request.ambient_sensor, samples.conditions),
    )


def _has_several_types(request: ProfileRequest) -> bool:
    """Return whether the points of a sweep compute in different types."""
    return any(len(request.axes.get(name, ())) > 1 for name in ("precision", "dtype"))


def _position(request: ProfileRequest, point: Point) -> int:
    """Return the place of a point in the document; those that a search chose come last, in the order of their run."""
    return request.points.index(point.parameters) if point.parameters in request.points else len(request.points)


def _run_environment(
    request: ProfileRequest, record: RunRecord, channels: Iterable[Channel], samples: RunSamples
) -> RunEnvironment:
    measuring = {c.device.id for c in channels if c.metric in ENERGY_METRICS and c.source is Source.MEASURED}
    return RunEnvironment(
        loads=record.loads,
        series=samples.conditions,
        start=record.host_state.before,
        end=record.host_state.after,
        silent=tuple(sorted(measuring - samples.reporting)),
        mode=request.plan.name,
        tolerance=request.plan.tolerance,
        faults=record.sampler.faults if record.sampler else (),
        equivalent={point: point_name(decode_point(best)) for point, best in record.equivalent.items()},
        power_limits=record.power_limits,
    )


def _notes(
    request: ProfileRequest, context: RunContext, record: RunRecord, sensors: Sensors, points: Sequence[Point]
) -> tuple[str, ...]:
    notes = []
    if record.run.status is RunStatus.INTERRUPTED:
        notes.append("the run was interrupted: points and repeats that were not complete by then are missing")
    if record.failure:
        notes.append(f"the run failed, and points and repeats after that are missing: {record.failure.message}")
    notes += getattr(request.spec, "notes", ())
    notes += [f"{name} is left out: {error.message}" for name, error in record.lost.items()]
    if context.server is not None:
        notes += server_notes(context.server, request, record.windows, context.remote)
    if not sensors.coverage.includes and not context.is_elsewhere:
        notes.append("nothing on this host measures power, and no estimate was allowed: latency and throughput only")
    if record.ready and (note := synthetic_note(record.ready.inputs)):
        notes.append(note)
    if request.plan.name == "quick":
        notes.append("quick mode: short windows and few repeats, so the intervals are wide")
    notes += tolerance_notes(request.plan, points)
    return tuple(notes)
