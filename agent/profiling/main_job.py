"""The main job: sensors, store, workload and derivation brought together for one run."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agent.clock import Timebase
from agent.host import describe_host
from agent.profiling.boundary import best_channels, coverage
from agent.profiling.derive import IDLE_LOADED, IDLE_UNLOADED, derive_baselines, derive_points
from agent.profiling.document import coverage_facts, device_facts, to_json
from agent.profiling.figures import Sensors
from agent.profiling.profile import SCHEMA_VERSION, Document, EffortFacts, EngineFacts, WorkloadFacts
from agent.profiling.recording import recording
from agent.profiling.session import Session
from agent.workloads.process import WorkloadProcess
from probes.registry import discover
from store.database import open_database
from store.reader import Reader
from store.records import Profile, Run, RunStatus
from store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from agent.config import Config
    from agent.cost.tariff import Tariff
    from agent.profiling.session import Effort, Progress
    from agent.workloads.protocol import Ready
    from agent.workloads.spec import EngineSpec, Spec
    from probes.model import Channel
    from probes.registry import Discovery
    from store.records import Host, Window

_POWER = frozenset({"energy_joules", "power_watts"})
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
    """A run's end: the profile as text and parsed, None if no repeat was complete, and where it is stored."""

    text: str
    document: dict[str, Any] | None
    database: str
    interrupted: bool


def run(job: Job, config: Config, progress: Progress) -> Outcome:
    """Run the job on this host, store the run and its profile, and return it.

    Ctrl-C stops the workload and keeps what is complete. Raises WorkloadError if the model cannot be run, StoreError
    if the database cannot be used.
    """
    progress(0, 1, "looking at this host")
    engine = open_database(config.database)
    try:
        discovery = discover(config.roots, estimates=config.estimates)
        try:
            return _run(job, config, progress, engine, discovery)
        finally:
            discovery.close()
    finally:
        engine.dispose()


def _run(job: Job, config: Config, progress: Progress, engine: Engine, discovery: Discovery) -> Outcome:
    host = describe_host(config.roots)
    timebase = Timebase.now()
    writer = Writer(engine)
    layouts = writer.register(host, [(p.name, p.channels) for p in discovery.probes], "profile", timebase.now_ns())
    started = Run(
        id=_run_id(),
        host_id=host.id,
        recording=writer.recording,
        workload=job.spec.workload,
        settings=json.dumps(_settings(job)),
        status=RunStatus.RUNNING,
        started_ns=timebase.now_ns(),
    )
    writer.save_run(started)
    session = Session(started.id, job.effort, timebase, writer.save_window, progress)
    status = RunStatus.FAILED
    ready = None
    try:
        with recording(layouts, discovery.probes, timebase, writer.append) as at_work:
            at_work.wait_for_first_ticks()
            try:
                ready = _session(job, session, progress)
                status = RunStatus.COMPLETE
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
                ready = session.ready
            at_work.wait_for_last_ticks()
            beat_seconds = at_work.beat_seconds
    finally:
        writer.save_run(_ended(started, status, timebase.now_ns()))
    interrupted = status is RunStatus.INTERRUPTED
    if ready is None:
        return Outcome("", None, config.database, interrupted)
    sensors = _sensors(engine, writer.recording, session.windows, beat_seconds)
    document = _document(job, host, started.id, status, ready, discovery, sensors, session.windows)
    if not document.points:
        return Outcome("", None, config.database, interrupted)
    text = to_json(document)
    writer.save_profile(Profile(started.id, started.id, timebase.now_ns(), job.spec.workload, text))
    return Outcome(text, json.loads(text), config.database, interrupted)


def _session(job: Job, session: Session, progress: Progress) -> Ready:
    session.idle(IDLE_UNLOADED)
    with WorkloadProcess() as process:
        progress(1, 1, "loading the model")
        session.ready = process.start(job.spec, job.engine)
        session.idle(IDLE_LOADED)
        session.sweep(process, session.ready, job.batches)
    return session.ready


def _sensors(engine: Engine, recording_id: int, windows: list[Window], beat_seconds: float) -> Sensors:
    if not windows:
        return Sensors((), coverage(()), beat_seconds)
    start_ns = min(window.start_ns for window in windows) - _AROUND_NS
    end_ns = max(window.end_ns for window in windows) + _AROUND_NS
    found = Reader(engine).series(recording_id, start_ns, end_ns, _POWER)
    wanted = {channel.key for channel in best_channels(series.channel for series in found)}
    series = tuple(each for each in found if each.channel.key in wanted)
    return Sensors(series, coverage(each.channel for each in series), beat_seconds)


def _document(
    job: Job,
    host: Host,
    run_id: str,
    status: RunStatus,
    ready: Ready,
    discovery: Discovery,
    sensors: Sensors,
    windows: list[Window],
) -> Document:
    channels = [channel for probe in discovery.probes for channel in probe.channels]
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=status,
        effort=EffortFacts(**asdict(job.effort)),
        host=host,
        engine=EngineFacts(ready.engine, ready.version, ready.provider, ready.threads),
        workload=WorkloadFacts(
            job.spec.workload,
            _settings(job),
            ready.precision,
            ready.parameters,
            ready.model_bytes,
            ready.sha256,
        ),
        devices=device_facts(channels, sensors.coverage),
        coverage=coverage_facts(sensors.coverage),
        baselines=derive_baselines(windows, sensors),
        points=derive_points(windows, sensors, job.tariff),
        tariff=job.tariff,
        notes=_notes(host, job, channels, discovery, sensors),
    )


def _notes(host: Host, job: Job, channels: list[Channel], discovery: Discovery, sensors: Sensors) -> tuple[str, ...]:
    notes = []
    if not sensors.coverage.includes:
        notes.append("nothing on this host measures power and no model was allowed: there is time, and no energy")
    if any(channel.uncertainty for channel in channels):
        half = max(channel.uncertainty for channel in channels)
        notes.append(f"energy is estimated by a model of the processor, to ±{half:.0%}: no sensor measures it here")
    if host.virtual:
        notes.append("this is a virtual machine: other guests share the hardware and its speed moves with them")
    if job.effort.name == "quick":
        notes.append("quick mode: short windows and few repeats, so the intervals are wide")
    notes.extend(f"could not be read: {problem.subject}: {problem.reason}" for problem in discovery.problems)
    return tuple(notes)


def _settings(job: Job) -> dict[str, Any]:
    return {**json.loads(job.spec.to_json()), "batches": ",".join(map(str, job.batches)), **asdict(job.engine)}


def _run_id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _ended(run: Run, status: RunStatus, ended_ns: int) -> Run:
    return Run(run.id, run.host_id, run.recording, run.workload, run.settings, status, run.started_ns, ended_ns)
