"""`inferometer profile`: the main job, from a workload to a stored profile."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import check_output_path, configuration, fail
from agent.cli.run_options import RunOptions, with_run_options
from agent.runtime.console import ExitCode, print_err, print_out, terminal_width
from agent.workloads.spec import Positions, Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.profiling.run import RunResult
    from agent.profiling.sweep import Progress
    from agent.runtime.interrupts import Interruption
    from agent.workloads.errors import WorkloadError
    from agent.workloads.spec import EngineSpec, Spec

app = typer.Typer(
    no_args_is_help=True,
    help="Measure what an inference costs on this host, and keep the profile.",
    rich_markup_mode=None,
)


@app.command(epilog=SHARED)
@with_run_options(batch="1,2,4,8")
def transformer(
    context: typer.Context,
    *,
    layers: Annotated[int, typer.Option(help="Decoder layers.")] = 4,
    width: Annotated[int, typer.Option(help="Width of the model.")] = 256,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 4,
    vocabulary: Annotated[int, typer.Option(help="Size of the vocabulary.")] = 8192,
    mlp_ratio: Annotated[float, typer.Option(help="Width of the feed-forward over the width.")] = 3.5,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens read at once.")] = 64,
    output_tokens: Annotated[int, typer.Option(help="Tokens written one by one.")] = 32,
    positions: Annotated[Positions, typer.Option(help="How positions are told apart.")] = "rope",
    precision: Annotated[Precision, typer.Option(help="Precision of the weights.")] = "fp32",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights.")] = 0,
    run: RunOptions,
) -> None:
    """Profile a decoder-only transformer with random weights: prefill and decode, over a sweep of batch sizes.

    Time and energy depend on shapes and precision, not on what the weights are, so the model is built here from a
    seed and nothing is downloaded. Without prices there is energy and time, and no money.

    Example: inferometer profile transformer

    Example: inferometer profile transformer --layers 12 --width 768 --heads 12 --standard

    Example: inferometer profile transformer --price-per-kwh 0.21 --currency EUR --capital 9000
    """
    from agent.workloads.spec import TransformerSpec

    try:
        spec = TransformerSpec(
            1, layers, width, heads, vocabulary, mlp_ratio, prompt_tokens, output_tokens, positions, precision, seed
        )
        engine = _engine(run)
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    _profile(context, spec, engine, run)


@app.command(epilog=SHARED)
@with_run_options(batch="1")
def onnx(
    context: typer.Context,
    *,
    model: Annotated[Path, typer.Option(metavar="FILE.onnx", exists=True, dir_okay=False, help="The model file.")],
    shape: Annotated[
        list[str] | None, typer.Option(metavar="NAME=1x3x224x224", help="Shape of an input that the model leaves open.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE|FILE",
            help="Value of an input: a number or list, broadcast to its shape, or an array in a .npy or .npz file.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs.")] = 0,
    run: RunOptions,
) -> None:
    """Profile any ONNX model; one inference is one run of its graph.

    Inputs without a value are synthetic: random floats of the declared shape, and 0 and 1 for integers. Integers and
    scalars often decide how much a model computes (lengths, loop counts, sample rates), so give those with --input.

    If only the first dimension of every input is open, it is the batch: --batch sweeps it, and one inference is one
    element of it. An array of --input then needs one row, or as many as the largest batch.

    Example: inferometer profile onnx --model resnet50.onnx --shape data=1x3x224x224

    Example: inferometer profile onnx --model vad.onnx --input sr=16000 --input input=speech.npy

    Example: inferometer profile onnx --model mobilenet.onnx --batch 1,8,32 --tariff tariff.toml
    """
    from agent.workloads.input_spec import parse_inputs
    from agent.workloads.spec import OnnxSpec, parse_shapes

    check_output_path(model)
    try:
        inputs = parse_inputs(given or [])
        for file in {each.file for each in inputs.values() if each.file}:
            check_output_path(file)
        spec = OnnxSpec(model.absolute(), parse_shapes(shape or []), seed, inputs)
        engine = _engine(run)
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    _profile(context, spec, engine, run)


def _engine(run: RunOptions) -> EngineSpec:
    from agent.runtime.cgroup import read_limits
    from agent.workloads.spec import EngineSpec
    from probes.model import Roots

    usable = len(os.sched_getaffinity(0))
    if run.threads > usable:
        raise ValueError(f"--threads {run.threads}: this process may use {usable} CPUs; give at most {usable}")
    limits = read_limits(Roots())
    # The engine's own choice is one thread a core of the host, of which a quota or a CPU set grants fewer.
    limited = limits.quota_cpus is not None or usable < (os.cpu_count() or usable)
    return EngineSpec(run.provider, run.threads or (limits.engine_threads if limited else 0))


def _profile(context: typer.Context, spec: Spec, engine: EngineSpec, options: RunOptions) -> None:
    axes, plan, tariff, seed = {"batch": options.batches()}, options.plan(), options.prices(), options.seed()
    limits = options.limits()
    config = configuration(context)
    from agent.cli.progress import progress
    from agent.profiling.context import ProfileRequest, RunPolicy
    from agent.profiling.run import UnsupportedWorkloadError, run
    from agent.runtime import logs as log
    from agent.runtime.interrupts import Interruption
    from agent.workloads.errors import WorkloadError
    from agent.workloads.limits import check_memory
    from store.errors import StoreError

    log.configure("warning")
    interruption = Interruption()
    request = ProfileRequest(spec, engine, axes, plan, tariff, seed, limits)
    try:
        check_memory(spec, engine, request.points, limits)
    except WorkloadError as error:
        fail(_reason(error), ExitCode.USAGE)
    try:
        with progress() as shown, interruption.caught():
            policy = RunPolicy(not options.no_store, options.require_energy, _confirmation(shown, force=options.force))
            outcome = run(request, config, shown, interruption, policy)
    except WorkloadError as error:
        fail(_reason(error), ExitCode.USAGE if isinstance(error, UnsupportedWorkloadError) else ExitCode.FAILURE)
    except StoreError as error:
        fail(str(error) if options.no_store else f"{error}; or profile without a database: --no-store")
    if outcome.document is not None:
        _show(outcome.document, outcome, context.obj.given.get("database"), as_json=options.as_json)
    _end(outcome, interruption, needs_energy=options.require_energy)


def _confirmation(shown: Progress, *, force: bool) -> Callable[[str], bool]:
    """Return how to decide whether to go on: with a warning under --force, else by asking."""

    def proceed(reason: str) -> bool:
        if force:
            shown.note(f"warning: {reason}")
        return force or shown.confirm(f"warning: {reason}.")

    return proceed


def _reason(error: WorkloadError) -> str:
    return f"{error}. Remedy: {error.remedy}" if error.remedy else str(error)


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


def _end(outcome: RunResult, interruption: Interruption, *, needs_energy: bool) -> None:
    """Report how the run ended, and end the command with the exit code for it."""
    kept = "this profile has everything that was complete by then"
    if outcome.document is None:
        kept = "no repeat was complete by then, so there is no profile"
    lost = f"the profile above is not stored: {outcome.store_error}; or use --no-store" if outcome.store_error else ""
    if lost and (outcome.failure or outcome.interrupted):
        print_err(f"warning: {lost}")
    if outcome.failure:
        fail(f"{_reason(outcome.failure)}\n{kept}")
    if outcome.interrupted:
        print_err(f"interrupted: the workload was stopped; {kept}")
        raise typer.Exit(interruption.exit_code)
    points_without_energy = _points_without_energy(outcome.document) if outcome.document else ""
    if points_without_energy and needs_energy:
        fail(f"--require-energy: {points_without_energy}")
    if points_without_energy:
        print_err(f"warning: {points_without_energy}")
    if lost:
        fail(lost)


def _points_without_energy(document: dict[str, Any]) -> str:
    """Return which points have no energy, and why, in one line; empty if all have theirs."""
    without = [point for point in document["points"] if point["energy"] is None]
    if not without:
        return ""
    checks = [check for point in without for check in point["checks"]]
    reasons = (c["message"] for c in checks if c["status"] == "failed" and c["severity"] == "invalid")
    names = ", ".join(point["name"] for point in without)
    return f"no energy for {names}: {next(reasons, 'nothing on this host measures power')}"
