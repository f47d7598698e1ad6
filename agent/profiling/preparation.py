"""Checks the host of a run and plans the run, before anything is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.energy.counted_sensors import best_channels, coverage
from agent.host.checks import Verdict, check_host
from agent.profiling.contention import BUSY_REMEDY
from agent.profiling.context import RunContext, RunPolicy
from agent.profiling.plan import duration_text, plan_for_tolerance, planned_seconds
from agent.profiling.service import baselines, elsewhere_note
from agent.sampling.calibration import UNCHANGED
from agent.sampling.remote.probe import RemoteHostError, connect
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from agent.config import Config
    from agent.host.checks import Check
    from agent.host.server import Server
    from agent.profiling.context import ProfileRequest
    from agent.profiling.progress import Progress
    from agent.profiling.run_store import RunStore
    from agent.sampling.pipeline import Pipeline
    from agent.sampling.remote.probe import RemoteHost
    from probes.registry import Discovery
    from store.records import Host

_BUDGET_OF_PLANNED = 4.0
"""The default budget for a tolerance, as a multiple of the planned duration."""


class UnfitHostError(WorkloadError):
    """The host cannot provide the requested figures now; nothing was measured."""


def remote_host(request: ProfileRequest) -> RemoteHost | None:
    """Return the host whose service measures the workload, None for this one."""
    try:
        return connect(request.energy_from, request.energy_authorization) if request.energy_from else None
    except RemoteHostError as error:
        raise UnfitHostError(f"--energy-from: {error}", error.remedy) from error


def describe_context(
    config: Config,
    host: Host,
    pipeline: Pipeline[RunStore],
    engine: Engine,
    server: Server | None,
    remote: RemoteHost | None,
) -> RunContext:
    """Check the host, unless it is another one, and describe the conditions of a run on it."""
    discovery = pipeline.discovery
    checks = () if remote else check_host(config.roots, discovery, config.database, virtual=host.virtual)
    still = tuple(f"{each.path}: {UNCHANGED}" for each in pipeline.unchanged)
    warnings = (*still, *_warnings(checks, discovery))
    sink, recorder = pipeline.sink, pipeline.recorder
    return RunContext(
        host,
        config.roots,
        discovery,
        pipeline.layouts,
        warnings,
        pipeline.timebase,
        engine,
        sink.writer,
        server,
        remote,
        lambda: (*sink.unstored, *recorder.unstored),
    )


def _warnings(checks: Sequence[Check], discovery: Discovery) -> tuple[str, ...]:
    disturbing = (f"{check.name}: {check.found}" for check in checks if check.verdict is not Verdict.PASS)
    return (*disturbing, *(f"{each.label}: {each.sensor}: {each.reason}" for each in discovery.problems))


def check_policy(context: RunContext, busy: str, policy: RunPolicy) -> None:
    """Raise UnfitHostError if energy is needed and not measurable, or the host is busy and the user stops."""
    if policy.needs_energy and context.server is not None and context.is_elsewhere:
        raise UnfitHostError(f"--require-energy: {elsewhere_note(context.server)}", "run it on the server's host")
    if policy.needs_energy and not coverage(best_channels(context.channels)).includes:
        remedy = "`inferometer doctor` names the missing sensors; --estimates allows a model"
        raise UnfitHostError("--require-energy: nothing on this host measures power", remedy)
    if busy and not policy.proceed(busy):
        raise UnfitHostError(busy, BUSY_REMEDY)


def plan_run(request: ProfileRequest, context: RunContext, progress: Progress) -> ProfileRequest:
    """Make the windows long enough for the sensors at the requested tolerance, and report the duration of the run."""
    plan = plan_for_tolerance(request.plan, context.channels)
    if plan.limiting_sensor:
        progress.note(f"windows last {plan.window_seconds:.3g} s, the length that {plan.limiting_sensor} needs")
    windows = len(request.points) * len(request.spec.phases)
    seconds = planned_seconds(plan, windows, 2 * len(baselines(request, context)))
    if plan.tolerance is not None and plan.budget_seconds is None:
        plan = replace(plan, budget_seconds=_BUDGET_OF_PLANNED * seconds)
    budget = plan.budget_seconds or 0.0
    if 0 < budget < seconds:
        progress.note(f"warning: --budget is shorter than the run: {plan.repeats} repeats are measured, and no more")
    most = f" and at most about {duration_text(budget)}" if budget > seconds else ""
    progress.note(
        f"the run takes at least {duration_text(seconds)}{most}; Ctrl-C ends it with a profile of the complete repeats"
    )
    return replace(request, plan=plan)
