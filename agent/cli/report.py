"""`inferometer report`: profiles as one HTML page, or as Markdown, CSV or JSON."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.fleet_views import (
    Fleet,
    FleetOptions,
    GroupBy,
    LeftOut,
    PasswordFile,
    Since,
    Where,
    fleet_view_of,
    refuse_with_fleet,
)
from agent.cli.numbers import choice
from agent.cli.options import JSON_HELP, OutputFile, check_output_path, fail, is_default, option_value, writing
from agent.cli.stored_profiles import NEWEST, SOURCE_HELP, document_named, reading
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.comparison.fleet_records import FleetView
    from agent.cost.tariff import Tariff
    from agent.profiling.records import Document
    from agent.report.power_trace import PowerTrace
    from agent.report.view import View

MOST_PROFILES = 50
_STANDARD_OUTPUT = Path("/dev/stdout")
_HELP = f"The profiles, each by {SOURCE_HELP} [default: {NEWEST}]"
TariffFile = Annotated[
    Path | None,
    typer.Option("--tariff", metavar="FILE.toml", help="Prices in place of those in the profiles."),
]
SiteName = Annotated[
    str | None, typer.Option("--site", metavar="NAME", help="The [[site]] of the tariff whose values count.")
]


class Format(StrEnum):
    """The formats of a report."""

    HTML = "html"
    MARKDOWN = "md"
    CSV = "csv"
    JSON = "json"


def report(
    context: typer.Context,
    profile_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID|FILE]...", help=_HELP, show_default=False)
    ] = None,
    tariff: TariffFile = None,
    site: SiteName = None,
    output: OutputFile = None,
    form: Annotated[Format, choice(Format, "Format of the report.", "--format")] = Format.HTML,
    fleet: Fleet = False,
    group_by: GroupBy = None,
    since: Since = None,
    where: Where = None,
    password_file: PasswordFile = None,
    as_json: Annotated[bool, typer.Option("--json", help=f"{JSON_HELP} With -o it names the file.")] = False,
) -> None:
    """Write profiles as one page that explains them.

    The page is a single HTML file for any browser: it loads nothing, works without script and prints on A4. It begins
    with one sentence, then shows power over time, latency, energy and cost by load, a comparison of several profiles,
    the origin of each number, and all figures. `md` fits a ticket, `csv` a spreadsheet, `json` a program. HTML needs
    the extra `report`.

    With --fleet the report has the machines of a fleet as `inferometer compare --fleet` compares them; the argument is
    then the place of its profiles, by default the store. A file that is no bundle is left out, and the exit code is 1.

    Example: inferometer report latest -o report.html

    Example: inferometer report baseline latest --tariff tariff.toml -o comparison.html

    Example: inferometer report latest --format md

    Example: inferometer report --fleet /mnt/profiles -o fleet.html
    """
    options = FleetOptions(group_by, since, where, password_file)
    if fleet:
        refuse_with_fleet({"--tariff": tariff, "--site": site})
    else:
        options.refuse_without_fleet()
    if as_json and output is None:
        form = Format.JSON
    if form is Format.HTML:
        if sys.stdout.isatty() and is_default(context, "output"):
            fail(
                "a page is too long for a terminal: name a file with -o report.html, or choose --format md",
                ExitCode.USAGE,
            )
        check_extra()
    about, left_out = dict[str, Any](), LeftOut()
    with _no_garbage_collection():
        if fleet:
            view = fleet_view_of(context, profile_ids or [], options, left_out)
            text, about = _fleet_text(view, form), {"hosts": view.hosts, "source": view.source}
        else:
            views = views_named(context, profile_ids or [NEWEST], tariff, site)
            text, about = _text(views, form), {"profiles": [each.document.id for each in views]}
    if output is None:
        _print(text, form)
        left_out.end()
        return
    with writing(output) as stream:
        stream.write(text)
    print_err(f"report written to {output.absolute()}")
    if as_json:
        print_json({**about, "file": str(output.absolute())})
    left_out.end()


def _print(text: bytes, form: Format) -> None:
    """Write a report to standard output: a page unchanged, unless a terminal would obey its control characters."""
    if form is Format.HTML and not sys.stdout.isatty():
        with writing(_STANDARD_OUTPUT) as stream:
            stream.write(text)
    else:
        print_out(text.decode().removesuffix("\n"))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect no garbage while charts are drawn, which saves an eighth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_report_path(path: Path) -> None:
    """End the command if no report can be written to `path`, before a run that takes minutes."""
    check_extra()
    check_output_path(path, "--report")


def write_report(context: typer.Context, document: dict[str, Any], path: Path) -> None:
    """Write the report of a profile that was measured just now, with the stored power of its run."""
    text = _text(_views(context, [document], None), Format.HTML)
    with writing(path, "--report") as stream:
        stream.write(text)
    print_err(f"Report written to {path.absolute()}")


def write_fleet_report(context: typer.Context, path: Path) -> None:
    """Write the report of the machines of the fleet, as with `--fleet`."""
    text = _fleet_text(fleet_view_of(context, (), FleetOptions(None, None, None, None), LeftOut()), Format.HTML)
    with writing(path, "--report") as stream:
        stream.write(text)
    print_err(f"Report written to {path.absolute()}")


def check_extra() -> None:
    """End the command if the extra `report` is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "matplotlib", "numpy", "plotly") if find_spec(name) is None]
    if missing:
        fail(f"charts need the extra `report` ({missing[0]}): pip install 'inferometer[report]'", ExitCode.USAGE)


