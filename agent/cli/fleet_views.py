"""The views of a fleet for `inferometer compare` and `inferometer report`: their options."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import fail, option_value
from agent.runtime.console import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.comparison.fleet_records import FleetView

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


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """The given options of the views of a fleet."""

    group_by: str | None
    since: str | None
    where: list[str] | None

    def refuse_without_fleet(self) -> None:
        """End the command if one of them is given, as the command compares single profiles."""
        for name, value in {"--group-by": self.group_by, "--since": self.since, "--where": self.where}.items():
            if value:
                fail(f"{name} is an option of a fleet: give --fleet too", ExitCode.USAGE)


def refuse_with_fleet(given: Mapping[str, object]) -> None:
    """End the command if an option of single profiles is given with --fleet."""
    for name, value in given.items():
        if value:
            fail(
                f"{name} has no effect on a fleet, whose costs are those in the profiles: leave it out", ExitCode.USAGE
            )


def fleet_view_of(context: typer.Context, names: Sequence[str], options: FleetOptions) -> FleetView:
    """Return the views of all profiles in the store; `names` of single ones end the command."""
    from agent.cli.stored_profiles import database_path
    from agent.cli.stores import opened
    from agent.fleet.views import GROUP_BY, fleet_view
    from agent.render.quantities import moment_ns
    from store.fleet_filter import PointFilter

    if names:
        fail("--fleet compares all profiles of the store: name none; --database names another store", ExitCode.USAGE)
    group_by = option_value("--group-by", options.group_by, _dimensions) if options.group_by else GROUP_BY
    values = tuple(option_value("--where", each, _condition) for each in options.where or ())
    now_ns = time.time_ns()
    since_ns = option_value("--since", options.since, lambda text: moment_ns(text, now_ns)) if options.since else 0
    with opened(context) as engine:
        return fleet_view(engine, PointFilter(since_ns, values), database_path(context), group_by)


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
    from store.fleet_filter import FILTERS

    name, equals, value = text.partition("=")
    if not equals or name not in FILTERS:
        raise ValueError(f"{text!r} is not NAME=VALUE, with one of {', '.join(FILTERS)} as the name")
    return name, value
