"""The options `--id` and `--bundle` of `inferometer profile`: one profile of an id, and a bundle of it."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli.options import check_output_path, fail, writing
from agent.cli.stored_profiles import reading
from agent.runtime.console import ExitCode, print_err, printable_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.cli.run_options import RunOptions
    from agent.config import Config
    from agent.profiling.run_result import RunResult

_STANDARD_OUTPUT = Path("/dev/stdout")


def is_standard_output(bundle: Path | None) -> bool:
    """Return whether a bundle is written to standard output, in place of the profile."""
    return bundle == _STANDARD_OUTPUT


def check_once(options: RunOptions) -> None:
    """End the command, before it measures, if an id or the path of a bundle cannot be used."""
    from agent.bundles.manifest import BundleError, check_uid

    if options.profile_id is not None:
        if options.no_store:
            fail("--id finds a stored profile again: leave out --no-store", ExitCode.USAGE)
        try:
            check_uid(options.profile_id)
        except BundleError as error:
            fail(f"--id: {error}", ExitCode.USAGE)
    if options.bundle is None:
        return
    if is_standard_output(options.bundle):
        if options.as_json:
            fail("--json and --bundle /dev/stdout both write standard output: give one", ExitCode.USAGE)
    else:
        check_output_path(options.bundle, "--bundle")


@contextmanager
def alone(config: Config, profile_id: str | None) -> Iterator[None]:
    """Hold the turn of this store during the block if the profile has an id of its own."""
    if profile_id is None:
        yield
        return
    from agent.config.paths import state_folder
    from agent.profiling.turns import turn

    folder = state_folder(config.database)

    def waits(other: str) -> None:
        print_err(f"waiting for profile {printable_line(other)}, which is being measured")

    with ExitStack() as stack:
        try:
            stack.enter_context(turn(folder, profile_id, waits))
        except OSError as error:
            fail(f"{folder}: the turn of this store cannot be taken ({error.strerror or error}); check its permissions")
        yield


def stored_result(context: typer.Context, options: RunOptions, points: int) -> RunResult | None:
    """Return the result of the complete profile of `points` that is stored under an id, None if there is none.

    With --require-energy a profile with a point without energy is not complete: its sensors may work now.
    """
    if options.profile_id is None:
        return None
    with reading(context) as reader:
        found = reader.profile(options.profile_id) if reader else None
    if found is None:
        return None
    from agent.profiling.document.versions import ProfileError, parse
    from agent.profiling.run_result import RunResult

    try:
        document: dict[str, Any] = parse(found.document)
    except ProfileError as error:
        fail(f"profile {found.id}: {error}")
    if document["status"] != "complete" or len(document["points"]) < points:
        return None
    if options.require_energy and any(point["energy"] is None for point in document["points"]):
        return None
    print_err(f"profile {found.id} is stored already: nothing was measured")
    return RunResult(json.dumps(document, indent=2), document, None)


def write_bundle(document: dict[str, Any], path: Path) -> None:
    """Write a profile as a bundle without samples."""
    from agent.bundles.manifest import BundleError
    from agent.bundles.writing import bundle_bytes

    try:
        content = bundle_bytes(document, None, None)
    except BundleError as error:
        fail(f"--bundle: {error}")
    with writing(path, "--bundle") as stream:
        stream.write(content)
    print_err(f"Bundle written to {path}")
