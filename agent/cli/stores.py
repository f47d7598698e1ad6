"""Opens the store for a command that is about what it holds, and ends the command where that cannot be done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.cli.options import configuration, fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer
    from sqlalchemy import Engine


@contextmanager
def opened(context: typer.Context) -> Iterator[Engine]:
    """Yield the store that is configured; one that is missing, or that goes wrong meanwhile, ends the command."""
    from store.database import open_database
    from store.errors import StoreError

    database = configuration(context).database
    try:
        engine = open_database(database, create=False)
        try:
            yield engine
        finally:
            engine.dispose()
    except StoreError as error:
        fail(str(error))
