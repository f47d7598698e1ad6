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
from agent.cli.profile_bundles import BundleOptions, bundle_of, check_parquet
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
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Write one file with the profile, its samples and its tariff; needs -o.")
    ] = False,
    with_samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="Whether a bundle has the samples of the run.")
    ] = True,
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign a bundle with this private key of SSH (ssh-keygen -Y sign)."),
    ] = None,
    anonymize: Annotated[
        bool,
        typer.Option(
            "--anonymize",
            help="Remove the names of host, user, devices, models' files and processes, addresses and free text, and "
            "coarsen samples to a minute.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print ids and file of the profiles as JSON; needs -o with a table.")
    ] = False,
) -> None:
    """Write profiles as JSON or as a table of their points.

    JSON has the published schema. A profile of an older schema is upgraded. A table has one row for each point, with
    the units in the headings; `md` has the main columns. A bundle is one file for another store, which `inferometer
    profiles import` reads. Parquet, and the samples of a bundle, need the extra `parquet`.

    Example: inferometer profiles export latest -o profile.json

    Example: inferometer profiles export ./old.json -o upgraded.json

    Example: inferometer profiles export baseline latest --format csv -o points.csv

    Example: inferometer profiles export latest --bundle --anonymize -o shared.zip
    """
    names = profile_ids or [NEWEST]
    if bundle:
        options = BundleOptions(anonymize, with_samples, sign)
        _export_bundle(context, names, form, output, options, as_json=as_json)
        return
    if sign is not None or not with_samples:
        fail("--sign and --no-samples are options of --bundle: add it", ExitCode.USAGE)
    if form is not Format.JSON:
        _check_table(form, output, as_json=as_json)
    elif len(names) > 1:
        fail("JSON holds one profile: name one, or choose a table with --format csv", ExitCode.USAGE)
    documents = [_document(context, name, anonymize=anonymize) for name in names]
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


def _document(context: typer.Context, name: str, *, anonymize: bool) -> _Json:
    document = document_named(context, name)
    if not anonymize:
        return document
    from agent.bundles.anonymize import Anonymizer

    return Anonymizer(document).document()


def _export_bundle(
    context: typer.Context,
    names: Sequence[str],
    form: Format,
    output: Path | None,
    options: BundleOptions,
    *,
    as_json: bool,
) -> None:
    if len(names) > 1 or form is not Format.JSON:
        fail("a bundle holds one profile, and has no --format: name one profile", ExitCode.USAGE)
    if output is None:
        fail("a bundle is a binary file: name it with -o", ExitCode.USAGE)
    document, content = bundle_of(context, names[0], options)
    with writing(output) as stream:
        stream.write(content)
    print_err(f"{document['id']} written to {output}")
    if as_json:
        print_json({"id": document["id"], "file": str(output.absolute())})


def _check_table(form: Format, output: Path | None, *, as_json: bool) -> None:
    if output is None and form is Format.PARQUET:
        fail("Parquet is a binary format: name a file with -o", ExitCode.USAGE)
    if output is None and as_json:
        fail("--json prints the name of the file: name one with -o", ExitCode.USAGE)
    if form is Format.PARQUET:
        check_parquet()


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
