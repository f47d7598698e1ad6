"""The views of a fleet for `inferometer compare` and `inferometer report`: their options, and the place of profiles."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import configuration, fail, fail_with, option_value
from agent.runtime.console import ExitCode, print_err, printable_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from agent.comparison.fleet_records import FleetView
    from agent.fleet.place import Refused
    from agent.fleet.target import Target

Fleet = Annotated[bool, typer.Option("--fleet", help="Compare the machines of a fleet instead of single profiles.")]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Properties that group the machines of a fleet: hardware, engine, site, rack, owner, host, month, day. "
        "[default: hardware,engine,site,month]",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only profiles of a fleet since then: an age such as 90d, or a time."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Only points of a fleet with this hardware, engine, site, rack, owner, host, workload, model, precision, "
        "point or currency; may be given repeatedly.",
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the password of the fleet's database, with mode 0600."),
]
_NAMED = 3
"""The files that a note names."""


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """The given options of the views of a fleet."""

    group_by: str | None
    since: str | None
    where: list[str] | None
    password_file: Path | None

    def refuse_without_fleet(self) -> None:
        """End the command if one of them is given, as the command compares single profiles."""
        given = {"--group-by": self.group_by, "--since": self.since, "--where": self.where}
        for name, value in {**given, "--password-file": self.password_file}.items():
            if value:
                fail(f"{name} is an option of a fleet: give --fleet too", ExitCode.USAGE)


def refuse_with_fleet(given: Mapping[str, object]) -> None:
    """End the command if an option of single profiles is given with --fleet."""
    for name, value in given.items():
        if value:
            fail(
                f"{name} has no effect on a fleet, whose costs are those in the profiles: leave it out", ExitCode.USAGE
            )


@dataclass(slots=True)
class LeftOut:
    """The files that a command left out of its output; a reader of bundles calls `report`."""

    names: list[str] = field(default_factory=list)

    def report(self, refused: Refused) -> None:
        """Warn of a file."""
        self.names.append(printable_line(refused.name))
        print_err(f"warning: {self.names[-1]}: {printable_line(refused.reason)}; it is left out")

    def notes(self) -> tuple[str, ...]:
        """Return the note that states their number and the first names; nothing without one."""
        if not self.names:
            return ()
        more = f" and {len(self.names) - _NAMED:,} more" if len(self.names) > _NAMED else ""
        return (f"left out, as they cannot be used: {len(self.names):,} ({', '.join(self.names[:_NAMED])}{more})",)

    def end(self) -> None:
        """End the command with a failure if a file was left out."""
        if self.names:
            raise typer.Exit(ExitCode.FAILURE)


def fleet_view_of(context: typer.Context, places: Sequence[str], options: FleetOptions, left_out: LeftOut) -> FleetView:
    """Return the views of the profiles at a place: a database or a directory of bundles.

    The default is the place of the configuration, else the store. The notes state the files that are left out.
    """
    import msgspec

    from agent.fleet.views import GROUP_BY, fleet_view
    from agent.render.quantities import moment_ns
    from store.errors import StoreError
    from store.fleet_filter import PointFilter

    if len(places) > 1:
        fail(f"a fleet has one place, and {len(places)} are given: name one", ExitCode.USAGE)
    group_by = option_value("--group-by", options.group_by, _dimensions) if options.group_by else GROUP_BY
    values = tuple(option_value("--where", each, _condition) for each in options.where or ())
    now_ns = time.time_ns()
    since_ns = option_value("--since", options.since, lambda text: moment_ns(text, now_ns)) if options.since else 0
    place = places[0] if places else None
    with _points_at(context, place, options.password_file, left_out) as (name, engine):
        try:
            view = fleet_view(engine, PointFilter(since_ns, values), name, group_by)
        except StoreError as error:
            fail_with(error)
    return msgspec.structs.replace(view, notes=(*left_out.notes(), *view.notes))


@contextmanager
def _points_at(
    context: typer.Context, place: str | None, password_file: Path | None, left_out: LeftOut
) -> Iterator[tuple[str, Engine]]:
    """Open the points at a place; yield its name, without a password, and the database that has them."""
    from agent.cli.stored_profiles import database_path
    from agent.cli.stores import opened
    from agent.fleet.errors import FleetError
    from agent.fleet.target import target_of
    from store.errors import StoreError

    fleet = configuration(context).fleet
    if place is None:
        place, password_file = fleet.to, password_file or (Path(fleet.password_file) if fleet.password_file else None)
    if not place:
        with opened(context) as engine:
            yield database_path(context), engine
        return
    try:
        target = target_of(place, password_file)
    except (FleetError, StoreError) as error:
        fail(str(error), ExitCode.USAGE)
    try:
        with _points_of(target, left_out) as engine:
            yield str(target), engine
    except (FleetError, StoreError) as error:
        fail_with(error)


@contextmanager
def _points_of(target: Target, left_out: LeftOut) -> Iterator[Engine]:
    """Open the database of a fleet, or read the bundles of its directory. Raises FleetError and StoreError."""
    from agent.fleet.bundle_points import points_of_bundles
    from agent.fleet.opening import opened_place
    from agent.fleet.retry import Retry
    from store.points_in_memory import points_in_memory

    retry = Retry(print_err)
    if target.folder is None:
        engine = retry(target.engine)
        try:
            yield engine
        finally:
            engine.dispose()
        return
    with (
        opened_place(target, retry) as place,
        points_in_memory(points_of_bundles(place.bundles(0, {}), left_out.report)) as engine,
    ):
        yield engine


def _dimensions(text: str) -> tuple[str, ...]:
    """Return the properties of a list. Raises ValueError for one that is unknown, or given twice."""
    from store.fleet_filter import DIMENSIONS

    names = tuple(each.strip() for each in text.split(","))
    for name in names:
        if name not in DIMENSIONS:
            raise ValueError(f"{name!r} is none of {', '.join(DIMENSIONS)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{text!r} has a property twice; name each once")
    return names


def _condition(text: str) -> tuple[str, str]:
    """Return the property and the value of a condition. Raises ValueError."""
    from agent.runtime.text_input import is_utf8
    from store.fleet_filter import FILTERS

    if not is_utf8(text):
        raise ValueError(f"{printable_line(text)} is not UTF-8")
    name, equals, value = text.partition("=")
    if not equals or name not in FILTERS:
        raise ValueError(f"{text!r} is not NAME=VALUE, with one of {', '.join(FILTERS)} as the name")
    return name, value
