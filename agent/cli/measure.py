"""`inferometer measure`: the energy of a command or of a period."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.numbers import real
from agent.cli.options import JSON_HELP, configuration, fail
from agent.runtime.console import ExitCode, interruption, print_err, print_error, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cli.wall_estimate import WallEstimate
    from agent.config import Config
    from agent.energy.measurement import Measurement
    from agent.sampling.facts import SamplingConditions
    from agent.sampling.session import Recording
    from agent.workloads.runner.subprocess import Span
    from probes.model import Channel, Probe
    from probes.registry import Discovery

CONTEXT_SETTINGS = {"allow_interspersed_args": False}
_LONG_SECONDS = 5.0
"""A measurement of at least this duration prints a line at its start."""
_LONGEST_SECONDS = 366 * 86400.0


def measure(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(help="The command to measure with its own options, preferably after --.")
    ] = None,
    duration: Annotated[
        float | None, real("Measure for this time instead of a command.", 0.1, _LONGEST_SECONDS, "SECONDS")
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Withhold an energy whose uncertainty is larger, such as 5%. A --duration that is too short for the "
            "sensors is extended.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Measure energy and mean power of each device over a command or a period, with their bounds.

    The exit code is that of the command: 126 if it cannot be executed, 127 if it is not found, 128 plus the number of
    the signal that ended it. The report of a command goes to standard error, like that of `perf stat`. With --json the
    report goes to standard output, and the command's standard output to standard error.

    With --tolerance, an energy that is not accurate enough is withheld, with the time that its sensor needs. Without a
    total the exit code is 1, unless the command itself failed.

    Example: inferometer measure -- python serve_once.py

    Example: inferometer measure --duration 10 --json

    Example: inferometer measure --tolerance 1% -- ./one_request.sh
    """
    from agent.render.measurement_text import document, measurement_text, missing_total_reason, notes

    if bool(command) == (duration is not None):
        fail("give either a command after -- or --duration SECONDS", ExitCode.USAGE)
    relative_half_width = _share(tolerance)
    config = configuration(context)
    code, measured, sampler, wall = _run_measurement(
        config, command, duration or 0.0, relative_half_width, as_json=as_json
    )
    if as_json:
        found = document(measured, code if command else None, sampler)
        print_json({**found, "modeled_wall": wall.document(measured.seconds) if wall else None})
    else:
        write = print_err if command else print_out
        write(measurement_text(measured))
        if wall:
            write(wall.text())
        for note in notes(measured):
            print_err(note)
        _show_throttling(sampler)
    if measured.total is None:
        print_error(
            f"there is no total: {missing_total_reason(measured)}; see `inferometer doctor`", code or ExitCode.FAILURE
        )
        code = code or ExitCode.FAILURE
    raise typer.Exit(code)


def _share(tolerance: str | None) -> float | None:
    from agent.render.quantities import share_of

    try:
        return None if tolerance is None else share_of(tolerance)
    except ValueError as error:
        fail(f"--tolerance: {error}", ExitCode.USAGE)


