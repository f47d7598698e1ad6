"""The share of each part of a machine (CPU, GPU, DRAM, rest) in the energy of an inference, by phase; pure."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from agent.comparison.records import Shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.comparison.matching import Match
    from agent.comparison.setups import Setup
    from agent.profiling.records import Point, SensorEnergy

REST = "rest"
_PARTS = {"cpu": "cpu", "memory": "dram", "gpu": "gpu", "npu": "npu", "fpga": "fpga", "accelerator": "accelerator"}
"""The part of the machine that a kind of device is; a domain named dram is memory on any device."""
_WHOLE = frozenset({"package", "board", "module", "dram"})
"""The domains that cover a whole part, so that they count where an outer sensor has the total."""


def shares(setups: Sequence[Setup], matches: Iterable[Match]) -> tuple[Shares, ...]:
    """Return the parts of each setup at each point, over all phases (phase None) and by phase if there are several.

    They are the means over its profiles. A total by an outer sensor, such as psys, is split by the sensors inside it;
    `rest` is the part that none of them has.
    """
    found = []
    for match in matches:
        for setup, runs in zip(setups, match.runs, strict=True):
            phases = list(
                dict.fromkeys(each.phase for run in runs if run.point.energy for each in run.point.energy.phases)
            )
            for phase in (None, *(phases if len(phases) > 1 else ())):
                own = [parts for run in runs if (parts := _parts(run.point, phase))]
                if own:
                    found.append(_mean(setup.label, match.name, phase, own))
    return tuple(found)


def _parts(point: Point, phase: str | None) -> tuple[float, dict[str, float]] | None:
    """Return the total and the parts of a point in joules per inference; None if its sensors have no energy."""
    if point.energy is None:
        return None
    if phase is None:
        total = point.energy.joules_per_inference.total.mean
        joules = {(each.device, each.domain): each.joules_per_inference.total.mean for each in point.energy.sensors}
    else:
        own = next((each for each in point.energy.phases if each.phase == phase), None)
        if own is None or not own.sensors:
            return None
        total = own.joules_per_inference.mean
        joules = {(each.device, each.domain): each.joules_per_inference for each in own.sensors}
    return total, _split(total, joules, point.energy.sensors)


def _split(total: float, joules: Mapping[tuple[str, str], float], sensors: Iterable[SensorEnergy]) -> dict[str, float]:
    counted: dict[str, float] = {}
    inside: dict[str, dict[str, float]] = {}
    for sensor in sensors:
        part = "dram" if sensor.domain == "dram" else _PARTS.get(sensor.kind)
        energy = joules.get((sensor.device, sensor.domain))
        if part is None or energy is None:
            continue
        if sensor.in_total:
            counted[part] = counted.get(part, 0.0) + energy
        elif sensor.domain in _WHOLE:
            own = inside.setdefault(part, {})
            own[sensor.device] = max(own.get(sensor.device, 0.0), energy)
    parts = {part: sum(own.values()) for part, own in inside.items()} | counted
    rest = total - sum(parts.values())
    return parts if rest <= total * 1e-9 else {**parts, REST: rest}


def _mean(label: str, point: str, phase: str | None, own: Sequence[tuple[float, dict[str, float]]]) -> Shares:
    names = dict.fromkeys(name for _, parts in own for name in parts)
    parts = {name: fmean(each.get(name, 0.0) for _, each in own) for name in names}
    return Shares(label, point, phase, fmean(total for total, _ in own), parts)
