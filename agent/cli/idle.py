"""`inferometer profile idle`: the power of the machine under its real use, without a workload."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.numbers import whole
from agent.cli.options import configuration, fail, option_value
from agent.cli.run_options import RunOptions, shared_options
from agent.cli.workload_options import take_options
from agent.render.quantities import seconds_of
from agent.runtime.console import ExitCode, print_out, terminal_width

if TYPE_CHECKING:
    from agent.config import Config
    from agent.energy.measurement import Measurement
    from agent.host.records import HostLoad

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


def _measure(config: Config, seconds: float, windows: int) -> tuple[list[Measurement], list[HostLoad | None], int]:
    """Measure windows of `seconds`; return them, the use of the processors in each, and the exit code."""
    from agent.cli.window_samples import sample_windows
    from agent.energy.measurement import measure, with_causes

    found = sample_windows(config, seconds, windows)
    measured = [
        with_causes(measure(samples.series, start_ns, end_ns, found.channels), found.faults)
        for samples, (start_ns, end_ns) in zip(found.samples, found.spans, strict=True)
    ]
    return measured, found.loads, found.code
