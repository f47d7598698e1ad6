"""Takes numbers and links out of Redfish resources; pure.

Schemas: DMTF DSP8010 (EnvironmentMetrics, Power, Sensor, Chassis). A value that is null, absent, of another type, or
of a part that is absent or off is no value.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from probes.errors import ReadError
from probes.text import decoded, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

Resource = dict[str, Any]
JOULES_PER_KWH = 3_600_000
_OFF = frozenset({"Absent", "Disabled", "UnavailableOffline"})


def resource_in(body: bytes) -> Resource:
    """Return the JSON object of a response; numbers with a fraction are Decimals. Raises ReadError."""
    try:
        found = json.loads(body, parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, RecursionError, ArithmeticError):
        raise ReadError(f"the answer is no JSON: {decoded(body[:100])!r}") from None
    if not isinstance(found, dict):
        raise ReadError(f"the answer is no JSON object: {decoded(body[:100])!r}")
    return found


def number(value: object) -> Decimal | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    found = Decimal(value) if not isinstance(value, int) or abs(value) < 1 << 64 else None
    return found if found is not None and found.is_finite() and found.adjusted() < 20 else None  # noqa: PLR2004  1e20


def text(value: object) -> str:
    """Return a printable line, empty for anything that is no text."""
    return one_line(value) if isinstance(value, str) else ""


def part(value: object, *keys: str) -> object:
    """Return the value at nested keys, None if one of them is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def entries(value: object) -> Iterator[Resource]:
    """Yield the objects of a list, nothing if it is no list."""
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))


def link(value: object) -> str:
    """Return the path of a link `{"@odata.id": ...}` or of a text, empty if it is none of this service.

    A slash at its end stays: some services redirect every path without it.
    """
    path = value.get("@odata.id") if isinstance(value, dict) else value
    is_own = isinstance(path, str) and path.startswith("/") and not path.startswith("//") and path.isprintable()
    return path.partition("#")[0].replace(" ", "%20") if is_own and isinstance(path, str) else ""


def links(value: object) -> tuple[str, ...]:
    """Return the paths of a list of links."""
    return tuple(path for each in entries(value) if (path := link(each)))


def is_on(resource: object) -> bool:
    """Return whether a part is present and enabled, or does not state it."""
    return part(resource, "Status", "State") not in _OFF


def environment_watts(resource: Resource) -> Decimal | None:
    """Return `PowerWatts` of EnvironmentMetrics, in watts."""
    return number(part(resource, "PowerWatts", "Reading"))


def environment_joules(resource: Resource, reading: str, key: str) -> Decimal | None:
    """Return an energy counter of EnvironmentMetrics in joules: `reading` of `EnergykWh` or `EnergyJoules`."""
    found = number(part(resource, key, reading))
    return found * JOULES_PER_KWH if found is not None and key == "EnergykWh" else found


def control_watts(resource: Resource, member: str) -> Decimal | None:
    """Return `PowerConsumedWatts` of the member of PowerControl, in watts.

    `PowerMetrics` of the same member is a statistic of `IntervalInMin` minutes, not the power of now, and is not used.
    """
    for each in entries(resource.get("PowerControl")):
        if member_of(each) == member and is_on(each):
            return number(each.get("PowerConsumedWatts"))
    return None


def member_of(control: Resource) -> str:
    """Return the identifier of a member of an array."""
    return text(control.get("MemberId")) or text(control.get("@odata.id"))


def sensor_value(resource: Resource, reading: str, factor: int) -> Decimal | None:
    """Return the reading of a Sensor times a factor, None if its part is absent or off."""
    found = number(resource.get(reading)) if is_on(resource) else None
    return found * factor if found is not None else None
