"""The objects of PDUs: APC's PowerNet-MIB (rPDU2) and Raritan's PDU2-MIB."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from probes.errors import ProbeUnavailableError
from probes.meters.probe import Quantity, Reading
from probes.meters.units import JOULES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from probes.settings import MeterConfig

Value = int | str | None
"""A value of SNMP; None if the PDU has no such object."""

REFRESH_SECONDS = 3.0
"""The assumed longest time between two values; the MIBs state none."""
DESCRIPTION = "1.3.6.1.2.1.1.1.0"
"""sysDescr (RFC 3418)."""
_APC = "1.3.6.1.4.1.318.1.1.26"
_RARITAN = "1.3.6.1.4.1.13742.6"
_OUTLET = re.compile(r"[1-9][0-9]{0,2}")
_UNKNOWN = -1
"""The value of an APC unit that does not measure a quantity."""
_UNAVAILABLE = 2
"""The value false of SNMP's TruthValue (RFC 2579)."""
_MOST_DIGITS = 9
_APC_DEVICE_WATTS, _APC_OUTLET_WATTS = 10.0, 1.0
"""The units of power: hundredths of a kilowatt, and watts."""
_APC_JOULES = JOULES["kWh"] / 10


class SnmpGet(Protocol):
    """Requests objects by SNMP."""

    def get(self, objects: Sequence[str]) -> list[Value]:
        """Return the value of each object, in order. Raises ReadError."""
        ...

    def close(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PduObjects:
    """The objects of power and energy, the watts and joules of one unit of each, and the objects that must be true."""

    power: str
    energy: str
    watts: float
    joules: float
    available: tuple[str, ...] = ()


def apc_objects(outlet: str) -> PduObjects:
    """Return the objects of an APC unit, or of its metered outlet with this SNMP index."""
    if outlet:
        table = f"{_APC}.9.4.3.1"
        return PduObjects(f"{table}.7.{outlet}", f"{table}.11.{outlet}", _APC_OUTLET_WATTS, _APC_JOULES)
    table = f"{_APC}.4.3.1"
    return PduObjects(f"{table}.5.1", f"{table}.9.1", _APC_DEVICE_WATTS, _APC_JOULES)


def raritan_objects(outlet: str, digits: Callable[[Sequence[str]], list[Value]]) -> PduObjects:
    """Return the objects of inlet 1 of a Raritan unit, or of an outlet; `digits` requests the decimal digits."""
    measured, config = ("5.4", 5) if outlet else ("5.2", 3)
    column, place = f"{_RARITAN}.{measured}.3.1", f"1.{outlet or 1}"
    names = [f"{_RARITAN}.3.{config}.4.1.7.{place}.{sensor}" for sensor in (5, 8)]
    power_digits, energy_digits = (
        each if isinstance(each, int) and 0 <= each <= _MOST_DIGITS else 0 for each in digits(names)
    )
    return PduObjects(
        f"{column}.4.{place}.5",
        f"{column}.4.{place}.8",
        10.0**-power_digits,
        JOULES["Wh"] * 10.0**-energy_digits,
        (f"{column}.2.{place}.5", f"{column}.2.{place}.8"),
    )


def parse_values(objects: PduObjects, values: Sequence[Value]) -> tuple[float | None, float | None]:
    """Return watts and joules of the values of `names_of(objects)`, None for each that the PDU does not measure."""
    found = [value if isinstance(value, int) and value != _UNKNOWN else None for value in values[:2]]
    for position, flag in enumerate(values[2:]):
        if flag == _UNAVAILABLE:
            found[position] = None
    watts, joules = found
    return (
        None if watts is None else watts * objects.watts,
        None if joules is None else joules * objects.joules,
    )


def names_of(objects: PduObjects) -> tuple[str, ...]:
    """Return the objects of a request, in the order of `parse_values`."""
    return objects.power, objects.energy, *objects.available


class Pdu:
    """A PDU, or one of its outlets."""

    interval_seconds = REFRESH_SECONDS

    def __init__(self, meter: MeterConfig, client: SnmpGet, clock: Callable[[], int] = time.monotonic_ns) -> None:
        if meter.part and not _OUTLET.fullmatch(meter.part):
            raise ProbeUnavailableError(
                f"part = {meter.part!r} is not the number of an outlet", "set part to a number such as 3, or remove it"
            )
        self._client, self._clock = client, clock
        self._objects = apc_objects(meter.part) if meter.kind == "apc" else raritan_objects(meter.part, client.get)
        description = client.get([DESCRIPTION])[0]
        self.reported = {"model": description if isinstance(description, str) else ""}
        refresh = meter.refresh_seconds or REFRESH_SECONDS
        self.interval_seconds = min(refresh, REFRESH_SECONDS)
        self.quantities = (
            Quantity("energy_joules", "counter", refresh, self._objects.joules),
            Quantity("power_watts", "instant", refresh, self._objects.watts),
        )
        self._part = f"outlet {meter.part}" if meter.part else "the whole PDU"

    def read(self) -> Reading:
        """Return the power and the count. Raises ReadError, or ProbeUnavailableError if it measures neither."""
        sent_ns = self._clock()
        values = self._client.get(names_of(self._objects))
        watts, joules = parse_values(self._objects, values)
        if watts is None and joules is None:
            remedy = "check kind and part of the meter, and that this PDU measures it"
            raise ProbeUnavailableError(f"the PDU has no power of {self._part}", remedy)
        return Reading(watts, joules, (sent_ns, self._clock()))

    def close(self) -> None:
        """Close the socket."""
        self._client.close()


def connect(meter: MeterConfig, client: SnmpGet) -> Pdu:
    """Return the source of a PDU, and close the client if it fails. Raises ProbeUnavailableError or ReadError."""
    try:
        return Pdu(meter, client)
    except BaseException:
        client.close()
        raise
