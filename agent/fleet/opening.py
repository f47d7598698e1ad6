"""Opens the place of a fleet's profiles."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.fleet.database import DatabasePlace
from agent.fleet.directory import DirectoryPlace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.fleet.place import Place
    from agent.fleet.retry import Retry
    from agent.fleet.target import Target


@contextmanager
def opened_place(target: Target, retry: Retry) -> Iterator[Place]:
    """Yield a place, and close it after the block. Raises FleetError, and StoreError for a database."""
    place: Place = DirectoryPlace(target.folder) if target.folder else DatabasePlace(target, retry)
    try:
        yield place
    finally:
        place.close()
