"""Runs a profile: sensors, store, workload and analysis."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config.paths import state_folder
from agent.host.activity import ActivityMonitor, cpu_usage_between
from agent.host.inventory import describe_host
from agent.host.settings import PowerLimits
from agent.profiling.build import requested_settings
from agent.profiling.contention import contention
from agent.profiling.context import RunContext, RunPolicy, RunRecord, complete_windows
from agent.profiling.preparation import check_policy, describe_context, plan_run, remote_host
from agent.profiling.run_facts import HostState
from agent.profiling.run_result import RunResult, result_of
from agent.profiling.run_store import RunStore, open_run_database
from agent.profiling.service import baselines, place_notes, server_of
from agent.profiling.stopping import StoppingRule
from agent.profiling.sweep import Sweep
from agent.runtime.clock import Timebase
from agent.runtime.console import print_err
from agent.runtime.measuring import announced
from agent.sampling.pipeline import assembled
from agent.sampling.session import recording
from agent.sampling.store_state import StoreErrorLog
from agent.workloads.errors import WorkloadError
from agent.workloads.input_spec import synthetic_note
from agent.workloads.point import decode_point, point_name
from agent.workloads.runner.client import WorkloadProcess
from probes.nvml.probe import NvmlProbe
from store.errors import StoreError
from store.records import Run, RunStatus
from store.url import display
from store.writer import Writer

if TYPE_CHECKING:
    from agent.config import Config
    from agent.profiling.context import ProfileRequest
    from agent.profiling.progress import Progress
    from agent.runtime.signals import SignalRequests
    from agent.sampling.pipeline import Pipeline
    from agent.sampling.session import Recording
    from agent.workloads.runner.protocol import Ready

DEFAULT_POLICY = RunPolicy()


class UnsupportedWorkloadError(WorkloadError):
    """The trial of the requested run failed on this host; nothing was measured."""


def run(
    request: ProfileRequest,
    config: Config,
    progress: Progress,
    signals: SignalRequests,
    policy: RunPolicy = DEFAULT_POLICY,
) -> RunResult:
    """Check the host, run the workload, store the run and its profile, and return the result.

    After an interruption or a failure of the workload, the profile has all complete repeats. Raises
    UnsupportedWorkloadError if the model cannot run, UnfitHostError if the policy does not allow a run on this host,
    StoreError if the database cannot be used.
    """
    with ExitStack() as stack:
        stack.enter_context(announced(config.roots.sysfs))
        progress.step(0, None, "checking this host")
        engine = stack.enter_context(open_run_database(config.database, stored=policy.stored))
        in_use = config if policy.stored else replace(config, database=str(engine.url.database))
        remote, writer, timebase = remote_host(request), Writer(engine), Timebase.now()
        host = remote.host if remote else describe_host(config.roots, config.labels)
        run_store, server = RunStore(writer), server_of(request, config)
        activity_monitor = ActivityMonitor(config.roots, server=server.processes if server else ())
        before = activity_monitor.snapshot()
        pipeline = stack.enter_context(
            assembled(
                config,
                timebase,
                lambda channels: writer.register(host, channels, "profile", timebase.now_ns()),
                lambda _: run_store,
                found=remote.discovery if remote else None,
                period_of=remote.period_of if remote else None,
                realtime=config.realtime,
                store_errors=StoreErrorLog(),
            )
        )
        context = describe_context(in_use, host, pipeline, engine, server, remote)
        stored_in = display(engine.url) if policy.stored else None
        for note in place_notes(server, remote):
            progress.note(note if remote else f"warning: {note}")
        for warning in context.warnings:
            progress.note(f"warning: {warning}")
        if context.warnings:
            progress.note("`inferometer doctor` explains every warning and its remedy")
        try:
            with signals.stoppable():
                check_policy(context, contention(cpu_usage_between(before, activity_monitor.snapshot(before))), policy)
        except KeyboardInterrupt:
            return RunResult("", None, stored_in, interrupted=True)
        request = plan_run(request, context, progress)
        ongoing = _new_run(request, context, policy.run_id or run_id())
        record = _record(request, context, pipeline, progress, signals, ongoing)
        result = result_of(request, context, record, run_store, state_folder(config.database))
        return replace(result, database=stored_in)


def _record(
    request: ProfileRequest,
    context: RunContext,
    pipeline: Pipeline[RunStore],
    progress: Progress,
    signals: SignalRequests,
    ongoing: Run,
) -> RunRecord:
    """Run the workload while sampling, until it finishes, fails or is interrupted.

    Raises UnsupportedWorkloadError, with nothing stored, if the workload fails before every point was tried.
    """
    run_store, status, failure, end = pipeline.sink, RunStatus.FAILED, None, None
    start = context.host_settings()
    try:
        with recording(pipeline) as active_recording:
            rule = _stopping_rule(request, context, active_recording)
            sweep = _new_sweep(ongoing, request, context, run_store, progress, active_recording, rule)
            try:
                with signals.stoppable(), _process(request) as process:
                    progress.step(0, None, "checking the model")
                    process.check(request.spec, request.engine, request.points)
                    active_recording.wait_for_first_ticks()
                    sweep.run(process, lambda: _loaded(process, request, progress), process.stop, request.points)
                status, end = RunStatus.COMPLETE, context.host_settings()
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
            except WorkloadError as error:
                if not run_store.begun:
                    raise UnsupportedWorkloadError(error.message, error.remedy, error.stderr_tail) from error
                failure = error
            run_store.begin(ongoing, sweep.windows)
            if sweep.windows:
                active_recording.wait_for_last_ticks()
    except StoreError as error:  # only the samples of the last seconds are lost
        run_store.note(error)
    ended = replace(ongoing, status=status, ended_ns=context.timebase.now_ns())
    run_store.end(ended)
    whole, around = complete_windows(sweep.windows, request.spec.phases), HostState(start, end)
    facts = active_recording.facts()
    return RunRecord(
        run=ended,
        ready=sweep.ready,
        windows=whole,
        sampling_period_seconds=active_recording.sampling_period_seconds,
        host_state=around,
        failure=failure,
        sustainable_rate=sweep.sustainable_rate(request.points[0]) if request.find_max else None,
        sampler=facts,
        loads={} if context.remote else sweep.loads,
        models=sweep.models,
        equivalent=rule.equivalent if rule else {},
        power_limits=sweep.power_limits,
        works=sweep.works,
        lost={point_name(decode_point(point)): error for point, error in sweep.lost.items()},
    )


def _process(request: ProfileRequest) -> WorkloadProcess:
    """Return the process of the workload; its error output is shown if the workload has a `show_output`."""
    if not getattr(request.spec, "show_output", False):
        return WorkloadProcess(limits=request.limits)
    return WorkloadProcess(
        limits=request.limits, show=lambda part: print_err(part.decode(errors="replace").removesuffix("\n"))
    )


def _new_run(request: ProfileRequest, context: RunContext, own_id: str) -> Run:
    return Run(
        id=own_id,
        host_id=context.host.id,
        recording=context.writer.recording,
        workload=request.spec.workload,
        settings=json.dumps(requested_settings(request)),
        status=RunStatus.RUNNING,
        started_ns=context.timebase.now_ns(),
    )


def _loaded(process: WorkloadProcess, request: ProfileRequest, progress: Progress) -> Ready:
    """Start the workload process and load the model, once for the whole run."""
    ready = process.start(request.spec, request.engine)
    if note := synthetic_note(ready.inputs):
        progress.note(f"warning: {note}")
    return ready


def _stopping_rule(request: ProfileRequest, context: RunContext, active_recording: Recording) -> StoppingRule | None:
    plan = request.plan
    if plan.tolerance is None:
        return None
    wait = active_recording.wait_for_last_ticks
    return StoppingRule(context.series, wait, request.spec.phases, plan.tolerance, plan.equivalence)


def _new_sweep(
    ongoing: Run,
    request: ProfileRequest,
    context: RunContext,
    run_store: RunStore,
    progress: Progress,
    active_recording: Recording,
    rule: StoppingRule | None,
) -> Sweep:
    gpus = [probe for probe in context.discovery.probes if isinstance(probe, NvmlProbe)]
    sweep = Sweep(
        ongoing.id,
        request.plan,
        context.timebase,
        run_store.save_window,
        progress,
        phases=len(request.spec.phases),
        seed=request.order_seed,
        approach=active_recording.await_counter_refresh,
        edge=active_recording.mark_edge,
        read_power_limits=dict if context.remote else PowerLimits(Path(context.roots.sysfs)).read,
        snapshot=ActivityMonitor(
            context.roots, gpus, server=context.server.processes if context.server else ()
        ).snapshot,
        rule=rule,
        on_trial_complete=lambda: run_store.begin(ongoing, sweep.windows),
        baselines=baselines(request, context),
        level=request.level if request.find_max else None,
    )
    return sweep


def run_id() -> str:
    """Return a new id of a run: the second in UTC, and 48 random bits, since thousands of hosts may start in it."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(6)}"
