"""The machine of a query as a result names it; pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from agent.comparison.fleet_records import Place

if TYPE_CHECKING:
    from store.fleet_records import Machine


def place_of(machine: Machine) -> Place:
    """Return the machine and its work as the record of a result."""
    return Place(**{**asdict(machine), "work": digest_text(machine.work)})


def digest_text(digest: int) -> str:
    """Return a digest of a row, a number with a sign, in hexadecimal digits."""
    return f"{digest % 2**64:016x}"
