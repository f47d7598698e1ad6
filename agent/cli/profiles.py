"""`inferometer profiles`: what was profiled here before."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, SHARED, ExitCode, answer_json, configuration, fail, say, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from store.reader import Reader
    from store.records import Profile

app = typer.Typer(no_args_is_help=True, help="List, show and export stored profiles.", rich_markup_mode=None)

_Id = Annotated[str, typer.Argument(metavar="ID", help="The profile, or how its id begins; `latest` is the newest.")]
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]


@app.command("list", epilog=SHARED)
def list_profiles(
    context: typer.Context,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the newest N.")] = None,
    workload: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of a workload: transformer or onnx.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """List the stored profiles, newest first, each with its best point: the one of the least energy per inference.

    Without energy figures the best point is that of the highest rate. The cost is that of a million output tokens, or
    of a million inferences where there are no tokens, at the utilization given, else at full use.

    Example: inferometer profiles list

    Example: inferometer profiles list --limit 5 --json
    """
    from agent.cli.profile_summary import COLUMNS, cells, summary
    from agent.cli.tables import show

    with _reader(context) as reader:
        stored = [each for each in reader.profiles() if workload in {None, each.workload}] if reader else []
    found = [summary(document) for document in _documents(stored[:limit])]
    if as_json:
        answer_json({"profiles": found})
    elif not found:
        say(f"no profiles in {_place(context)}; make one with `inferometer profile transformer`")
    else:
        show(COLUMNS, map(cells, found))


@app.command(epilog=SHARED)
def show(context: typer.Context, profile_id: _Id = "latest", as_json: _Json = False) -> None:
    """Show one profile.

    Example: inferometer profiles show latest
    """
    from agent.cli.report import show_profile

    document = _document(_find(context, profile_id))
    if as_json:
        answer_json(document)
    else:
        show_profile(document)


@app.command(epilog=SHARED)
def export(
    context: typer.Context,
    profile_id: _Id = "latest",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; standard output if none.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say as JSON which file was written; a profile is JSON already.")
    ] = False,
) -> None:
    """Write one profile as a JSON document of the published schema; an older profile is upgraded to it.

    Example: inferometer profiles export latest -o profile.json
    """
    profile = _find(context, profile_id)
    document = _document(profile)
    if output is None:
        answer_json(document)
        return
    with writing(output) as stream:
        stream.write(f"{json.dumps(document, indent=2, allow_nan=False)}\n".encode())
    say(f"{profile.id} written to {output}")
    if as_json:
        answer_json({"id": profile.id, "file": str(output.absolute())})


def _documents(profiles: Iterable[Profile]) -> Iterator[dict[str, Any]]:
    """Yield the documents of the profiles that this version reads, and report the others."""
    from agent.profiling.versions import ProfileError, parse

    for profile in profiles:
        try:
            yield parse(profile.document)
        except ProfileError as error:
            say(f"warning: profile {profile.id} is left out: {error}")


def _document(profile: Profile) -> dict[str, Any]:
    from agent.profiling.versions import ProfileError, parse

    try:
        return parse(profile.document)
    except ProfileError as error:
        fail(f"profile {profile.id}: {error}")


def _find(context: typer.Context, profile_id: str) -> Profile:
    with _reader(context) as reader:
        profiles = reader.profiles() if reader else ()
    if profile_id == "latest":
        matches = profiles[:1]
    else:
        matches = tuple(profile for profile in profiles if profile.id == profile_id)
        matches = matches or tuple(profile for profile in profiles if profile.id.startswith(profile_id))
    if not matches:
        stored = f"no profile {profile_id!r} is stored in {_place(context)}"
        fail(f"{stored}; `inferometer profiles list` names those that are")
    if len(matches) > 1:
        names = ", ".join(profile.id for profile in matches)
        fail(f"{profile_id!r} is the beginning of several profiles: {names}; give more of it", ExitCode.USAGE)
    return matches[0]


def _place(context: typer.Context) -> str:
    from store.address import display, parse

    return display(parse(configuration(context).database))


@contextmanager
def _reader(context: typer.Context) -> Iterator[Reader | None]:
    """Open the store to read; None where there is none yet."""
    from agent.cli.stores import LeftOut
    from store.database import open_database
    from store.errors import MissingDatabaseError, StoreError
    from store.reader import Reader

    config = configuration(context)
    try:
        engine = open_database(config.database, create=False)
    except MissingDatabaseError:
        yield None
        return
    except StoreError as error:
        fail(str(error))
    try:
        yield Reader(engine, LeftOut().report)
    except StoreError as error:
        fail(str(error))
    finally:
        engine.dispose()
