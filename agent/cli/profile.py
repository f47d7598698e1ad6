"""`inferometer profile`: one command for each registered workload, from its options to a stored profile."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import fields
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agent.cli import idle, profile_from_serving, profile_import
from agent.cli.arguments import SHARED
from agent.cli.options import code_of, configuration, fail, is_default
from agent.cli.planner_points import planner_option, take_points
from agent.cli.profile_once import alone, check_once, is_standard_output, stored_result, write_bundle
from agent.cli.report import check_report_path, write_report
from agent.cli.run_options import RunOptions, shared_options
from agent.cli.service_options import ServiceOptions, service_options
from agent.cli.workload_options import options_of, requested, take_options
from agent.runtime.console import ExitCode, interruption, print_err, print_json, print_out, terminal_width
from agent.workloads import registry
from agent.workloads.declaration import starts_programs, uses_service
from agent.workloads.parameter import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.cli.planner_points import NeededPoints
    from agent.config import Config
    from agent.profiling.context import ProfileRequest
    from agent.profiling.progress import Progress
    from agent.profiling.run_result import RunResult
    from agent.runtime.signals import SignalRequests
    from agent.workloads.declaration import Spec, Workload
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.errors import WorkloadError
    from agent.workloads.point import Axes

_Options = TypeVar("_Options", RunOptions, ServiceOptions)
app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    help="Measure the cost of an inference on this host, and store the profile.",
    rich_markup_mode=None,
)


@app.callback()
def list_workloads(
    context: typer.Context,
    listed: Annotated[
        bool, typer.Option("--list", help="List the workloads with their engines, and whether they are installed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the workloads."""
    if context.invoked_subcommand is not None:
        if listed or as_json:
            fail("--list and --json before the name of a workload list all of them: give no name", ExitCode.USAGE)
        return
    if not listed:
        fail("give the name of a workload, or --list", ExitCode.USAGE)
    from agent.render.workload_list import document, workload_list

    found: dict[str, Workload | str] = {}
    for name in registry.names():
        try:
            found[name] = registry.find(name)
        except registry.UnknownWorkloadError as error:
            found[name] = str(error)
    if as_json:
        print_json(document(found))
    else:
        print_out(workload_list(found))


def _add_command(name: str) -> None:
    """Add the command of a registered workload: its own options, then those that all workloads share."""
    try:
        workload = registry.find(name)
    except registry.UnknownWorkloadError as error:
        reason = str(error)
        app.command(name, help=f"Not available: {reason}")(lambda: fail(reason))
        return
    own = options_of(workload)
    if uses_service(workload.spec):
        own += [*service_options(), *planner_option(workload)]

    def profile_workload(context: typer.Context, **values: Any) -> None:
        run, service = _taken(RunOptions, values), _taken(ServiceOptions, values)
        try:
            needed = take_points(values)
            spec, axes = requested(workload, values, {name for name in values if is_default(context, name)})
            if service.find_max:
                from agent.profiling.rate_search import search_axes

                axes = search_axes(axes)
            engine = _engine(run)
        except ValueError as error:
            fail(str(error), ExitCode.USAGE)
        _profile(context, workload, spec, axes, engine, run, service, needed)

    runs_engine = not uses_service(workload.spec) and not starts_programs(workload.spec)
    take_options(profile_workload, [*own, *shared_options(runs_engine=runs_engine)])
    takes_words = any(each.declared.words for each in parameters_of(workload.spec))
    context = {"allow_interspersed_args": not takes_words}
    app.command(name, help=cleandoc(workload.help), epilog=SHARED, context_settings=context)(profile_workload)


def check_values(context: typer.Context, workload: Workload) -> None:
    """Raise ValueError if a parsed command line of a workload has a value that the workload does not take."""
    values = dict(context.params)
    _taken(RunOptions, values)
    _taken(ServiceOptions, values)
    take_points(values)
    requested(workload, values, {name for name in values if is_default(context, name)})


def _taken(kind: type[_Options], values: dict[str, Any]) -> _Options:
    """Remove the options of a kind from the values of a command line, and return them."""
    return kind(**{each.name: values.pop(each.name) for each in fields(kind) if each.name in values})


def _engine(run: RunOptions) -> EngineSpec:
    from agent.runtime.cgroup import read_limits
    from agent.workloads.engine_spec import EngineSpec
    from probes.model import Roots

    usable = len(os.sched_getaffinity(0))
    if run.threads > usable:
        raise ValueError(f"--threads: {run.threads} is out of range: 0 to {usable}, the CPUs that this process may use")
    limits = read_limits(Roots())
    # The engine starts one thread for each core of the host; a quota or a CPU set allows fewer.
    limited = limits.quota_cpus is not None or usable < (os.cpu_count() or usable)
    return EngineSpec(run.device, run.threads or (limits.engine_threads if limited else 0))


