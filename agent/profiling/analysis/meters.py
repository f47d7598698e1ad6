"""The meters of a host and the temperature of its room, as records of the profile; pure."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from agent.profiling.meter_facts import Ambient, MeterFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.model import Channel
    from store.records import Series

_TEMPERATURE = "temperature_celsius"


def meter_facts(channels: Iterable[Channel]) -> tuple[MeterFacts, ...]:
    """Return the external meters among the devices of some channels, with the facts that the configuration has."""
    devices = {channel.device.id: dict(channel.device.attributes) for channel in channels}
    return tuple(
        MeterFacts(
            device=device,
            kind=known["meter"],
            model=known.get("model"),
            accuracy_class=known.get("accuracy_class"),
            range=known.get("range"),
            serial=known.get("serial"),
            calibration_date=known.get("calibration_date"),
        )
        for device, known in devices.items()
        if "meter" in known
    )


def ambient(given_celsius: float | None, sensor: str, series: Iterable[Series]) -> Ambient | None:
    """Return the temperature of the room as given, else by the sensor at the path `sensor`; None without both."""
    if given_celsius is not None:
        return Ambient("given", None, given_celsius, given_celsius, given_celsius)
    for each in series:
        if each.channel.path == sensor and each.channel.metric == _TEMPERATURE and each.values:
            return Ambient("measured", sensor, fmean(each.values), min(each.values), max(each.values))
    return None
