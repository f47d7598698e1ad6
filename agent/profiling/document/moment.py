"""Reads the time of a document."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(text: str) -> datetime:
    """Return a time of a document (ISO 8601) in UTC, which is also its zone if it states none.

    Raises ValueError and OverflowError for a text that is no time.
    """
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
