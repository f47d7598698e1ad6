"""`inferometer export`: files of profiles for planners and reports of others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from agent.cli.options import JSON_HELP, fail, file_or_none, writing
from agent.cli.profile_bundles import check_parquet
from agent.cli.stored_profiles import NEWEST, SOURCE_HELP, document_named, reading
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.exports.records import Exported, Exporter, ExportError
    from agent.exports.run_power import PoweredWindow
    from agent.profiling.records import Document


def export(
    context: typer.Context,
    profiles: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROFILE...", help=f"The profiles, the newest by default: of each, {SOURCE_HELP}"),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="NAME", help="The planner; --list lists them.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            callback=file_or_none,
            help="File to write, or folder for a planner with several files; - is standard output. [default: standard "
            "output]",
        ),
    ] = None,
    tariff: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Prices in place of those in the profiles."),
    ] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A fact that a profile lacks; --list lists them."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the planners with their files and facts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Write the files of a planner.

    The files have exactly the fields that the planner reads, and state whether the power is measured or estimated. If
    the profiles lack something, nothing is written: the error lists it, with the command that measures it. Several
    files go to a folder, which is created. docs/planners.md describes each planner.

    Example: inferometer export latest --to llm-d-planner --tariff tariff.toml --set hardware=H100 -o planner/

    Example: inferometer export --list
    """
    if listed:
        _list(as_json=as_json)
        return
    from agent.exports.records import ExportError, ExportRequest
    from agent.exports.registry import exporter_named

    if to is None:
        fail(
            "--to names the planner, such as --to llm-d-planner; `inferometer export --list` lists them", ExitCode.USAGE
        )
    try:
        exporter = exporter_named(to)
        given = _pairs(facts or [])
        exporter.check(given)
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    if output is None and (exporter.folder or exporter.binary or as_json):
        fail(f"--output: give the {'folder' if exporter.folder else 'file'} to write with -o PATH", ExitCode.USAGE)
    if exporter.binary:
        check_parquet()
    named = {each.id: each for each in (_document(context, name) for name in profiles or [NEWEST])}
    documents = _priced(list(named.values()), tariff)
    try:
        exported = exporter.files(ExportRequest(documents, given, partial(_windows, context)))
    except ExportError as error:
        _refuse(exporter, error)
    except ModuleNotFoundError as error:
        remedy = f"pip install 'inferometer[{exporter.extra}]'"
        fail(f"--to {exporter.name}: {error.name} is not installed; install the extra: {remedy}", ExitCode.USAGE)
    _write(exporter, exported, output)
    for note in exported.notes:
        print_err(f"note: {note}")
    if as_json and output is not None:
        paths = [str(path.absolute()) for path in _paths(exporter, exported, output)]
        ids = [each.id for each in documents]
        print_json({"to": exporter.name, "profiles": ids, "files": paths, "notes": list(exported.notes)})


def _list(*, as_json: bool) -> None:
    from agent.exports.registry import EXPORTERS

    if as_json:
        found = [
            {
                "name": each.name,
                "summary": each.summary,
                "folder": each.folder,
                "measured_by": _measuring(each),
                "facts": {fact.name: fact.help for fact in each.facts},
            }
            for each in EXPORTERS
        ]
        print_json({"exports": found})
        return
    for each in EXPORTERS:
        print_out(f"{each.name}: {each.summary}")
        if command := _measuring(each):
            print_out(f"  measured by: {command}")
        for fact in each.facts:
            print_out(f"  --set {fact.name}=VALUE: {fact.help}")


def _measuring(exporter: Exporter) -> str | None:
    """Return the command that measures the points of a planner, None for one that takes any."""
    return f"inferometer profile endpoint --url URL --for {exporter.name}" if exporter.points else None


def _pairs(texts: list[str]) -> dict[str, str]:
    """Return the given facts. Raises ValueError for a text without `=`, and for a fact that is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text[:40]}: write it as NAME=VALUE")
        if name in found:
            raise ValueError(f"--set {name}: this fact is given twice")
        found[name] = value
    return found


def _document(context: typer.Context, name: str) -> Document:
    import msgspec

    from agent.profiling.records import Document

    try:
        return msgspec.convert(document_named(context, name), Document)
    except ValueError as error:
        fail(f"{name}: {error}")


def _priced(documents: list[Document], tariff: Path | None) -> tuple[Document, ...]:
    """Return the profiles with the costs of a tariff file; without one they have their own."""
    from agent.cost.limits import TariffError
    from agent.cost.tariff_file import load_tariff
    from agent.profiling.pricing import price_document

    if tariff is None:
        return tuple(documents)
    try:
        prices = load_tariff(tariff)
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)
    return tuple(price_document(each, prices) for each in documents)


def _windows(context: typer.Context, document: Document) -> Sequence[PoweredWindow]:
    """Return the windows of a profile with their power, none if the database does not have its run."""
    from agent.exports.run_power import powered_windows

    with reading(context) as reader:
        return powered_windows(reader, document) if reader else ()


def _refuse(exporter: Exporter, error: ExportError) -> NoReturn:
    lines = [f"nothing is written, because the profiles lack something that {exporter.name} needs:"]
    lines += [f"  - {each}" for each in error.missing]
    if error.command:
        lines.append(f"This command measures it: {error.command}")
    fail("\n".join(lines))


def _paths(exporter: Exporter, exported: Exported, output: Path) -> list[Path]:
    return [output / name for name in exported.files] if exporter.folder else [output]


def _write(exporter: Exporter, exported: Exported, output: Path | None) -> None:
    if output is None:
        (content,) = exported.files.values()
        print_out(content.decode().removesuffix("\n"))
        return
    if exporter.folder:
        try:
            for path in _paths(exporter, exported, output):
                path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            fail(f"{output}: it is not a folder, and {exporter.name} has several files; choose one", ExitCode.USAGE)
        except OSError as error:
            fail(f"{output}: it cannot be created ({error.strerror}); choose another folder with -o", ExitCode.USAGE)
    for path, content in zip(_paths(exporter, exported, output), exported.files.values(), strict=True):
        with writing(path) as stream:
            stream.write(content)
        print_err(f"written: {path}")
