"""`inferometer accept`: claims about a machine against its profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import JSON_HELP, fail
from agent.cli.stored_profiles import SOURCE_HELP, document_named
from agent.runtime.console import ExitCode, print_json, print_out, terminal_width

_CODES = {"met": ExitCode.OK, "missed": ExitCode.MISSED, "undecided": ExitCode.UNDECIDED}


def accept(
    context: typer.Context,
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help=f"The profile: {SOURCE_HELP}")],
    spec: Annotated[Path, typer.Option(metavar="FILE.toml", help="The claims; docs/acceptance.example.toml has all.")],
    tariff: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Prices for claims about costs, in place of those in the profile."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Check claims about a machine against its profile.

    A claim is met if the whole interval of the measurement is on the right side of its limit, missed if the whole
    interval is on the other side, and undecided in between, or if the profile lacks the figure or the point is invalid.

    The exit code is 0 if all claims are met, 5 if one is missed, and 6 if none is missed and one is undecided.
    docs/comparing.md explains the metrics.

    Example: inferometer accept latest --spec vendor.toml

    Example: inferometer accept ./profile.json --spec vendor.toml --tariff tariff.toml --json
    """
    import msgspec

    from agent.comparison.acceptance import accept as accepted
    from agent.comparison.claims import SpecError, read_spec
    from agent.cost.limits import TariffError
    from agent.cost.tariff_file import load_tariff
    from agent.profiling.pricing import price_document
    from agent.profiling.records import Document
    from agent.runtime.text_input import TextInputError, named, read_toml

    try:
        claims = read_spec(read_toml(spec))
    except (TextInputError, SpecError) as error:
        fail(f"{named(spec)}: {error}", ExitCode.USAGE)
    try:
        document = msgspec.convert(document_named(context, profile), Document)
        if tariff is not None:
            document = price_document(document, load_tariff(tariff))
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)
    except ValueError as error:
        fail(f"{profile}: {error}")
    found = accepted(document, claims)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        from agent.render.acceptance_text import acceptance_text

        print_out(acceptance_text(found, terminal_width()))
    raise typer.Exit(_CODES[found.verdict])
