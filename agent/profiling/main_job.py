"""The main job: sensors, store, workload and derivation brought together for one run."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent.acquaintance import calibrate
from agent.clock import Timebase
from agent.closing import close_probes
from agent.host import describe_host
from agent.preflight import Verdict, look_around
from agent.profiling.assembly import asked_for, assemble
from agent.profiling.document import to_json
from agent.profiling.effort import long_enough, planned_seconds
from agent.profiling.facts import HostState
from agent.profiling.job import Recorded, Scene
from agent.profiling.recording import SamplingSettings, recording
from agent.profiling.session import Session
from agent.profiling.so_far import SoFar
from agent.profiling.witness import Witness
from agent.surroundings import look_at_settings
from agent.workloads.errors import WorkloadError
from agent.workloads.given_inputs import synthetic_note
from agent.workloads.process import WorkloadProcess
from probes.nvml import NvmlProbe
from probes.registry import discover
from store.address import display
from store.database import open_database
from store.records import Profile, Run, RunStatus
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from agent.config import Config
    from agent.interruption import Interruption
    from agent.preflight import Check
    from agent.profiling.job import Job
    from agent.profiling.recording import Recording
    from agent.profiling.session import Progress
    from probes.registry import Discovery
    from store.records import Window

_BUDGET_OF_PLANNED = 2.0
"""How much longer than planned a run may take for a tolerance, where no budget was given."""


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
        job = _settled(job, scene, len(phases), progress)
        recorded = _record(job, scene, phases, progress, interruption)
        interrupted = recorded.run.status is RunStatus.INTERRUPTED
        created_ns = scene.timebase.now_ns()
        document = assemble(job, scene, recorded, created_ns)
        if document is None:
            return Outcome("", None, stored_in, interrupted, recorded.failure)
        text = to_json(document)
        scene.writer.save_profile(Profile(recorded.run.id, recorded.run.id, created_ns, job.spec.workload, text))
        return Outcome(text, json.loads(text), stored_in, interrupted, recorded.failure)


def _set_up(config: Config, engine: Engine, discovery: Discovery) -> Scene:
    """Describe the host and open a recording; a database that cannot be written is found out here."""
    host, writer, timebase = describe_host(config.roots), Writer(engine), Timebase.now()
    calibration = calibrate(discovery.probes, config.cpu_budget)
    sampling = SamplingSettings(config.cpu_budget, config.realtime, calibration.hanging)
    probes = [(probe.name, channels) for probe, channels in zip(discovery.probes, calibration.channels, strict=True)]
    layouts = writer.register(host, probes, "profile", timebase.now_ns())
    checks = look_around(config.roots, discovery, config.database, virtual=host.virtual)
    warnings = _warnings(checks, discovery)
    return Scene(host, config.roots, discovery, layouts, warnings, timebase, engine, writer, sampling)


def _warnings(checks: Sequence[Check], discovery: Discovery) -> tuple[str, ...]:
    disturbing = (f"{check.name}: {check.found}" for check in checks if check.verdict is not Verdict.PASS)
    return (*disturbing, *(f"unreadable: {each.subject}: {each.reason}" for each in discovery.problems))


def _tried(job: Job, progress: Progress) -> tuple[str, ...]:
    """Load the model and run every batch once, so that nothing fails after minutes; return the model's phases."""
    progress.step(0, None, "trying the model")
    try:
        with WorkloadProcess(limits=job.limits) as process:
            ready = process.start(job.spec, job.engine)
            if note := synthetic_note(ready.inputs):
                progress.note(f"warning: {note}")
            for batch in job.batches:
                process.prepare(batch)
    except WorkloadError as error:
        raise RefusedError(error.message, error.remedy) from error
    return ready.phases


def _settled(job: Job, scene: Scene, phases: int, progress: Progress) -> Job:
    """Make windows as long as the sensors need them for the tolerance asked for, and say what the run will take."""
    effort = long_enough(job.effort, scene.channels)
    if effort.limiting_sensor:
        progress.note(f"windows last {effort.window_seconds:.3g} s: {effort.limiting_sensor} needs them that long")
    seconds = planned_seconds(effort, len(job.batches) * phases)
    if effort.tolerance is not None and effort.budget_seconds is None:
        effort = replace(effort, budget_seconds=_BUDGET_OF_PLANNED * seconds)
    budget = effort.budget_seconds or 0.0
    if 0 < budget < seconds:
        progress.note(f"warning: --budget is less than the run takes at least: {effort.repeats} repeats, and no more")
    most = f", about {_duration(budget)} at most" if budget > seconds else ""
    progress.note(f"the run takes {_duration(seconds)} at least{most}; Ctrl-C keeps what is complete")
    return replace(job, effort=effort)


def _record(
    job: Job, scene: Scene, phases: tuple[str, ...], progress: Progress, interruption: Interruption
) -> Recorded:
    """Run the workload under the eyes of the sensors, until its end, its failure or an interruption."""
    writer = scene.writer
    ongoing = Run(
        id=_run_id(),
        host_id=scene.host.id,
        recording=writer.recording,
        workload=job.spec.workload,
        settings=json.dumps(asked_for(job)),
        status=RunStatus.RUNNING,
        started_ns=scene.timebase.now_ns(),
    )
    writer.save_run(ongoing)
    status, failure = RunStatus.FAILED, None
    start, end = look_at_settings(scene.roots), None
    try:
        with recording(scene.layouts, scene.discovery.probes, scene.timebase, writer.append, scene.sampling) as at_work:
            session = _session(ongoing, job, scene, phases, progress, at_work)
            try:
                with interruption.stoppable(), WorkloadProcess(limits=job.limits) as process:
                    at_work.wait_for_first_ticks()
                    session.run(process, lambda: process.start(job.spec, job.engine), process.stop, job.batches)
                status, end = RunStatus.COMPLETE, look_at_settings(scene.roots)
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
            except WorkloadError as error:
                failure = error
            if session.windows:
                at_work.wait_for_last_ticks()
    finally:
        ended = replace(ongoing, status=status, ended_ns=scene.timebase.now_ns())
        writer.save_run(ended)
    whole, around = _whole(session.windows, phases), HostState(start, end)
    facts = at_work.facts()
    return Recorded(ended, session.ready, whole, at_work.beat_seconds, around, failure, facts, session.loads)


def _session(
    ongoing: Run, job: Job, scene: Scene, phases: tuple[str, ...], progress: Progress, at_work: Recording
) -> Session:
    gpus = [probe for probe in scene.discovery.probes if isinstance(probe, NvmlProbe)]
    return Session(
        ongoing.id,
        job.effort,
        scene.timebase,
        scene.writer.save_window,
        progress,
        phases=len(phases),
        seed=job.order_seed,
        edge=at_work.edge,
        look=Witness(scene.roots, gpus).look,
        judge=SoFar(scene.series, at_work.wait_for_last_ticks, phases),
    )


def _whole(windows: Sequence[Window], phases: tuple[str, ...]) -> tuple[Window, ...]:
    """Leave out the windows of a repeat that was cut short: one phase alone is no inference."""
    seen: dict[tuple[str, int], int] = {}
    for window in windows:
        seen[window.point, window.repeat] = seen.get((window.point, window.repeat), 0) + 1
    return tuple(w for w in windows if not w.point or seen[w.point, w.repeat] == len(phases))


def _run_id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes > 1 else f"{seconds:.0f} s"
