"""The records of a profile about the meters of its host, and about the temperature of the room."""

from __future__ import annotations

from typing import Literal

import msgspec


class MeterFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An external meter: its device, its kind of interface, and what the configuration or the meter states about it.

    `calibration_date` is in ISO 8601. None: not stated.
    """

    device: str
    kind: str
    model: str | None
    accuracy_class: str | None
    range: str | None
    serial: str | None
    calibration_date: str | None


class Ambient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The temperature of the room: given by the user, or the mean and the ends of a sensor's values during the run.

    `sensor` is its device/domain, None for a given temperature.
    """

    source: Literal["given", "measured"]
    sensor: str | None
    mean_celsius: float
    lowest_celsius: float
    highest_celsius: float
