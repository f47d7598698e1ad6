"""`inferometer profile idle`: the power of the machine under its real use, without a workload."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.measure import power_probes
from agent.cli.numbers import whole
from agent.cli.options import configuration, fail, option_value
from agent.cli.run_options import RunOptions, shared_options
from agent.cli.workload_options import take_options
from agent.render.quantities import seconds_of
from agent.runtime.console import ExitCode, print_err, print_out, terminal_width

if TYPE_CHECKING:
    from agent.config import Config
    from agent.energy.measurement import Measurement
    from agent.host.activity import ActivityMonitor
    from agent.host.records import HostLoad
    from agent.sampling.downsampling import Downsampler
    from agent.sampling.periods import PeriodSamples
    from agent.sampling.pipeline import Pipeline
    from agent.sampling.session import Recording

_PRICES = ("tariff", "price_per_kwh", "currency", "capital", "life_years", "pue", "utilization", "as_json")
_SHORTEST_WINDOW, _LONGEST = 0.1, 366 * 86400.0
_MOST_WINDOWS = 1000
HELP = """Measure the power of this machine under its real use.

No workload runs, and nothing is stopped: the figures are those of the machine as it is used during this time, idle only
if nobody uses it. The time is divided into windows; the interval of the mean power is that of the windows, widened by
the bounds of the sensors. With prices follows the cost of an hour. Energy per inference needs a workload, so the result
is not stored as a profile.

Example: inferometer profile idle --duration 60s

Example: inferometer profile idle --duration 1h --windows 60 --price-per-kwh 0.25 --currency EUR --json
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to `inferometer profile`."""
    prices = [each for each in shared_options(runs_engine=False) if each.name in _PRICES]
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(_options, eval_str=True).parameters.values()
    ]
    take_options(measure_idle, [*own, *prices])
    app.command("idle", help=HELP, epilog=SHARED)(measure_idle)


def _options(
    duration: Annotated[str, typer.Option(metavar="TIME", help="Time to measure, such as 60s, 10m or 1h.")] = "60s",
    windows: Annotated[int, whole("Windows of equal length in this time.", 1, _MOST_WINDOWS)] = 6,
) -> None:
    """Declare the own options."""


def measure_idle(context: typer.Context, duration: str, windows: int, **values: Any) -> None:
    """Measure, and print the result."""
    run = RunOptions(**values)
    seconds = option_value("--duration", duration, seconds_of)
    if not _SHORTEST_WINDOW * windows <= seconds <= _LONGEST:
        fail(
            f"--duration: {duration} is out of range: {_SHORTEST_WINDOW:g} s for each window, to a year", ExitCode.USAGE
        )
    tariff = run.prices()
    from agent.profiling.analysis.draw import derive_draw
    from agent.render.draw_text import draw_text

    measured, loads, code = _measure(configuration(context), seconds / windows, windows)
    draw = derive_draw(measured, loads, tariff)
    if run.as_json:
        from agent.runtime.typed_json import to_json

        print_out(to_json(draw, indent=2))
    else:
        print_out(draw_text(draw, terminal_width()))
    if draw.watts is None:
        fail("there is no total: a sensor of it has no energy; see `inferometer doctor`")
    raise typer.Exit(code)


@dataclass(slots=True)
class _Windows:
    """The measured windows: their spans in Unix nanoseconds, samples and loads; `code` is that of an interruption."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    samples: list[Downsampler] = field(default_factory=list)
    loads: list[HostLoad | None] = field(default_factory=list)
    code: int = 0


def _measure(config: Config, seconds: float, windows: int) -> tuple[list[Measurement], list[HostLoad | None], int]:
    """Measure windows of `seconds`; return them, the use of the processors in each, and the exit code."""
    from agent.energy.measurement import measure, with_causes
    from agent.host.activity import ActivityMonitor
    from agent.runtime.clock import Timebase
    from agent.runtime.logs import configure
    from agent.sampling.calibration import UNCHANGED
    from agent.sampling.periods import PeriodSamples
    from agent.sampling.pipeline import assembled
    from agent.sampling.session import recording
    from probes.nvml.probe import NvmlProbe
    from store.records import Layout

    configure("warning")
    with assembled(
        config,
        Timebase.now(),
        lambda named: [Layout(number, name, channels) for number, (name, channels) in enumerate(named)],
        lambda probes: PeriodSamples([probe.layout for probe in probes]),
        select=lambda discovery: power_probes(discovery, config),
        realtime=config.realtime,
    ) as pipeline:
        for channel in pipeline.unchanged:
            print_err(f"warning: {channel.path}: {UNCHANGED}")
        monitor = ActivityMonitor(config.roots, [e for e in pipeline.discovery.probes if isinstance(e, NvmlProbe)])
        with recording(pipeline) as active_recording:
            active_recording.wait_for_first_ticks()
            print_err(f"measuring for {seconds * windows:g} s; Ctrl-C ends the measurement with the complete windows")
            found = _windows(pipeline, active_recording, monitor, seconds, windows)
            active_recording.wait_for_last_ticks()
            faults = active_recording.faults()
    channels = list(pipeline.discovery.channels)
    measured = [
        with_causes(measure(samples.series, start_ns, end_ns, channels), faults)
        for samples, (start_ns, end_ns) in zip(found.samples, found.spans, strict=True)
    ]
    return measured, found.loads, found.code


def _windows(
    pipeline: Pipeline[PeriodSamples], recording: Recording, monitor: ActivityMonitor, seconds: float, windows: int
) -> _Windows:
    """Measure windows, one after the other. An interrupted one counts only if it is the first."""
    from agent.host.activity import cpu_usage_between
    from agent.workloads.runner.subprocess import sleep

    def approach() -> None:
        recording.await_counter_refresh()
        recording.mark_edge()

    found = _Windows()
    while len(found.spans) < windows and not found.code:
        samples, before = pipeline.sink.begin(), monitor.snapshot()
        span = sleep(seconds, recording.mark_edge, approach=approach)
        after = monitor.snapshot(before)
        start_ns, end_ns = (pipeline.timebase.unix_ns(each) for each in (span.start_ns, span.end_ns))
        pipeline.sink.end(end_ns)
        if span.interrupted:
            found.code = span.code
            print_err("interrupted: this is the result until then")
        if not span.interrupted or not found.spans:
            found.spans.append((start_ns, end_ns))
            found.samples.append(samples)
            found.loads.append(cpu_usage_between(before, after))
    return found
