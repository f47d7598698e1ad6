"""Reads the registers of one meter with pymodbus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pymodbus import FramerType, ModbusException
from pymodbus.client import ModbusTcpClient

from probes.errors import ProbeUnavailableError, ReadError
from probes.meters.probe import Quantity, Reading
from probes.meters.units import JOULES
from probes.modbus.registers import Register, map_of, number_in, step_of
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from probes.settings import MeterConfig

REFRESH_SECONDS = 1.0
_REQUEST_SECONDS = 2.0
_PORT = 502
_LAST_UNIT = 247


class ModbusMeter:
    """One unit of a Modbus device or gateway."""

    def __init__(self, meter: MeterConfig, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.reported: Mapping[str, str] = {}
        self._name, self._clock = meter.url, clock
        self._unit = _unit_of(meter.part)
        parts = urlsplit(meter.url)
        self._client: Any = ModbusTcpClient(
            parts.hostname or "",
            port=parts.port or _PORT,
            framer=FramerType.RTU if parts.scheme == "modbus+rtu" else FramerType.SOCKET,
            timeout=_REQUEST_SECONDS,
            retries=0,
        )
        self._map = map_of(meter)
        refresh = meter.refresh_seconds or REFRESH_SECONDS
        self.interval_seconds = min(refresh, REFRESH_SECONDS)
        try:
            count = self._number(self._map.energy) if self._map.energy else None
        except BaseException:
            self.close()
            raise
        self.quantities = tuple(self._quantities(refresh, count))

    def read(self) -> Reading:
        """Return the power and the count. Raises ReadError."""
        sent_ns = self._clock()
        watts = self._number(self._map.power) if self._map.power else None
        count = self._number(self._map.energy) if self._map.energy else None
        joules = None if count is None else count * JOULES[self._map.energy_unit]
        return Reading(watts, joules, (sent_ns, self._clock()))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _quantities(self, refresh: float, count: float | None) -> list[Quantity]:
        found = []
        if self._map.energy:
            joules = JOULES[self._map.energy_unit]
            step = joules * step_of(self._map.energy, self._map.step_joules / joules, count or 0.0)
            found.append(Quantity("energy_joules", "counter", refresh, step))
        if self._map.power:
            found.append(Quantity("power_watts", "instant", refresh, 0.0))
        return found

    def _number(self, register: Register) -> float | None:
        request = self._client.read_input_registers if register.is_input else self._client.read_holding_registers
        try:
            if not self._client.connected and not self._client.connect():
                raise ReadError(f"{self._name} accepts no connection")
            answer = request(register.address, count=register.count, device_id=self._unit)
        except (ModbusException, OSError) as error:
            self._client.close()
            raise ReadError(f"{self._name}: {one_line(str(error))}") from error
        if answer.isError():
            raise ReadError(f"{self._name} has no register {register.address} of unit {self._unit} ({answer})")
        return number_in(answer.registers, register)


def _unit_of(part: str) -> int:
    if part and not (part.isdecimal() and 0 <= int(part) <= _LAST_UNIT):
        raise ProbeUnavailableError(f"part = {part!r} is not a unit of Modbus", f"set part to 0 to {_LAST_UNIT}")
    return int(part or 1)


def connect(meter: MeterConfig) -> ModbusMeter:
    """Return the source of a meter. Raises ProbeUnavailableError or ReadError."""
    return ModbusMeter(meter)