def _profile(
    context: typer.Context,
    workload: Workload,
    spec: Spec,
    axes: Axes,
    engine: EngineSpec,
    options: RunOptions,
    service: ServiceOptions,
    needed: NeededPoints,
) -> None:
    plan = needed.lengthened(options.plan(of_programs=starts_programs(type(spec))))
    tariff, seed, limits = options.prices(), options.seed(), options.limits()
    level, energy_from = service.level(), service.measuring_service(spec)
    config = configuration(context)
    if options.report is not None:
        check_report_path(options.report)
    check_once(options)
    from agent.profiling.context import ProfileRequest
    from agent.runtime import logs as log
    from agent.runtime.signals import SignalRequests
    from agent.workloads.errors import WorkloadError

    log.configure("warning")
    signals = SignalRequests()
    request = ProfileRequest(
        spec,
        engine,
        axes,
        plan,
        tariff,
        seed,
        limits,
        level,
        service.find_max,
        energy_from,
        needed.combinations,
        options.ambient_celsius,
        config.ambient,
        service.energy_authorization(),
    )
    try:
        if workload.check is not None and (needs := workload.check(spec, engine, request.points, limits)):
            print_err(needs)
    except WorkloadError as error:
        fail(_reason(error), ExitCode.USAGE)
    with alone(config, options.profile_id):
        stored = stored_result(context, options, len(request.points))
        outcome = stored or _measured(request, config, options, signals)
    if outcome.document is not None:
        if not is_standard_output(options.bundle):
            _show(outcome.document, outcome, context.obj.given.get("database"), as_json=options.as_json)
        if options.bundle is not None:
            write_bundle(outcome.document, options.bundle)
        if options.report is not None:
            write_report(context, outcome.document, options.report)
    _end(outcome, signals, needs_energy=options.require_energy)


def _measured(request: ProfileRequest, config: Config, options: RunOptions, signals: SignalRequests) -> RunResult:
    """Run the workload and return the result; an error ends the command."""
    from agent.cli.progress import progress
    from agent.profiling.context import RunPolicy
    from agent.profiling.run import UnsupportedWorkloadError, run
    from agent.workloads.errors import WorkloadError
    from store.errors import StoreError

    try:
        with progress() as shown, signals.caught():
            proceed = _confirmation(shown, force=options.force)
            policy = RunPolicy(not options.no_store, options.require_energy, proceed, options.profile_id or "")
            return run(request, config, shown, signals, policy)
    except WorkloadError as error:
        fail(_reason(error), ExitCode.USAGE if isinstance(error, UnsupportedWorkloadError) else ExitCode.FAILURE)
    except StoreError as error:
        remedy = "" if options.no_store else "; or profile without a database: --no-store"
        fail(f"{error}{remedy}", code_of(error))


def _confirmation(shown: Progress, *, force: bool) -> Callable[[str], bool]:
    """Return the decision about a busy host: a warning with --force, else a question to the user."""

    def proceed(reason: str) -> bool:
        if force:
            shown.note(f"warning: {reason}")
        return force or shown.confirm(f"warning: {reason}.")

    return proceed


def _reason(error: WorkloadError) -> str:
    text = str(error)
    end = "" if text.endswith("\n") else ". "  # the end of the output of a program has lines of its own
    return f"{text}{end}Remedy: {error.remedy}" if error.remedy else text


def _show(document: dict[str, Any], outcome: RunResult, asked: object, *, as_json: bool) -> None:
    from agent.render.profile_text import profile_text

    if as_json:
        print_out(outcome.text)
    else:
        print_out(profile_text(document, terminal_width()))
    if outcome.database is None or outcome.store_error:
        return
    command = "inferometer" if shutil.which("inferometer") else sys.argv[0]
    where = f" --database {shlex.quote(outcome.database)}" if asked else ""
    print_err(f"\nStored in {outcome.database}; show it again with: {command}{where} profiles show {document['id']}")


def _end(outcome: RunResult, signals: SignalRequests, *, needs_energy: bool) -> None:
    """Report the end of the run, and end the command with its exit code."""
    kept = "this profile has all complete repeats"
    if outcome.document is None:
        kept = "no repeat was complete, so there is no profile"
    unstored = (
        f"the profile above is not stored: {outcome.store_error}; or use --no-store" if outcome.store_error else ""
    )
    if unstored and (outcome.failure or outcome.interrupted):
        print_err(f"warning: {unstored}")
    if outcome.failure:
        fail(f"{_reason(outcome.failure)}\n{kept}")
    if outcome.interrupted:
        print_err(interruption(f"interrupted: the workload was stopped; {kept}", signals.exit_code))
        raise typer.Exit(signals.exit_code)
    if outcome.document and not outcome.document["points"]:
        fail("no point is complete: no request succeeded; the notes above have the errors")
    points_without_energy = _points_without_energy(outcome.document) if outcome.document else ""
    if points_without_energy and needs_energy:
        fail(f"--require-energy: {points_without_energy}")
    if points_without_energy:
        print_err(f"warning: {points_without_energy}")
    if unstored:
        fail(unstored)
    if outcome.lost:
        name, error = next(iter(outcome.lost.items()))
        names = ", ".join(outcome.lost)
        fail(f"these points are missing, the others are complete: {names}. The error of {name}: {_reason(error)}")


def _points_without_energy(document: dict[str, Any]) -> str:
    """Return one line with the points that have no energy and the reason, empty if all have energy."""
    without = [point for point in document["points"] if point["energy"] is None]
    if not without:
        return ""
    checks = [check for point in without for check in point["checks"]]
    reasons = (c["message"] for c in checks if c["status"] == "failed" and c["severity"] == "invalid")
    names = ", ".join(point["name"] for point in without)
    return f"no energy for {names}: {next(reasons, 'nothing on this host measures power')}"


for _name in registry.names():
    _add_command(_name)
idle.add_to(app)
profile_import.add_to(app)
profile_from_serving.add_to(app)
