"""`inferometer profiles validate`: checks files of profiles against the schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP
from agent.runtime.console import ExitCode, print_json, print_out, printable_line

if TYPE_CHECKING:
    from agent.profiling.document.faults import Fault

_SHOWN = 20


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Profiles as JSON, or bundles.")],
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Check files of profiles against the published schema.

    A profile of an earlier schema version is upgraded first. Every error has its path in the upgraded document, such as
    `$.points[0].valid`. The checksums of a bundle are checked too. The exit code is 1 if a file is not valid.

    Example: inferometer profiles validate profile.json

    Example: inferometer profiles validate *.json shared.zip --json
    """
    found = [_checked(file) for file in files]
    if as_json:
        print_json({"valid": all(each["valid"] for each in found), "files": found})
    else:
        for each in found:
            print_out(_text(each))
    if not all(each["valid"] for each in found):
        raise typer.Exit(int(ExitCode.FAILURE))


def _checked(file: Path) -> dict[str, Any]:
    from agent.profiling.document.faults import Fault

    try:
        version, found = _faults(file)
    except ValueError as error:  # of the file, or of the bundle
        version, found = None, (Fault("$", str(error)),)
    errors = [each._asdict() for each in found]
    return {"file": str(file), "valid": not errors, "schema_version": version, "errors": errors}


def _faults(file: Path) -> tuple[str | None, tuple[Fault, ...]]:
    """Return the schema version and the faults of a file. Raises ValueError if it cannot be read."""
    from agent.bundles.archive import read_bundle
    from agent.bundles.manifest import MAX_BUNDLE_BYTES, MAX_BYTES, PROFILE
    from agent.profiling.document.faults import faults
    from agent.runtime.text_input import read_bytes, read_text

    content = read_bytes(file, MAX_BUNDLE_BYTES, "a profile or a bundle")
    if content.startswith(b"PK"):
        return read_bundle(content).document["schema_version"], ()
    return faults(read_text(file, MAX_BYTES[PROFILE]))


def _text(found: dict[str, Any]) -> str:
    name, errors = printable_line(found["file"]), found["errors"]
    if not errors:
        return f"{name}: valid, schema {found['schema_version']}"
    lines = [f"  {printable_line(each['path'])}: {printable_line(each['message'])}" for each in errors[:_SHOWN]]
    more = [f"  and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
    return "\n".join([f"{name}: {len(errors)} error{'' if len(errors) == 1 else 's'}", *lines, *more])
