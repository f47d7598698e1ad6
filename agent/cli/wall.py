"""`inferometer wall`: learns the power at the wall from the sensors of this host, for the time without a meter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.arguments import SHARED
from agent.cli.numbers import real
from agent.cli.options import JSON_HELP, configuration, discovered, fail
from agent.runtime.console import ExitCode, print_err, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.cli.stored_windows import PowerWindows
    from agent.config import Config
    from agent.energy.wall_factor import Split, WallFactor
    from agent.host.wall_state import WallRecord
    from probes.model import Channel

_SHORTEST_SECONDS, _LONGEST_SECONDS = 300.0, 7 * 86400.0
_LEVELS = (0.0, 1.0, 0.25, 0.75, 0.5)
"""The shares of busy CPUs, minute after minute."""
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_BLOCK = ("model", "accuracy_class", "range", "serial", "calibration_date")

app = typer.Typer(
    no_args_is_help=True,
    help="Learn the power at the wall for the time without a meter.\n\n"
    "A meter at the wall is needed for as long as the learning lasts. Later profiles and measurements have an "
    "additional figure, always estimated, with the boundary `wall (modeled)`; it is never part of a measured total.",
)


@app.command(epilog=SHARED)
def learn(
    context: typer.Context,
    duration: Annotated[
        float, real("Time to measure, in windows of a minute.", _SHORTEST_SECONDS, _LONGEST_SECONDS, "SECONDS")
    ] = 900,
    load: Annotated[
        bool, typer.Option("--load", help="Keep none to all CPUs busy, at another of five levels each minute.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Learn from the stored samples since an age (15m, 1d) or a time; measure nothing."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="End of the stored samples, like --since. [default: now]")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Learn the power at the wall from the other sensors.

    The power at the wall is fitted as a line over their total.

    It needs windows of a minute at five levels of load or more, of the total and of each class of device: processors,
    GPUs, other accelerators. Run workloads that reach them, use --load for the processors, or learn from the stored
    samples of a service that ran with the meter. The factor is void when the devices, the counted sensors, the power
    limits or the power supplies change. docs/wall-factor.md explains it.

    Example: inferometer wall learn --load

    Example: inferometer wall learn --since 2d
    """
    from agent.energy.wall_factor import WallFactorError, split_at_wall
    from agent.energy.wall_factor import learn as learned

    if load and since is not None:
        fail("--load: stored samples need no load; leave out --since or --load", ExitCode.USAGE)
    if until is not None and since is None:
        fail("--until: it ends stored samples, so it needs --since", ExitCode.USAGE)
    config = configuration(context)
    try:
        with discovered(config) as discovery:
            present = discovery.channels
        found = (
            _stored(context, present, since, until)
            if since is not None
            else _measured(config, present, duration, _LEVELS if load else ())
        )
        split = split_at_wall(found.working.channels)
        factor = learned(split, found.windows, found.seconds)
    except WallFactorError as error:
        fail(f"no wall factor is learned: {error}")
    record = _record(config, present, split, factor)
    path = _write(config, record)
    print_err(f"wall factor stored in {path}")
    _print(record, (), as_json=as_json)
    raise typer.Exit(found.code)


@app.command(epilog=SHARED)
def show(context: typer.Context, as_json: _Json = False) -> None:
    """Show the learned wall factor, and the reasons if it is void.

    The exit code is 1 without a factor, or if it is void.

    Example: inferometer wall show --json
    """
    from agent.energy.wall_factor import changes
    from agent.host.inventory import host_id
    from agent.host.wall_state import WallStateError, present_key, read_record

    config = configuration(context)
    try:
        record = read_record(_folder(config))
    except WallStateError as error:
        fail(str(error))
    if record is None:
        fail("no wall factor is stored; `inferometer wall learn` learns one while a meter is at the wall")
    with discovered(config) as discovery:
        void = changes(record.key, present_key(config.roots, host_id(), discovery.channels))
    _print(record, void, as_json=as_json)
    raise typer.Exit(ExitCode.FAILURE if void else ExitCode.OK)


@app.command(epilog=SHARED)
def forget(context: typer.Context, as_json: _Json = False) -> None:
    """Delete the learned wall factor.

    Example: inferometer wall forget
    """
    from agent.host.wall_state import delete_record

    folder = _folder(configuration(context))
    try:
        deleted = delete_record(folder)
    except OSError as error:
        fail(f"{folder}: the wall factor cannot be deleted ({error.strerror or error})")
    if as_json:
        print_json({"deleted": deleted})
    else:
        print_out("the wall factor is deleted" if deleted else "no wall factor is stored")


def _folder(config: Config) -> Path:
    from agent.config.paths import state_folder

    folder = state_folder(config.database)
    if folder is None:
        fail("there is no folder for the wall factor: set HOME, or give --database", ExitCode.USAGE)
    return folder


def _stored(context: typer.Context, present: Sequence[Channel], since: str, until: str | None) -> PowerWindows:
    """Return the stored windows; raise WallFactorError if their total has other sensors than this host has now."""
    from agent.cli.samples import time_range
    from agent.cli.stored_windows import stored_windows
    from agent.energy.wall_factor import WallFactorError, split_at_wall, total_inside

    found = stored_windows(context, *time_range(since, until))
    before, now = (
        {each.path for each in channels}
        for channels in (split_at_wall(found.working.channels).total, total_inside(present))
    )
    if before != now:
        names = ", ".join(sorted(before ^ now))
        raise WallFactorError(f"the total of the stored samples has other sensors than this host has now: {names}")
    return found


def _measured(config: Config, present: Sequence[Channel], seconds: float, levels: tuple[float, ...]) -> PowerWindows:
    """Measure windows of a minute; raise WallFactorError before that if no meter is at the wall."""
    from agent.cli.crosscheck import live_windows
    from agent.energy.wall_factor import LEAST_SECONDS, split_at_wall

    split_at_wall(present)
    return live_windows(config, LEAST_SECONDS, int(seconds / LEAST_SECONDS), levels)


def _record(config: Config, present: Sequence[Channel], split: Split, factor: WallFactor) -> WallRecord:
    from agent.host.inventory import host_id
    from agent.host.wall_state import WallRecord, present_key

    return WallRecord(
        schema="inferometer.wall-factor.1",
        learned=datetime.now(UTC).isoformat(timespec="seconds"),
        meters=tuple(each.path for each in split.meters),
        meter_facts={name: text for each in split.meters for name, text in each.device.attributes if name in _BLOCK},
        key=present_key(config.roots, host_id(), present),
        factor=factor,
    )


def _write(config: Config, record: WallRecord) -> Path:
    from agent.host.wall_state import write_record

    folder = _folder(config)
    try:
        return write_record(folder, record)
    except OSError as error:
        fail(f"{folder}: the wall factor cannot be stored ({error.strerror or error})")


def _print(record: WallRecord, void: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        import msgspec

        print_json({**msgspec.to_builtins(record), "void": list(void)})
    else:
        from agent.render.wall_text import wall_text

        print_out(wall_text(record, void, terminal_width()))