def _run_measurement(
    config: Config, command: Sequence[str] | None, duration: float, tolerance: float | None, *, as_json: bool
) -> tuple[int, Measurement, SamplingConditions, WallEstimate | None]:
    from agent.cli.wall_estimate import wall_estimate
    from agent.energy.measurement import enforce_tolerance, with_causes
    from agent.energy.measurement import measure as measured_between
    from agent.runtime.clock import Timebase
    from agent.runtime.logs import configure
    from agent.runtime.measuring import announced
    from agent.sampling.calibration import UNCHANGED
    from agent.sampling.downsampling import Downsampler
    from agent.sampling.pipeline import assembled
    from agent.sampling.session import recording
    from store.records import Layout

    configure("warning")
    timebase = Timebase.now()
    with (
        announced(config.roots.sysfs),
        assembled(
            config,
            timebase,
            lambda named: [Layout(number, name, channels) for number, (name, channels) in enumerate(named)],
            lambda probes: Downsampler(probe.layout for probe in probes),
            select=lambda discovery: power_probes(discovery, config),
            realtime=config.realtime,
        ) as pipeline,
    ):
        for channel in pipeline.unchanged:
            print_err(f"warning: {channel.path}: {UNCHANGED}")
        if tolerance and not command:
            channels = [channel for layout in pipeline.layouts for channel in layout.channels]
            duration = _extended_duration(duration, channels, tolerance)
        with recording(pipeline) as active_recording:
            active_recording.wait_for_first_ticks()
            span = _run_or_sleep(command, duration, active_recording, as_json=as_json)
            active_recording.wait_for_last_ticks()
            sampler, faults = active_recording.facts(), active_recording.faults()
    start_ns, end_ns = timebase.unix_ns(span.start_ns), timebase.unix_ns(span.end_ns)
    channels = list(pipeline.discovery.channels)
    measured = with_causes(measured_between(pipeline.sink.series, start_ns, end_ns, channels), faults)
    measured = enforce_tolerance(measured, tolerance) if tolerance else measured
    return span.code, measured, sampler, wall_estimate(config, measured, channels)


def power_probes(found: Discovery, config: Config) -> list[Probe]:
    """Print the problems of the discovery, and return the probes that measure power; end the command without any."""
    from agent.energy.counted_sensors import best_channels

    for problem in found.problems:
        print_err(f"{problem.label}: {problem.sensor}: {problem.reason}")
    probes = [probe for probe in found.probes if best_channels(probe.channels)]
    if not probes:
        remedy = (
            "allow the model with --estimates" if not config.estimates else "`inferometer doctor` reports the reasons"
        )
        unreadable = [problem.sensor for problem in found.problems if problem.is_unreadable]
        cause = (
            f"cannot read {'; '.join(unreadable)}" if unreadable else f"no sensor was found below {config.roots.sysfs}"
        )
        if found.excluded:
            cause += f" (excluded: {', '.join(found.excluded)})"
        fail(f"nothing here measures power: {cause}; {remedy}")
    return probes


def _run_or_sleep(
    command: Sequence[str] | None, duration: float, active_recording: Recording, *, as_json: bool
) -> Span:
    """Run the command or wait; end this program if the command cannot be run."""
    from agent.workloads.runner.subprocess import CommandError, run, sleep

    def begin() -> None:
        if duration >= _LONG_SECONDS:
            print_err(f"measuring for {duration:g} s; Ctrl-C ends the measurement early and prints the result so far")

    def approach() -> None:
        active_recording.await_counter_refresh()
        active_recording.mark_edge()

    edge = active_recording.mark_edge
    try:
        if command:
            approach()
        span = run(command, edge, output_to_errors=as_json) if command else sleep(duration, edge, begin, approach)
    except CommandError as error:
        print_error(f"{error}; nothing was measured", error.code)
        raise typer.Exit(error.code) from None
    if span.interrupted:
        print_err(interruption("interrupted: this is the result until then", span.code))
    return span


def _extended_duration(duration: float, channels: Sequence[Channel], tolerance: float) -> float:
    """Return the duration, extended to the time that the sensors need for the tolerance."""
    from agent.energy.counted_sensors import best_channels
    from agent.energy.measurement import longest_needed_seconds
    from agent.render.tables import percent

    needed = longest_needed_seconds(best_channels(channels), tolerance)
    if needed <= duration:
        return duration
    longer = math.ceil(10 * needed) / 10
    print_err(
        f"measuring for {longer:g} s instead of {duration:g} s: a sensor needs this time for ±{percent(tolerance)}"
    )
    return longer


def _show_throttling(sampler: SamplingConditions) -> None:
    """Print the number of reads that the CPU budget dropped, if it dropped any."""
    if sampler.reads_throttled:
        print_err(
            f"the CPU budget of {sampler.cpu_budget:g} dropped {sampler.reads_throttled} reads; --cpu-budget raises it"
        )
