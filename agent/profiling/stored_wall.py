"""Reads the stored wall factor of the measured host, and adds its figures to a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.host.wall_state import WallStateError, present_key, read_record
from agent.profiling.modeled_wall import with_modeled_wall

if TYPE_CHECKING:
    from pathlib import Path

    from agent.profiling.context import RunContext
    from agent.profiling.records import Document


def with_stored_wall(document: Document, context: RunContext, folder: Path | None) -> Document:
    """Return a profile with the modeled power at the wall, if a factor of this host is stored in `folder`."""
    if folder is None or context.is_elsewhere or context.remote is not None:
        return document
    try:
        record = read_record(folder)
    except WallStateError as error:
        return msgspec.structs.replace(document, notes=(*document.notes, str(error)))
    if record is None:
        return document
    key = present_key(context.roots, context.host.id, context.discovery.channels)
    return with_modeled_wall(document, record, key)
