"""The main job: sensors, store, workload and derivation brought together for one run."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agent.clock import Timebase
from agent.host import describe_host
from agent.preflight import Verdict, look_around
from agent.profiling.derive import derive_baselines, derive_points
from agent.profiling.document import coverage_facts, device_facts, to_json
from agent.profiling.energy import ENERGETIC
from agent.profiling.figures import Sensors
from agent.profiling.profile import SCHEMA_VERSION, Document, EffortFacts, EngineFacts, WorkloadFacts
from agent.profiling.recording import close_probes, recording
from agent.profiling.session import Session, planned_seconds
from agent.workloads.errors import WorkloadError
from agent.workloads.process import WorkloadProcess
from probes.registry import discover
from store.address import display
from store.database import open_database
from store.reader import Reader
from store.records import Profile, Run, RunStatus
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from agent.config import Config
    from agent.cost.tariff import Tariff
    from agent.interruption import Interruption
    from agent.preflight import Check
    from agent.profiling.session import Effort, Progress
    from agent.workloads.protocol import Ready
    from agent.workloads.spec import EngineSpec, Spec
    from probes.model import Channel
    from probes.registry import Discovery
    from store.records import Host, Layout, Window

_AROUND_NS = 5_000_000_000
"""Samples are read back from so long before the first window to so long after the last."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be profiled, how thoroughly, and under which prices."""

    spec: Spec
    engine: EngineSpec
    batches: tuple[int, ...]
    effort: Effort
    tariff: Tariff | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end: the profile as text and parsed, None if no repeat was complete, and where it is stored.

    `failure` is what ended the workload on its way, None if nothing did.
    """

    text: str
    document: dict[str, Any] | None
    database: str
    interrupted: bool = False
    failure: WorkloadError | None = None


class RefusedError(WorkloadError):
    """What was asked for cannot be run on this host, as trying it showed; nothing was measured."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where a run takes place: the host, what it can be asked, what disturbs there, and where everything is kept."""

    host: Host
    discovery: Discovery
    layouts: tuple[Layout, ...]
    warnings: tuple[str, ...]
    timebase: Timebase
    engine: Engine
    writer: Writer

    @property
    def channels(self) -> list[Channel]:
        """Everything the host can be asked."""
        return [channel for probe in self.discovery.probes for channel in probe.channels]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is left of a run: its record as it ended, what the workload said of itself, and its whole windows."""

    run: Run
    ready: Ready | None
    windows: tuple[Window, ...]
    beat_seconds: float
    failure: WorkloadError | None


def run(job: Job, config: Config, progress: Progress, interruption: Interruption) -> Outcome:
    """Look at the host, try the model, run the job, store the run and its profile, and return it.

    An interruption, or a workload that fails on its way, leaves what is complete in a profile that says so. Raises
    RefusedError if the model cannot be run, StoreError if the database cannot be used.
    """
    with ExitStack() as stack:
        progress.step(0, None, "looking at this host")
        engine = open_database(config.database)
        stack.callback(engine.dispose)
        discovery = discover(config.roots, estimates=config.estimates)
        stack.callback(close_probes, discovery)
        scene, stored_in = _set_up(config, engine, discovery), display(engine.url)
        for warning in scene.warnings:
            progress.note(f"warning: {warning}")
        if scene.warnings:
            progress.note("`inferometer doctor` says what can be done about that")
        try:
            with interruption.stoppable():
                phases = _tried(job, progress)
        except KeyboardInterrupt:
            return Outcome("", None, stored_in, interrupted=True)
        seconds = planned_seconds(job.effort, len(job.batches) * len(phases))
        progress.note(f"the run takes {_duration(seconds)} at least; Ctrl-C keeps what is complete")
        recorded = _record(job, scene, phases, progress, interruption)
        interrupted = recorded.run.status is RunStatus.INTERRUPTED
        document = _document(job, scene, recorded)
        if document is None:
            return Outcome("", None, stored_in, interrupted, recorded.failure)
        text = to_json(document)
        scene.writer.save_profile(
            Profile(recorded.run.id, recorded.run.id, scene.timebase.now_ns(), job.spec.workload, text)
        )
        return Outcome(text, json.loads(text), stored_in, interrupted, recorded.failure)


def _set_up(config: Config, engine: Engine, discovery: Discovery) -> _Scene:
    """Describe the host and open a recording; a database that cannot be written is found out here."""
    host, writer, timebase = describe_host(config.roots), Writer(engine), Timebase.now()
    probes = [(probe.name, probe.channels) for probe in discovery.probes]
    layouts = writer.register(host, probes, "profile", timebase.now_ns())
    checks = look_around(config.roots, discovery, config.database, virtual=host.virtual)
    return _Scene(host, discovery, layouts, _warnings(checks, discovery), timebase, engine, writer)


def _warnings(checks: Sequence[Check], discovery: Discovery) -> tuple[str, ...]:
    disturbing = (f"{check.name}: {check.found}" for check in checks if check.verdict is not Verdict.PASS)
    return (*disturbing, *(f"could not be read: {each.subject}: {each.reason}" for each in discovery.problems))


def _tried(job: Job, progress: Progress) -> tuple[str, ...]:
    """Load the model and run every batch once, so that nothing fails after minutes; return the model's phases."""
    progress.step(0, None, "trying the model")
    try:
        with WorkloadProcess() as process:
            ready = process.start(job.spec, job.engine)
            for batch in job.batches:
                process.prepare(batch)
    except WorkloadError as error:
        raise RefusedError(error.message, error.remedy) from error
    return ready.phases


