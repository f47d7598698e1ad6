"""The registers of Modbus meters, and the numbers in them."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.meters.units import JOULES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.settings import MeterConfig

_FORMATS: Mapping[str, str] = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}
_REGISTER = re.compile(rf"(input|holding):(\d{{1,5}}):({'|'.join(_FORMATS)})(:swapped)?")
_LAST_ADDRESS = 65535
_FLOAT32_DIGITS = 23
"""The binary digits of a float32 after the first (IEEE 754)."""
_MOST_IN_REGISTER = 0xFFFF
_ALL_ONES = b"\xff"
_NO_NUMBER = (b"\x7f\xff", b"\x80\x00")
"""The first register of a signed number that has no value, by the convention of SunSpec and others."""


@dataclass(frozen=True, slots=True)
class Register:
    """A number in one or more registers; `is_swapped` states that the lowest register comes first."""

    is_input: bool
    address: int
    type: str
    is_swapped: bool = False

    @property
    def count(self) -> int:
        """The number of registers."""
        return struct.calcsize(_FORMATS[self.type]) // 2


@dataclass(frozen=True, slots=True)
class MeterMap:
    """The registers of a meter; `step_joules` is the step of its count."""

    power: Register | None
    energy: Register | None
    energy_unit: str
    step_joules: float


def _float(address: int, *, is_input: bool = True, is_swapped: bool = False) -> Register:
    return Register(is_input, address, "float32", is_swapped)


PRESETS: Mapping[str, MeterMap] = {
    # Eastron, "SDM120 Modbus protocol" and "SDM630 Modbus protocol": active power, import active energy
    "eastron-sdm120": MeterMap(_float(12), _float(72), "kWh", JOULES["kWh"] / 100),
    "eastron-sdm630": MeterMap(_float(52), _float(72), "kWh", JOULES["kWh"] / 100),
    # Shelly, Gen2 API, components EM and EMData: total active power (31013), total active energy (31162)
    "shelly-pro-3em": MeterMap(_float(1013, is_swapped=True), _float(1162, is_swapped=True), "Wh", JOULES["Wh"] / 100),
    # Janitza, Modbus address list of the UMG 604, 509, 512: _G_P_SUM3, _G_WH_V_HT_SUML13
    "janitza": MeterMap(_float(19026, is_input=False), _float(19068, is_input=False), "Wh", JOULES["Wh"] / 10),
}


def register_of(text: str) -> Register:
    """Return the register that a text such as "input:12:float32" names. Raises ValueError."""
    match = _REGISTER.fullmatch(text)
    if match is None or int(match[2]) > _LAST_ADDRESS:
        raise ValueError(
            f'is not a register such as "input:12:float32" or "holding:4:uint32:swapped" ({", ".join(_FORMATS)})'
        )
    return Register(match[1] == "input", int(match[2]), match[3], bool(match[4]))


def check_place(text: str) -> None:
    """Raise ValueError if this is neither empty nor a register."""
    if text:
        register_of(text)


def map_of(meter: MeterConfig) -> MeterMap:
    """Return the registers of a meter: those of its preset, replaced by its own."""
    usual = PRESETS.get(meter.preset, MeterMap(None, None, "kWh", 0.0))
    unit = meter.energy_unit or usual.energy_unit
    is_usual = bool(usual.step_joules) and not meter.energy and unit == usual.energy_unit
    return MeterMap(
        register_of(meter.power) if meter.power else usual.power,
        register_of(meter.energy) if meter.energy else usual.energy,
        unit,
        usual.step_joules if is_usual else JOULES[unit],
    )


def number_in(registers: Sequence[int], register: Register) -> float | None:
    """Return the number in the contents of registers, None if they hold no number or a usual sign of none."""
    if len(registers) != register.count or not all(0 <= each <= _MOST_IN_REGISTER for each in registers):
        return None
    ordered = tuple(reversed(registers)) if register.is_swapped else tuple(registers)
    content = struct.pack(f">{len(ordered)}H", *ordered)
    if register.type.startswith("uint") and not content.strip(_ALL_ONES):
        return None
    if register.type.startswith("int") and content[:2] in _NO_NUMBER and not content[2:].strip(content[1:2]):
        return None
    (found,) = struct.unpack(_FORMATS[register.type], content)
    return float(found) if math.isfinite(found) else None


def step_of(register: Register, step: float, count: float) -> float:
    """Return the step of a count: at least the distance of neighboring numbers of a float32."""
    if register.type != "float32" or not count:
        return step
    return max(step, 2.0 ** (math.frexp(count)[1] - 1 - _FLOAT32_DIGITS))
