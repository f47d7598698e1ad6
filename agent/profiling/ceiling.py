"""The measured ceiling of a host, and the share of it that phases reach; pure.

It is the roofline of Williams, Waterman and Patterson (2009): a phase takes at least the longer of the times for its
operations at the highest rate of `gemm`, and for its bytes at the highest rate of `stream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.profiling.run_facts import Ceiling

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.profiling.records import Document, PhaseWork, Point
    from agent.profiling.run_facts import WorkloadFacts

GEMM, STREAM = "gemm", "stream"
TIMED = "window_matches_iterations"
"""The check of the times of a window against those of its iterations."""


class _Rate:
    """The highest rate in the newest profile of each engine."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, float]] = {}

    def add(self, engine: str, profile: str, rate: float) -> None:
        """Add a rate of a profile; profiles come newest first."""
        newest, highest = self._of.setdefault(engine, (profile, 0.0))
        if newest == profile:
            self._of[engine] = profile, max(highest, rate)

    @property
    def highest(self) -> tuple[str, float] | None:
        """The profile with the highest rate, and the rate."""
        return max(self._of.values(), key=lambda found: found[1], default=None)


def device_of(engine: Mapping[str, Any]) -> str:
    """Return the name of a device that is the same in all engines: `cpu`, or that of an accelerator."""
    return "cpu" if engine["provider"] == "cpu" else str(engine["device"] or engine["provider"]).lower()


def ceilings(documents: Iterable[Mapping[str, Any]], host: str, device: str) -> tuple[Ceiling, ...]:
    """Return the ceiling of a device of a host for each type of which a product was measured.

    `documents` are profiles, newest first. There is none without a profile of `stream`.
    """
    memory, products = _Rate(), dict[str, _Rate]()
    for document in documents:
        own = document["workload"]["name"], document["host"]["id"], device_of(document["engine"])
        if own not in {(GEMM, host, device), (STREAM, host, device)}:
            continue
        for point in document["points"]:
            for work in point["work"] if _is_timed(point) else ():
                engine, profile = document["engine"]["name"], document["id"]
                if own[0] == STREAM and work["bytes_per_second"]:
                    memory.add(engine, profile, work["bytes_per_second"]["mean"])
                elif own[0] == GEMM and work["operations_per_second"]:
                    rate = products.setdefault(str(point["parameters"]["dtype"]), _Rate())
                    rate.add(engine, profile, work["operations_per_second"]["mean"])
    if memory.highest is None:
        return ()
    stream, bandwidth = memory.highest
    best = ((precision, rate.highest) for precision, rate in products.items())
    return tuple(
        Ceiling(precision, device, found[1], bandwidth, found[0], stream) for precision, found in sorted(best) if found
    )


def _is_timed(point: Mapping[str, Any]) -> bool:
    """Return whether the rates of a point are right; a point without energy can be invalid and have them."""
    return not any(each["name"] == TIMED and each["status"] == "failed" for each in point["checks"])


def with_ceilings(document: Document, documents: Iterable[Mapping[str, Any]]) -> Document:
    """Return a profile with the share of the ceiling that each phase reaches; those of `gemm` and `stream` make it."""
    if document.workload.name in {GEMM, STREAM} or not any(point.work for point in document.points):
        return document
    device = device_of(msgspec.to_builtins(document.engine))
    known = {each.precision: each for each in ceilings(documents, document.host.id, device)}
    points, used = [], dict[str, Ceiling]()
    for point in document.points:
        precision = _computing_type(document.workload, point)
        ceiling = known.get(precision)
        if ceiling is None:
            points.append(point)
            continue
        used[precision] = ceiling
        phases = tuple(msgspec.structs.replace(own, share_of_ceiling=share(own, ceiling)) for own in point.work)
        points.append(msgspec.structs.replace(point, work=phases))
    return msgspec.structs.replace(document, points=tuple(points), ceilings=tuple(used.values()))


def _computing_type(of_run: WorkloadFacts, point: Point) -> str:
    """Return the type in which the engine computes a point, by default that of its weights."""
    facts = point.model or of_run
    return str(facts.computes_in or facts.precision)


def share(work: PhaseWork, ceiling: Ceiling) -> float | None:
    """Return the least time of a phase at the ceiling as part of its mean time; None if nothing is counted.

    It is above 1 if caches hold a part of the bytes.
    """
    rates = (
        (work.operations_per_second, ceiling.operations_per_second),
        (work.bytes_per_second, ceiling.bytes_per_second),
    )
    parts: Sequence[float] = [rate.mean / highest for rate, highest in rates if rate]
    return max(parts, default=None)
