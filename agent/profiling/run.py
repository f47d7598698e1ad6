"""The main job: sensors, store, workload and derivation brought together for one run."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent.energy.boundary import best_channels, coverage
from agent.host.activity import Witness, load_between
from agent.host.checks import Verdict, look_around
from agent.host.inventory import describe_host
from agent.host.settings import look_at_settings
from agent.profiling.build import asked_for, assemble, samples
from agent.profiling.contention import BUSY_REMEDY, contention
from agent.profiling.context import Recorded, Scene, Terms
from agent.profiling.document.codec import to_json
from agent.profiling.plan import long_enough, planned_seconds
from agent.profiling.run_facts import HostState
from agent.profiling.run_store import RunStore, opened
from agent.profiling.stopping import SoFar
from agent.profiling.sweep import Session
from agent.runtime.clock import Timebase
from agent.runtime.closing import close_probes
from agent.sampling.calibration import UNCHANGED, calibrate
from agent.sampling.session import SamplingSettings, recording
from agent.workloads.errors import WorkloadError
from agent.workloads.given_inputs import synthetic_note
from agent.workloads.runner.client import WorkloadProcess
from probes.nvml.probe import NvmlProbe
from probes.registry import discover
from store.errors import StoreError
from store.records import Profile, Run, RunStatus, Series
from store.url import display
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from agent.config import Config
    from agent.host.checks import Check
    from agent.profiling.context import Job
    from agent.profiling.sweep import Progress
    from agent.runtime.interrupts import Interruption
    from agent.sampling.session import Recording
    from agent.workloads.runner.protocol import Ready
    from probes.registry import Discovery
    from store.records import Window

TERMS = Terms()
_BUDGET_OF_PLANNED = 2.0
"""How much longer than planned a run may take for a tolerance, where no budget was given."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end: the profile as text and parsed, None if no repeat was complete, and the database that has it.

    `database` is None if the run was not to be stored. `failure` is what ended the workload on its way, `trouble` what
    kept the profile out of the database; None if nothing did.
    """

    text: str
    document: dict[str, Any] | None
    database: str | None
    interrupted: bool = False
    failure: WorkloadError | None = None
    trouble: StoreError | None = None


class RefusedError(WorkloadError):
    """The requested run is impossible on this host, as a trial showed; nothing was measured."""


class UnfitHostError(WorkloadError):
    """The host cannot give the requested figures now; nothing was measured."""


def run(job: Job, config: Config, progress: Progress, interruption: Interruption, terms: Terms = TERMS) -> Outcome:
    """Check the host, run the job, store the run and its profile, and return it.

    An interruption, or a workload that fails on its way, leaves a profile of everything complete. Raises RefusedError
    if the model cannot run, UnfitHostError if the terms do not allow a run on this host, StoreError if the database
    cannot be used.
    """
    with ExitStack() as stack:
        progress.step(0, None, "checking this host")
        engine = stack.enter_context(opened(config.database, stored=terms.stored))
        config = config if terms.stored else replace(config, database=str(engine.url.database))
        discovery = discover(config.roots, estimates=config.estimates)
        stack.callback(close_probes, discovery)
        witness = Witness(config.roots)
        before = witness.look()
        scene, stored_in = _set_up(config, engine, discovery), display(engine.url) if terms.stored else None
        for warning in scene.warnings:
            progress.note(f"warning: {warning}")
        if scene.warnings:
            progress.note("`inferometer doctor` explains every warning and its remedy")
        try:
            with interruption.stoppable():
                _check_terms(scene, contention(load_between(before, witness.look(before))), terms)
        except KeyboardInterrupt:
            return Outcome("", None, stored_in, interrupted=True)
        job = _settled(job, scene, progress)
        run_store = RunStore(scene.writer)
        recorded = _record(job, scene, run_store, progress, interruption)
        return _outcome(job, scene, recorded, run_store, stored_in)


def _outcome(job: Job, scene: Scene, recorded: Recorded, run_store: RunStore, stored_in: str | None) -> Outcome:
    interrupted = recorded.run.status is RunStatus.INTERRUPTED
    created_ns = scene.timebase.now_ns()
    document = assemble(job, scene, recorded, _samples(scene, recorded, run_store), created_ns)
    if document is None:
        return Outcome("", None, stored_in, interrupted, recorded.failure, run_store.trouble)
    text = to_json(document)
    run_store.save_profile(Profile(recorded.run.id, recorded.run.id, created_ns, job.spec.workload, text))
    return Outcome(text, json.loads(text), stored_in, interrupted, recorded.failure, run_store.trouble)


def _samples(scene: Scene, recorded: Recorded, run_store: RunStore) -> tuple[Series, ...]:
    """Return the samples of a run, empty series if the store cannot give them: latency and throughput need none."""
    try:
        return samples(scene, recorded)
    except StoreError as error:
        run_store.note(error)
        return tuple(Series(channel, (), ()) for channel in scene.channels)


def _check_terms(scene: Scene, busy: str, terms: Terms) -> None:
    """Raise UnfitHostError if the host is too busy and nobody wants to go on, or has no energy and needs one."""
    if terms.needs_energy and not coverage(best_channels(scene.channels)).includes:
        remedy = "`inferometer doctor` names the missing sensors; --estimates allows a model"
        raise UnfitHostError("--require-energy: nothing on this host measures power", remedy)
    if busy and not terms.proceed(busy):
        raise UnfitHostError(busy, BUSY_REMEDY)


def _set_up(config: Config, engine: Engine, discovery: Discovery) -> Scene:
    """Describe the host and open a recording; a database that cannot be written is found out here."""
    host, writer, timebase = describe_host(config.roots), Writer(engine), Timebase.now()
    calibration = calibrate(discovery.probes, config.cpu_budget)
    sampling = SamplingSettings(config.cpu_budget, config.realtime, calibration.hanging)
    probes = [(probe.name, channels) for probe, channels in zip(discovery.probes, calibration.channels, strict=True)]
    layouts = writer.register(host, probes, "profile", timebase.now_ns())
    checks = look_around(config.roots, discovery, config.database, virtual=host.virtual)
    still = tuple(f"{each.device.id}/{each.domain}: {UNCHANGED}" for each in calibration.unchanged)
    warnings = (*still, *_warnings(checks, discovery))
    return Scene(host, config.roots, discovery, layouts, warnings, timebase, engine, writer, sampling)


def _warnings(checks: Sequence[Check], discovery: Discovery) -> tuple[str, ...]:
    disturbing = (f"{check.name}: {check.found}" for check in checks if check.verdict is not Verdict.PASS)
    return (*disturbing, *(f"{each.label}: {each.subject}: {each.reason}" for each in discovery.problems))


def _settled(job: Job, scene: Scene, progress: Progress) -> Job:
    """Make windows as long as the sensors need them for the tolerance asked for, and say what the run will take."""
    effort = long_enough(job.effort, scene.channels)
    if effort.limiting_sensor:
        progress.note(f"windows last {effort.window_seconds:.3g} s: {effort.limiting_sensor} needs them that long")
    seconds = planned_seconds(effort, len(job.batches) * len(job.spec.phases))
    if effort.tolerance is not None and effort.budget_seconds is None:
        effort = replace(effort, budget_seconds=_BUDGET_OF_PLANNED * seconds)
    budget = effort.budget_seconds or 0.0
    if 0 < budget < seconds:
        progress.note(f"warning: --budget is less than the run takes at least: {effort.repeats} repeats, and no more")
    most = f", about {_duration(budget)} at most" if budget > seconds else ""
    progress.note(f"the run takes {_duration(seconds)} at least{most}; Ctrl-C keeps what is complete")
    return replace(job, effort=effort)


def _record(job: Job, scene: Scene, run_store: RunStore, progress: Progress, interruption: Interruption) -> Recorded:
    """Run the workload while sampling, until it finishes, fails or is interrupted.

    Raises RefusedError, with nothing stored, if the workload fails before every batch size was tried.
    """
    ongoing = _new_run(job, scene)
    status, failure, end = RunStatus.FAILED, None, None
    start = look_at_settings(scene.roots)
    layouts, probes = scene.layouts, scene.discovery.probes
    try:
        with recording(layouts, probes, scene.timebase, run_store.append, scene.sampling) as at_work:
            session = _session(ongoing, job, scene, run_store, progress, at_work)
            try:
                with interruption.stoppable(), WorkloadProcess(limits=job.limits) as process:
                    at_work.wait_for_first_ticks()
                    session.run(process, lambda: _loaded(process, job, progress), process.stop, job.batches)
                status, end = RunStatus.COMPLETE, look_at_settings(scene.roots)
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
            except WorkloadError as error:
                if not run_store.begun:
                    raise RefusedError(error.message, error.remedy, error.last_words) from error
                failure = error
            run_store.begin(ongoing, session.windows)
            if session.windows:
                at_work.wait_for_last_ticks()
    except StoreError as error:  # the samples of the last seconds; those before are in the store
        run_store.note(error)
    ended = replace(ongoing, status=status, ended_ns=scene.timebase.now_ns())
    run_store.end(ended)
    whole, around = _whole(session.windows, job.spec.phases), HostState(start, end)
    facts = at_work.facts()
    return Recorded(ended, session.ready, whole, at_work.beat_seconds, around, failure, facts, session.loads)


def _new_run(job: Job, scene: Scene) -> Run:
    return Run(
        id=_run_id(),
        host_id=scene.host.id,
        recording=scene.writer.recording,
        workload=job.spec.workload,
        settings=json.dumps(asked_for(job)),
        status=RunStatus.RUNNING,
        started_ns=scene.timebase.now_ns(),
    )


def _loaded(process: WorkloadProcess, job: Job, progress: Progress) -> Ready:
    """Start the workload process and load the model, once for the whole run."""
    ready = process.start(job.spec, job.engine)
    if note := synthetic_note(ready.inputs):
        progress.note(f"warning: {note}")
    return ready


def _session(
    ongoing: Run, job: Job, scene: Scene, run_store: RunStore, progress: Progress, at_work: Recording
) -> Session:
    gpus = [probe for probe in scene.discovery.probes if isinstance(probe, NvmlProbe)]
    session = Session(
        ongoing.id,
        job.effort,
        scene.timebase,
        run_store.save_window,
        progress,
        phases=len(job.spec.phases),
        seed=job.order_seed,
        approach=at_work.approach,
        edge=at_work.edge,
        look=Witness(scene.roots, gpus).look,
        judge=SoFar(scene.series, at_work.wait_for_last_ticks, job.spec.phases),
        tried=lambda: run_store.begin(ongoing, session.windows),
    )
    return session


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
