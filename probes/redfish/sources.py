"""Finds the resource that has the power of a chassis, and the one that has its energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from probes.redfish import documents as in_
from probes.redfish.documents import JOULES_PER_KWH, entries, link, number, part, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from probes.redfish.documents import Resource

    Get = Callable[[str], Resource | None]

_ENERGY = {"EnergyJoules": 1, "EnergykWh": JOULES_PER_KWH}
_READINGS = ("LifetimeReading", "Reading")
"""The total since the production of the sensor precedes the one that users can reset."""
MOST_SENSORS = 8
_WORDS = ("power", "energy", "total", "watt", "consum")
"""Words of the names of sensors that are requested if the service cannot return all sensors at once."""


@dataclass(frozen=True, slots=True)
class Source:
    """The path of a resource, and the function that takes watts or joules out of it.

    `limit_watts` is the capacity or the highest settable limit, 0 if it is not stated, `resolution` the smallest step
    of a counter in joules.
    """

    path: str
    pick: Callable[[Resource], Decimal | None]
    is_energy: bool = False
    limit_watts: float = 0.0
    resolution: float = 0.0


def sources_of(chassis: Resource, get: Get, expand: str = "") -> list[Source]:
    """Return the source of power, and the one of energy, of a chassis, each at most once.

    `get` returns a resource, None if there is none; `expand` is the query that includes the members of a collection.
    Sources in their order: EnvironmentMetrics, PowerControl, and sensors whose context is the chassis.
    """
    found: list[Source] = []
    for name, sources in (("EnvironmentMetrics", environment_sources), ("Power", control_sources)):
        path = link(chassis.get(name))
        if path and not _has_power(found) and (resource := get(path)):
            found += sources(path, resource)
    path = link(chassis.get("Sensors"))
    if path and not _has_power(found):
        found += _sensors(path, get, expand)
    return _one_of_each(found)


def environment_sources(path: str, resource: Resource) -> Iterator[Source]:
    """Yield the sources that an EnvironmentMetrics resource has values for."""
    limit = number(part(resource, "PowerLimitWatts", "AllowableMax"))
    if in_.environment_watts(resource) is not None:
        yield Source(path, in_.environment_watts, limit_watts=float(limit or 0))
    for key, factor in _ENERGY.items():
        for reading in _READINGS:
            found = number(part(resource, key, reading))
            if found is not None:
                pick = partial(in_.environment_joules, reading=reading, key=key)
                yield Source(path, pick, is_energy=True, resolution=_step(found) * factor)


def control_sources(path: str, resource: Resource) -> Iterator[Source]:
    """Yield the first member of PowerControl with a value: vendors list the whole first, and parts of it after it."""
    for each in entries(resource.get("PowerControl")):
        member = in_.member_of(each)
        if in_.control_watts(resource, member) is not None:
            capacity = number(each.get("PowerCapacityWatts"))
            yield Source(path, partial(in_.control_watts, member=member), limit_watts=float(capacity or 0))
            return


def sensor_sources(path: str, resource: Resource) -> Iterator[Source]:
    """Yield the source of a Sensor resource if it measures the power or the energy of the whole chassis."""
    kind = text(resource.get("ReadingType"))
    if resource.get("PhysicalContext") != "Chassis" or not in_.is_on(resource):
        return
    if kind == "Power" and number(resource.get("Reading")) is not None:
        yield Source(path, partial(in_.sensor_value, reading="Reading", factor=1))
    if kind in _ENERGY:
        for reading in _READINGS:
            found = number(resource.get(reading))
            if found is not None:
                pick = partial(in_.sensor_value, reading=reading, factor=_ENERGY[kind])
                yield Source(path, pick, is_energy=True, resolution=_step(found) * _ENERGY[kind])


def _sensors(path: str, get: Get, expand: str) -> Iterator[Source]:
    members = list(entries((get(path + expand) or {}).get("Members")))
    included = [(link(each), each) for each in members if len(each) > 1]
    wanted = [link(each) for each in members if len(each) == 1 and _is_named_so(link(each))]
    for member, resource in (*included, *((each, get(each)) for each in wanted[:MOST_SENSORS])):
        if resource:
            yield from sensor_sources(member, resource)


def _is_named_so(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return any(word in name for word in _WORDS)


def _has_power(found: list[Source]) -> bool:
    return any(not each.is_energy for each in found)


def _one_of_each(found: list[Source]) -> list[Source]:
    first: dict[bool, Source] = {}
    for each in found:
        first.setdefault(each.is_energy, each)
    return list(first.values())


def _step(value: Decimal) -> float:
    """Return the value of the last printed digit: 0.001 for 12.345, 1 for 12."""
    exponent = value.as_tuple().exponent
    return 10.0 ** min(exponent, 0) if isinstance(exponent, int) else 1.0
