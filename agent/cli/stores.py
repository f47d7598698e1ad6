"""Opens the store for a command, and ends the command if the store cannot be used."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.cli.options import configuration, fail, fail_with
from agent.runtime.console import print_err

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer
    from sqlalchemy import Engine

    from store.damage import Damage

_SHOWN = 10


@contextmanager
def opened(context: typer.Context, *, create: bool = False) -> Iterator[Engine]:
    """Yield the configured store; an error of the store ends the command, as does a missing one unless `create`."""
    from agent.runtime.signals import interruptible
    from store.database import open_database
    from store.errors import StoreError

    database = configuration(context).database
    try:
        with interruptible():  # an interrupted upgrade removes its copy
            engine = open_database(database, create=create)
        try:
            yield engine
        finally:
            engine.dispose()
    except StoreError as error:
        fail_with(error)


@dataclass(slots=True)
class SkippedRows:
    """The damaged rows that a command omitted from its output; a Reader calls `report`."""

    damaged: list[Damage] = field(default_factory=list)

    def report(self, damage: Damage) -> None:
        """Warn of a damaged row, up to the first ten."""
        self.damaged.append(damage)
        if len(self.damaged) <= _SHOWN:
            print_err(f"warning: {damage}; it is left out")

    def end(self) -> None:
        """End the command with a failure if a row was omitted."""
        if self.damaged:
            fail(f"{len(self.damaged)} damaged rows were left out; see `inferometer db check --repair`")