def _record(
    job: Job, scene: _Scene, phases: tuple[str, ...], progress: Progress, interruption: Interruption
) -> _Recorded:
    """Run the workload under the eyes of the sensors, until its end, its failure or an interruption."""
    writer = scene.writer
    ongoing = Run(
        id=_run_id(),
        host_id=scene.host.id,
        recording=writer.recording,
        workload=job.spec.workload,
        settings=json.dumps(_settings(job)),
        status=RunStatus.RUNNING,
        started_ns=scene.timebase.now_ns(),
    )
    writer.save_run(ongoing)
    points = len(job.batches)
    session = Session(
        ongoing.id, job.effort, scene.timebase, writer.save_window, progress, points=points, phases=len(phases)
    )
    status, failure = RunStatus.FAILED, None
    try:
        with recording(scene.layouts, scene.discovery.probes, scene.timebase, writer.append) as at_work:
            try:
                with interruption.stoppable(), WorkloadProcess() as process:
                    at_work.wait_for_first_ticks()
                    session.run(process, lambda: process.start(job.spec, job.engine), job.batches)
                status = RunStatus.COMPLETE
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
            except WorkloadError as error:
                failure = error
            if session.windows:
                at_work.wait_for_last_ticks()
    finally:
        ended = replace(ongoing, status=status, ended_ns=scene.timebase.now_ns())
        writer.save_run(ended)
    return _Recorded(ended, session.ready, _whole(session.windows, phases), at_work.beat_seconds, failure)


def _whole(windows: Sequence[Window], phases: tuple[str, ...]) -> tuple[Window, ...]:
    """Leave out the windows of a repeat that was cut short: one phase alone is no inference."""
    seen: dict[tuple[str, int], int] = {}
    for window in windows:
        seen[window.point, window.repeat] = seen.get((window.point, window.repeat), 0) + 1
    return tuple(w for w in windows if not w.point or seen[w.point, w.repeat] == len(phases))


def _sensors(scene: _Scene, windows: Sequence[Window], beat_seconds: float) -> Sensors:
    start_ns = min(window.start_ns for window in windows) - _AROUND_NS
    end_ns = max(window.end_ns for window in windows) + _AROUND_NS
    found = Reader(scene.engine).series(scene.writer.recording, start_ns, end_ns, ENERGETIC)
    return Sensors.of(found, beat_seconds, scene.channels)


def _document(job: Job, scene: _Scene, recorded: _Recorded) -> Document | None:
    """Derive the profile; None where no repeat was complete."""
    ready, windows = recorded.ready, recorded.windows
    if ready is None or not any(window.point for window in windows):
        return None
    sensors = _sensors(scene, windows, recorded.beat_seconds)
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=recorded.run.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=recorded.run.status,
        effort=EffortFacts(**asdict(job.effort)),
        host=scene.host,
        engine=EngineFacts(ready.engine, ready.version, ready.provider, ready.threads),
        workload=WorkloadFacts(
            job.spec.workload, _settings(job), ready.precision, ready.parameters, ready.model_bytes, ready.sha256
        ),
        devices=device_facts(scene.channels, sensors.coverage),
        coverage=coverage_facts(sensors.coverage),
        baselines=derive_baselines(windows, sensors),
        points=derive_points(windows, sensors, job.tariff),
        tariff=job.tariff,
        notes=(*_run_notes(job, recorded, sensors), *scene.warnings),
    )


def _run_notes(job: Job, recorded: _Recorded, sensors: Sensors) -> tuple[str, ...]:
    notes = []
    if recorded.run.status is RunStatus.INTERRUPTED:
        notes.append("the run was interrupted: points and repeats that were not complete by then are missing")
    if recorded.failure:
        notes.append(f"the run failed, and points and repeats after that are missing: {recorded.failure.message}")
    if not sensors.coverage.includes:
        notes.append("nothing on this host measures power and no model was allowed: there is time, and no energy")
    if job.effort.name == "quick":
        notes.append("quick mode: short windows and few repeats, so the intervals are wide")
    return tuple(notes)


def _settings(job: Job) -> dict[str, Any]:
    return {**json.loads(job.spec.to_json()), "batches": ",".join(map(str, job.batches)), **asdict(job.engine)}


def _run_id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes > 1 else f"{seconds:.0f} s"
