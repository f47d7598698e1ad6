"""Reads power and energy from the messages of meters: the number alone, or a JSON object and a path in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.meters.json_body import inner, number
from probes.meters.units import JOULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probes.settings import MeterConfig

WHOLE = "$"
"""The path of a message that is the number alone."""
_PATH = re.compile(r"\$|[^.\s]{1,64}(\.[^.\s]{1,64}){0,7}")
_NUMBER = re.compile(r"[-+]?\d{1,18}(\.\d{1,18})?([eE][-+]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preset:
    """The places of the values in the messages of a usual device, and the step of its count in joules."""

    power: str
    energy: str
    energy_unit: str
    step_joules: float


PRESETS: Mapping[str, Preset] = {
    # Messages of tele/DEVICE/SENSOR (tasmota.github.io/docs/MQTT).
    "tasmota": Preset("ENERGY.Power", "ENERGY.Total", "kWh", JOULES["kWh"] / 1000),
    # Messages of zigbee2mqtt/DEVICE (zigbee2mqtt.io/guide/usage/exposes.html); most plugs count in 0.01 kWh.
    "zigbee2mqtt": Preset("power", "energy", "kWh", JOULES["kWh"] / 100),
}


def check_place(path: str) -> None:
    """Raise ValueError if this is neither empty nor a path."""
    if path and not _PATH.fullmatch(path):
        raise ValueError('is not a path such as "ENERGY.Power", or "$" for a message that is the number alone')


def preset_of(meter: MeterConfig) -> Preset:
    """Return the places of a meter: those of its preset, replaced by its own."""
    usual = PRESETS.get(meter.preset, Preset("", "", "kWh", 0.0))
    unit = meter.energy_unit or usual.energy_unit
    step = usual.step_joules if usual.step_joules and unit == usual.energy_unit else _step(unit)
    return Preset(meter.power or usual.power, meter.energy or usual.energy, unit, step)


def _step(unit: str) -> float:
    """Return the assumed step of a count: a thousandth of a kilowatt-hour, else one unit."""
    return JOULES[unit] / 1000 if unit == "kWh" else JOULES[unit]


def value_at(payload: bytes, path: str) -> float | None:
    """Return the number at a path of a message, None if there is none; a text that is a number counts."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if path != WHOLE:
        for step in path.split("."):
            found = inner(found, int(step) if isinstance(found, list) and step.isdecimal() else step)
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        found = float(found)
    return number(found)


def values_of(payload: bytes, places: Preset) -> tuple[float | None, float | None]:
    """Return the watts and the joules of a message, None for each that it lacks."""
    watts = value_at(payload, places.power) if places.power else None
    count = value_at(payload, places.energy) if places.energy else None
    return watts, None if count is None else count * JOULES[places.energy_unit]
