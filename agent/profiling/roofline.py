"""The roofline of a host: its ceilings, and the phases of profiles below them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.profiling.ceiling import ceilings, device_of
from agent.profiling.run_facts import Ceiling  # noqa: TC001  msgspec resolves the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


class PlacedPhase(msgspec.Struct, frozen=True):
    """A phase of a point with both counts: operations for each byte, and operations per second."""

    profile: str
    point: str
    phase: str
    operations_per_byte: float
    operations_per_second: float
    share_of_ceiling: float | None


class Roofline(msgspec.Struct, frozen=True):
    """The ceilings of a device of a host, one for each type, and phases of profiles."""

    host: str
    device: str
    ceilings: tuple[Ceiling, ...]
    phases: tuple[PlacedPhase, ...]


def roofline(
    stored: Iterable[Mapping[str, Any]], host: str, device: str, placed: Sequence[Mapping[str, Any]] = ()
) -> Roofline:
    """Return the roofline of a device from `stored` profiles, newest first, with the phases of `placed` ones."""
    phases = tuple(phase for document in placed for phase in _phases(document))
    return Roofline(host, device, ceilings(stored, host, device), phases)


def devices(stored: Iterable[Mapping[str, Any]], host: str) -> tuple[str, ...]:
    """Return the devices of a host in profiles, in their order."""
    return tuple(dict.fromkeys(device_of(each["engine"]) for each in stored if each["host"]["id"] == host))


def _phases(document: Mapping[str, Any]) -> Iterator[PlacedPhase]:
    for point in document["points"]:
        for work in point["work"]:
            if work["operations_per_second"] and work["bytes_per_second"]:
                yield PlacedPhase(
                    document["id"],
                    point["name"],
                    work["phase"],
                    work["operations_per_inference"] / work["moved_bytes_per_inference"],
                    work["operations_per_second"]["mean"],
                    work["share_of_ceiling"],
                )