def _fleet_text(view: FleetView, form: Format) -> bytes:
    from agent.report import fleet_report

    created = _now()
    if form is Format.HTML:
        return fleet_report.fleet_page(view, created)
    if form is Format.MARKDOWN:
        return fleet_report.fleet_markdown(view, created).encode()
    return fleet_report.fleet_csv(view) if form is Format.CSV else fleet_report.fleet_json(view)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def _text(views: Sequence[View], form: Format) -> bytes:
    created = _now()
    if form is Format.HTML:
        from agent.report.page import page

        return page(views, created)
    from agent.report.text_report import csv_text, json_text, markdown_text

    writers = {Format.MARKDOWN: markdown_text, Format.CSV: csv_text, Format.JSON: json_text}
    return writers[form](views, created).encode()


def views_named(
    context: typer.Context, names: Sequence[str], tariff_file: Path | None, site: str | None
) -> tuple[View, ...]:
    """Return the profiles of these names, under the tariff if there is one, with the stored power of their runs."""
    if len(names) > MOST_PROFILES:
        fail(f"{len(names)} profiles are named: a report has at most {MOST_PROFILES}", ExitCode.USAGE)
    if site is not None and tariff_file is None:
        fail("--site names a part of a tariff: give --tariff too", ExitCode.USAGE)
    tariff = None if tariff_file is None else option_value("--tariff", str(tariff_file), partial(_load, site=site))
    return _views(context, [document_named(context, name) for name in names], tariff)


def _views(context: typer.Context, found: Sequence[dict[str, Any]], tariff: Tariff | None) -> tuple[View, ...]:
    import msgspec

    from agent.profiling.pricing import price_document
    from agent.profiling.records import Document
    from agent.report.view import views_of

    read: list[Document] = [msgspec.convert(each, Document) for each in found]
    documents = [each if tariff is None else price_document(each, tariff) for each in read]
    return views_of(documents, _traces(context, documents))


def _load(path: str, site: str | None) -> Tariff:
    from agent.cost.tariff_file import load_tariff

    return load_tariff(Path(path), site)


def _traces(context: typer.Context, documents: Sequence[Document]) -> list[PowerTrace | None]:
    """Return the power of each run over time; None without NumPy, without a store, and for a run that it lacks."""
    from importlib.util import find_spec

    from agent.report.power_trace import stored_trace

    with reading(context) as reader:
        known = reader is not None and find_spec("numpy") is not None
        return [stored_trace(reader, document) if reader and known else None for document in documents]
