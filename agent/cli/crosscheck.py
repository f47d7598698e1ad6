"""`inferometer crosscheck`: each meter of this host against the sum of the sensors below it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.numbers import real, whole
from agent.cli.options import JSON_HELP, configuration, fail
from agent.runtime.console import ExitCode, print_err, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.cli.stored_windows import PowerWindows
    from agent.config import Config
    from probes.model import Channel

_SHORTEST_WINDOW, _LONGEST_SECONDS = 1.0, 86400.0
_LEVELS = (0.0, 1.0)
"""The shares of busy CPUs, window after window."""
_SETTLE_SECONDS = 0.5
"""The time after a change of the load before a window begins."""
_NOTHING = (
    "nothing to compare: no sensor of this host measures what a larger meter measures as well, such as psys over its "
    "packages; a wall meter in [[meters]] compares all of them (docs/crosscheck.md)"
)


def crosscheck(
    context: typer.Context,
    duration: Annotated[float, real("Time to measure.", 3.0, _LONGEST_SECONDS, "SECONDS")] = 60,
    windows: Annotated[int, whole("Windows of equal length in this time; few long ones decide most.", 2, 1000)] = 4,
    load: Annotated[
        bool, typer.Option("--load", help="Load no CPU and all of them in turn, window after window.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Compare the stored samples since an age (15m, 1d) or a time, and measure nothing.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="End of the stored samples, like --since. [default: now]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Compare each meter of this host with the sum of the sensors below it.

    The layers are the wall, the power supplies, psys or the meter of a module, and packages, memory and accelerators.
    The power of a meter is a line over the sum below it: a slope below 1 means that the sum has a part twice, a slope
    far above 1 that a part that varies with the load has no sensor, and an offset is the constant power without one.
    The windows need at least two levels of load: run a workload for a part of the time, use --load, or compare stored
    samples. docs/crosscheck.md explains the verdicts.

    The exit code is 0 if no layer has a part twice or lacks one that varies, 5 if one does, and 6 if the bounds of the
    sensors do not decide about one.

    Example: inferometer crosscheck --load

    Example: inferometer crosscheck --duration 300 --json

    Example: inferometer crosscheck --since 1d
    """
    import msgspec

    from agent.energy.crosscheck import Verdict, cross_check_layers
    from agent.profiling.analysis.layer_checks import layer_check

    if load and since is not None:
        fail("--load: stored samples need no load; leave out --since or --load", ExitCode.USAGE)
    if until is not None and since is None:
        fail("--until: it ends stored samples, so it needs --since", ExitCode.USAGE)
    if duration < _SHORTEST_WINDOW * windows:
        fail(f"--duration: {windows} windows need {_SHORTEST_WINDOW * windows:g} s or more", ExitCode.USAGE)
    if since is not None:
        found = _stored(context, since, until)
    else:
        found = live_windows(
            configuration(context), duration / windows, windows, _LEVELS if load else (), _require_layers
        )
    checks = [layer_check(each) for each in cross_check_layers(found.working.channels, found.windows)]
    plain = [msgspec.to_builtins(each) for each in checks]
    if not checks:
        fail(_NOTHING)
    if as_json:
        print_json({"windows": len(found.windows), "window_seconds": found.seconds, "cross_checks": plain})
    else:
        from agent.render.crosscheck_text import crosscheck_text

        print_out(crosscheck_text(plain, terminal_width()))
    verdicts = {each.verdict for each in checks}
    if verdicts & {Verdict.DOUBLE_COUNTED, Verdict.DYNAMIC_PART_MISSING}:
        raise typer.Exit(found.code or ExitCode.MISSED)
    raise typer.Exit(found.code or (ExitCode.UNDECIDED if Verdict.UNDETERMINED in verdicts else ExitCode.OK))


def _stored(context: typer.Context, since: str, until: str | None) -> PowerWindows:
    from agent.cli.samples import time_range
    from agent.cli.stored_windows import stored_windows

    found = stored_windows(context, *time_range(since, until))
    if not found.windows:
        fail("no minute of this time has stored samples; `inferometer db status` reports the oldest and the newest")
    print_err(f"{len(found.windows)} windows of {found.seconds:g} s")
    return found


def _require_layers(channels: Sequence[Channel]) -> None:
    """Exit with the reason if no meter of the host contains another sensor."""
    from agent.energy.layers import layers
    from probes.model import ENERGY_METRICS

    if not layers(each for each in channels if each.metric in ENERGY_METRICS):
        fail(_NOTHING)


def live_windows(
    config: Config,
    seconds: float,
    windows: int,
    levels: tuple[float, ...],
    check: Callable[[Sequence[Channel]], object] = lambda _: None,
) -> PowerWindows:
    """Measure windows, with a load on the CPUs at these levels in turn, or without one.

    `check` is called with the channels of the host before the first window, and may raise.
    """
    from agent.cli.cpu_load import cpu_load
    from agent.cli.stored_windows import PowerWindows
    from agent.cli.window_samples import sample_windows
    from agent.energy.counted_sensors import best_series
    from agent.energy.crosscheck import powers
    from agent.energy.window import SeriesEnergy

    found = PowerWindows(seconds)
    with cpu_load() as load:

        def before(number: int) -> None:
            if levels:
                load.set(levels[number % len(levels)])
                time.sleep(_SETTLE_SECONDS)

        sampled = sample_windows(config, seconds, windows, before, check)
    found.code = sampled.code
    for samples, (start_ns, end_ns) in zip(sampled.samples, sampled.spans, strict=True):
        series = best_series(samples.series)
        found.working.add(series)
        found.windows.append(powers([SeriesEnergy(each) for each in series], start_ns, end_ns))
    return found
