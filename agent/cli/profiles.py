"""`inferometer profiles`: lists, shows, exports, imports, tags and deletes stored profiles."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.numbers import whole
from agent.cli.options import JSON_HELP, fail
from agent.cli.profile_bundles import import_bundles
from agent.cli.profile_export import export
from agent.cli.profile_validate import validate
from agent.cli.stored_profiles import (
    NEWEST,
    SOURCE_HELP,
    database_path,
    document_named,
    find,
    is_path,
    reading,
    stored_profiles,
)
from agent.cli.stores import opened
from agent.runtime.console import ExitCode, print_err, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from store.records import Profile
    from store.writer import Writer

app = typer.Typer(
    no_args_is_help=True, help="List, show, export, import, tag and delete profiles.", rich_markup_mode=None
)

_TAG = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,62}[A-Za-z0-9])?", re.ASCII)
_IMPORTED = "imported: this profile comes from another store (`profiles import`)"
_Id = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The profile: its id, the beginning of its id, its tag, or `latest` for the newest."
    ),
]
_Source = Annotated[
    str,
    typer.Argument(
        metavar="ID|FILE",
        help=f"The profile: {SOURCE_HELP}",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]


@app.command("list", epilog=SHARED)
def list_profiles(
    context: typer.Context,
    limit: Annotated[int | None, whole("List only the newest N profiles.", 1)] = None,
    workload: Annotated[
        str | None, typer.Option(metavar="NAME", help="List only the profiles of one workload, such as onnx.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """List the stored profiles, newest first.

    Each has its best point: the lowest energy per inference of the points that met their service level, else of all, or
    the highest rate if there are no energy figures. The cost is for a million output tokens, or for a million
    inferences if the model has no tokens, at the utilization given, else at full use. A profile of another store is
    `imported`.

    Example: inferometer profiles list

    Example: inferometer profiles list --limit 5 --json
    """
    from agent.render.profile_summary import COLUMNS, cells, summary
    from agent.render.tables import table

    with reading(context) as reader:
        every = list(reader.profiles()) if reader else []
    stored = [each for each in every if workload in {None, each.workload}]
    stored_workloads = {each.workload for each in every}
    found = [
        {**summary(document, profile.tag), "origin": "imported" if profile.imported else "measured"}
        for profile, document in _documents(stored[:limit])
    ]
    if as_json:
        print_json({"profiles": found})
    elif workload and stored_workloads and not stored:
        names = ", ".join(sorted(stored_workloads))
        print_err(
            f"no profiles of the workload {workload!r} in {database_path(context)}, which has profiles of {names}"
        )
    elif not found:
        print_err(f"no profiles in {database_path(context)}; make one with `inferometer profile transformer`")
    else:
        print_out(table(COLUMNS, map(cells, found)))


@app.command(epilog=SHARED)
def show(context: typer.Context, profile_id: _Source = "latest", as_json: _Json = False) -> None:
    """Show one profile, from the store or from a file.

    Example: inferometer profiles show

    Example: inferometer profiles show baseline --json

    Example: inferometer profiles show ./profile.json
    """
    from agent.render.profile_text import profile_text

    document = document_named(context, profile_id)
    if not is_path(profile_id) and find(context, profile_id).imported:
        document["notes"] = [_IMPORTED, *document["notes"]]
    if as_json:
        print_json(document)
    else:
        print_out(profile_text(document, terminal_width()))


app.command(epilog=SHARED)(export)
app.command("import", epilog=SHARED)(import_bundles)
app.command(epilog=SHARED)(validate)


@app.command(epilog=SHARED)
def tag(
    context: typer.Context,
    profile_id: _Id,
    name: Annotated[
        str | None, typer.Argument(metavar="TAG", help="At most 64 letters and digits, with . _ - between them.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tag of the profile.")] = False,
    as_json: _Json = False,
) -> None:
    """Give a profile a tag.

    The tag can be used in place of the id. A profile has one tag, and a tag has one profile.

    Example: inferometer profiles tag latest baseline

    Example: inferometer profiles tag baseline --remove
    """
    if (name is None) != remove:
        fail("give either a TAG or --remove", ExitCode.USAGE)
    if name is not None and (name == NEWEST or is_path(name) or not _TAG.fullmatch(name)):
        allowed = "use at most 64 letters and digits, with . _ - between them"
        fail(f"{name!r} is not a tag: {allowed}, but not latest, and no name that ends in .json", ExitCode.USAGE)
    profile = find(context, profile_id)
    if name and any(each.id.startswith(name) for each in stored_profiles(context)):
        fail(f"the id of a profile begins with {name!r}; choose another tag", ExitCode.USAGE)
    with _writer(context) as writer:
        writer.tag_profile(profile.id, name)
    if as_json:
        print_json({"id": profile.id, "tag": name})
    else:
        print_err(f"{profile.id} has the tag {name}" if name else f"{profile.id} has no tag")


@app.command(epilog=SHARED)
def delete(
    context: typer.Context,
    profile_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The profiles, by id or tag.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete the profiles; without it they are only listed.")] = False,
    as_json: _Json = False,
) -> None:
    """Delete profiles with their runs.

    The samples of these runs are then pruned like all other samples. Deletion cannot be undone: export the profile
    first, or copy the store with `inferometer db backup`.

    Example: inferometer profiles delete 20260131-083000-01a0 --yes
    """
    found = {profile.id: profile for profile in (find(context, each) for each in profile_ids)}
    if not yes:
        named = ", ".join(found)
        fail(f"nothing was deleted; --yes deletes {named}", ExitCode.USAGE)
    with _writer(context) as writer:
        deleted = [each for each in found if writer.delete_profile(each)]
    if as_json:
        print_json({"deleted": deleted})
    else:
        for each in deleted:
            print_err(f"deleted {each}")


def _documents(profiles: Iterable[Profile]) -> Iterator[tuple[Profile, dict[str, Any]]]:
    """Yield the profiles that this version reads with their documents, and report the others."""
    from agent.profiling.document.versions import ProfileError, parse

    for profile in profiles:
        try:
            yield profile, parse(profile.document)
        except ProfileError as error:
            print_err(f"warning: profile {profile.id} is left out: {error}")


@contextmanager
def _writer(context: typer.Context) -> Iterator[Writer]:
    """Open the store for changes of profiles; an error of the store ends the command."""
    from store.writer import Writer

    with opened(context) as engine:
        yield Writer(engine)
