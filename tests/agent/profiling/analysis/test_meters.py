"""The external meters of a profile, and the temperature of the room."""

from __future__ import annotations

from agent.profiling.analysis.meters import ambient, meter_facts
from agent.profiling.meter_facts import Ambient, MeterFacts
from probes.model import Channel, Device, Kind
from store.records import Series

PLUG = Device(
    "meter-desk",
    Kind.HOST,
    "Desk plug",
    (("meter", "shelly"), ("model", "Plug S"), ("accuracy_class", "1"), ("calibration_date", "2026-02-01")),
)
ROOM = Channel(Device("hwmon-room", Kind.BOARD), "temp1", "temperature_celsius")


def test_a_meter_has_the_stated_facts_and_none_for_the_others() -> None:
    channels = [Channel(PLUG, "wall", "power_watts"), Channel(PLUG, "wall", "energy_joules"), ROOM]
    assert meter_facts(channels) == (MeterFacts("meter-desk", "shelly", "Plug S", "1", None, None, "2026-02-01"),)


def test_a_given_temperature_precedes_that_of_a_sensor() -> None:
    room = Series(ROOM, (1, 2, 3), (21.0, 22.0, 24.5))
    assert ambient(20.0, "hwmon-room/temp1", [room]) == Ambient("given", None, 20.0, 20.0, 20.0)
    assert ambient(None, "hwmon-room/temp1", [room]) == Ambient("measured", "hwmon-room/temp1", 22.5, 21.0, 24.5)


def test_an_unknown_temperature_is_none() -> None:
    empty = Series(ROOM, (), ())
    other = Series(Channel(ROOM.device, "temp1", "power_watts"), (1,), (5.0,))
    assert ambient(None, "hwmon-room/temp1", [empty, other]) is None
    assert ambient(None, "", []) is None
