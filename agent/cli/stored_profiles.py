"""The profile that a user names: one of the store, by id, beginning of an id, tag or `latest`, or a JSON file."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.options import configuration, fail, fail_with
from agent.runtime.console import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from store.reader import Reader
    from store.records import Profile

NEWEST = "latest"
SOURCE_HELP = (
    "its id, the beginning of its id, its tag, `latest` for the newest, or a JSON file of one (a name that ends in "
    ".json or contains a slash)."
)
"""The help of an argument that `document_named` reads."""
_READ = "agent.cli.stored_profiles"
_MAX_DOCUMENT_BYTES = 64 << 20
"""More than a profile of a thousand points and repeats."""


def is_path(name: str) -> bool:
    """Return whether the name of a profile is the path of a file."""
    return name.endswith(".json") or "/" in name


def document_named(context: typer.Context, name: str) -> dict[str, Any]:
    """Return the document of a stored profile, or of a file if `name` is a path."""
    if not is_path(name):
        return _document(find(context, name))
    from agent.profiling.document.codec import check
    from agent.profiling.document.versions import parse
    from agent.runtime.text_input import read_text

    try:
        document = parse(read_text(Path(name), _MAX_DOCUMENT_BYTES))
        check(document)
    except ValueError as error:  # of the file, of its schema version, or of its fields
        fail(f"{name}: {error}", ExitCode.USAGE)
    return document


def _document(profile: Profile) -> dict[str, Any]:
    from agent.profiling.document.versions import ProfileError, parse

    try:
        return parse(profile.document)
    except ProfileError as error:
        fail(f"profile {profile.id}: {error}")


def find(context: typer.Context, profile_id: str) -> Profile:
    """Return the only stored profile of that name; end the command if there is none, or more than one."""
    if _READ not in context.meta:  # once, also for a command that takes a thousand names
        context.meta[_READ] = stored_profiles(context)
    profiles: tuple[Profile, ...] = context.meta[_READ]
    if profile_id == NEWEST:
        matches = profiles[:1]
    else:
        matches = tuple(profile for profile in profiles if profile_id in {profile.id, profile.tag})
        matches = matches or tuple(profile for profile in profiles if profile.id.startswith(profile_id))
    if not matches:
        stored = f"no profile {profile_id!r} is stored in {database_path(context)}"
        fail(f"{stored}; `inferometer profiles list` lists the stored ones")
    if len(matches) > 1:
        names = ", ".join(profile.id for profile in matches)
        fail(f"{profile_id!r} is the beginning of several ids: {names}; give more characters", ExitCode.USAGE)
    return matches[0]


def stored_profiles(context: typer.Context) -> tuple[Profile, ...]:
    """Return the stored profiles, newest first."""
    with reading(context) as reader:
        return reader.profiles() if reader else ()


def database_path(context: typer.Context) -> str:
    """Return the path or the URL of the store for a message."""
    from store.url import display, parse

    return display(parse(configuration(context).database))


@contextmanager
def reading(context: typer.Context) -> Iterator[Reader | None]:
    """Open the store for reading; None if it does not exist yet."""
    from agent.cli.stores import SkippedRows
    from agent.runtime.signals import interruptible
    from store.database import open_database
    from store.errors import MissingDatabaseError, StoreError
    from store.reader import Reader

    config = configuration(context)
    try:
        with interruptible():  # an interrupted upgrade removes its copy
            engine = open_database(config.database, create=False)
    except MissingDatabaseError:
        yield None
        return
    except StoreError as error:
        fail_with(error)
    try:
        yield Reader(engine, SkippedRows().report)
    except StoreError as error:
        fail_with(error)
    finally:
        engine.dispose()
