"""`inferometer plot`: one chart of a profile as an image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.numbers import choice
from agent.cli.options import JSON_HELP, check_output_path, fail, writing
from agent.cli.report import SiteName, TariffFile, check_extra, views_named
from agent.cli.stored_profiles import NEWEST, SOURCE_HELP
from agent.runtime.console import ExitCode, print_err, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.report.chart import Chart
    from agent.report.view import View

_HELP = f"The profiles, each by {SOURCE_HELP} [default: {NEWEST}]"
_SUFFIXES = (".svg", ".png")


class What(StrEnum):
    """The charts that can be drawn."""

    POWER = "power"
    LATENCY = "latency"
    THROUGHPUT = "throughput"
    ENERGY = "energy"
    IDLE = "idle"
    COST = "cost"
    PARTS = "parts"
    BREAKEVEN = "breakeven"


_REMEDIES = {
    What.POWER: "the store has no samples of its run",
    What.ENERGY: "it has no figures of energy",
    What.IDLE: "no idle power was measured",
    What.COST: "it has no complete prices: give them with --tariff",
    What.PARTS: "it has no prices: give them with --tariff",
    What.BREAKEVEN: "it has no complete prices, or no idle power: give prices with --tariff",
}


def plot(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; its name ends in .svg or .png.")
    ],
    what: Annotated[What, choice(What, "The chart.", "--what")],
    profile_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID|FILE]...", help=_HELP, show_default=False)
    ] = None,
    tariff: TariffFile = None,
    site: SiteName = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Draw one chart of a profile, or of several, as SVG or PNG.

    The charts are those of `inferometer report`. `breakeven` shows the cost by utilization beside the offers of the
    tariff. The command needs the extra `report`.

    Example: inferometer plot latest --what energy -o energy.svg

    Example: inferometer plot baseline latest --what breakeven --tariff tariff.toml -o breakeven.png
    """
    if output.suffix not in _SUFFIXES:
        fail(f"{output}: the name of the image must end in .svg or .png", ExitCode.USAGE)
    check_output_path(output)
    check_extra()
    from agent.report.static_image import image

    views = views_named(context, profile_ids or [NEWEST], tariff, site)
    if what is What.POWER and len(views) > 1:
        fail("the chart of power shows one run: name one profile", ExitCode.USAGE)
    chart = _chart(what, views)
    if chart is None:
        labels = ", ".join(view.document.id for view in views)
        fail(f"profile {labels} has no chart of {what}: {_REMEDIES.get(what, 'it has no such figures')}")
    drawn = image(chart, "svg" if output.suffix == ".svg" else "png")
    with writing(output) as stream:
        stream.write(drawn)
    print_err(f"{what} of {', '.join(view.document.id for view in views)} written to {output.absolute()}")
    if as_json:
        print_json({"what": what, "profiles": [view.document.id for view in views], "file": str(output.absolute())})


def _chart(what: What, views: Sequence[View]) -> Chart | None:
    from agent.report.content import charts_of

    key = {What.BREAKEVEN: "utilization", What.POWER: "power-0"}.get(what, str(what))
    return next((chart for charts in charts_of(views).values() for chart in charts if chart.key == key), None)
