"""Whether a sum is measured, estimated or both; pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from probes.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.model import Channel


class Provenance(StrEnum):
    """The source of a number; `mixed` is a sum of measured and estimated parts."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    MIXED = "mixed"


def provenance(channels: Iterable[Channel]) -> Provenance:
    """Return the source of a sum over these channels."""
    sources = {channel.source for channel in channels}
    if sources == {Source.MEASURED, Source.ESTIMATED}:
        return Provenance.MIXED
    return Provenance.ESTIMATED if Source.ESTIMATED in sources else Provenance.MEASURED
