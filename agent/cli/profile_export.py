"""`inferometer profiles export`: writes profiles as JSON, or their points as a table."""

from __future__ import annotations

import json
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from agent.cli.numbers import choice
from agent.cli.options import OutputFile, fail, writing
from agent.cli.stored_profiles import NEWEST, SOURCE_HELP, document_named
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Sequence

_Json = dict[str, Any]
_MANY_HELP = f"The profiles, each by {SOURCE_HELP} Only a table takes more than one. [default: {NEWEST}]"


class Format(StrEnum):
    """The formats of an exported profile."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    MARKDOWN = "md"


def export(
    context: typer.Context,
    profile_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID|FILE]...", help=_MANY_HELP, show_default=False)
    ] = None,
    output: OutputFile = None,
    form: Annotated[Format, choice(Format, "Format of the file.", "--format")] = Format.JSON,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print ids and file of the profiles as JSON; needs -o with a table.")
    ] = False,
) -> None:
    """Write profiles as JSON or as a table of their points.

    JSON has the published schema. A profile of an older schema is upgraded. A table has one row for each point, with
    the units in the headings; `md` has the main columns. Parquet needs the extra `parquet` and a file (-o).

    Example: inferometer profiles export latest -o profile.json

    Example: inferometer profiles export ./old.json -o upgraded.json

    Example: inferometer profiles export baseline latest --format csv -o points.csv
    """
    names = profile_ids or [NEWEST]
    if form is not Format.JSON:
        _check_table(form, output, as_json=as_json)
    elif len(names) > 1:
        fail("JSON holds one profile: name one, or choose a table with --format csv", ExitCode.USAGE)
    documents = [document_named(context, name) for name in names]
    if output is None:
        _print(documents, form)
        return
    with writing(output) as stream:
        _write(documents, form, stream)
    ids = [document["id"] for document in documents]
    print_err(f"{', '.join(ids)} written to {output}")
    if as_json:
        one = {"id": ids[0]} if form is Format.JSON else {"ids": ids}
        print_json({**one, "file": str(output.absolute())})


def _check_table(form: Format, output: Path | None, *, as_json: bool) -> None:
    if output is None and form is Format.PARQUET:
        fail("Parquet is a binary format: name a file with -o", ExitCode.USAGE)
    if output is None and as_json:
        fail("--json prints the name of the file: name one with -o", ExitCode.USAGE)
    if form is Format.PARQUET:
        check_parquet()


def check_parquet() -> None:
    """End the command if the extra `parquet` is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401  checked before anything is read
    except ImportError as error:
        needs = f"Parquet needs the extra `parquet` ({error}): pip install 'inferometer[parquet]'"
        fail(needs, ExitCode.USAGE)


def _print(documents: Sequence[_Json], form: Format) -> None:
    from io import StringIO

    from agent.exports.tables import TEXT_WRITERS, points_table

    if form is Format.JSON:
        print_json(documents[0])
        return
    text = StringIO()
    TEXT_WRITERS[form](points_table(documents), text)
    print_out(text.getvalue().removesuffix("\n"))


def _write(documents: Sequence[_Json], form: Format, stream: BinaryIO) -> None:
    from agent.exports.tables import TEXT_WRITERS, points_table, write_parquet

    if form is Format.JSON:
        stream.write(f"{json.dumps(documents[0], indent=2, allow_nan=False)}\n".encode())
    elif form is Format.PARQUET:
        write_parquet(points_table(documents), stream)
    else:
        text = TextIOWrapper(stream, encoding="utf-8", newline="")
        TEXT_WRITERS[form](points_table(documents), text)
        text.flush()
        text.detach()
