"""Messages of meters: the documented ones of Tasmota, Zigbee2MQTT and Home Assistant, and every other content."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meters import meter
from plug_server import tasmota_status
from probes.mqtt.messages import PRESETS, check_place, preset_of, value_at, values_of

ZIGBEE = {"current": 0.17, "energy": 12.34, "linkquality": 120, "power": 38, "state": "ON", "voltage": 230}


def test_the_messages_of_usual_devices_are_read() -> None:
    tasmota = json.dumps(tasmota_status()["StatusSNS"]).encode()
    assert values_of(tasmota, PRESETS["tasmota"]) == (38.0, pytest.approx(3.185 * 3.6e6))
    assert values_of(json.dumps(ZIGBEE).encode(), PRESETS["zigbee2mqtt"]) == (38.0, pytest.approx(12.34 * 3.6e6))
    home_assistant = preset_of(meter("mqtt", "mqtt://b", topic="t", power="$"))
    assert values_of(b"38.4", home_assistant) == (38.4, None)


@pytest.mark.parametrize(
    ("payload", "path", "value"),
    [
        (b'{"a": {"b": 1.5}}', "a.b", 1.5),
        (b'{"a": [1, 2]}', "a.1", 2.0),
        (b'{"a": "38.4"}', "a", 38.4),
        (b'{"a": " -1e3 "}', "a", -1000.0),
        (b'"7"', "$", 7.0),
        (b'{"a": "38.4 W"}', "a", None),
        (b'{"a": "nan"}', "a", None),
        (b'{"a": true}', "a", None),
        (b'{"a": null}', "a", None),
        (b'{"a": 1}', "b", None),
        (b'{"a": 1}', "a.b", None),
        (b'{"a": [1]}', "a.5", None),
        (b"unavailable", "$", None),
        (b"Infinity", "$", None),
        (b"1" * 5000, "$", None),
    ],
)
def test_a_value_is_the_number_at_a_path(payload: bytes, path: str, value: float | None) -> None:
    assert value_at(payload, path) == value


def test_own_places_replace_those_of_the_preset() -> None:
    places = preset_of(meter("mqtt", "mqtt://b", topic="t", preset="tasmota", energy="ENERGY.Today"))
    assert (places.power, places.energy, places.step_joules) == ("ENERGY.Power", "ENERGY.Today", 3600.0)
    assert preset_of(meter("mqtt", "mqtt://b", topic="t", energy="e", energy_unit="Wh")).step_joules == 3600.0
    assert preset_of(meter("mqtt", "mqtt://b", topic="t", energy="e")).step_joules == 3600.0


@pytest.mark.parametrize("path", ["a b", ".a", "a..b", "a.", "$.a b", "a." * 9 + "a"])
def test_a_wrong_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        check_place(path)


@given(some.binary(max_size=200), some.sampled_from(["$", "ENERGY.Power", "a.0.b"]))
def test_no_message_makes_the_parser_raise(payload: bytes, path: str) -> None:
    value = value_at(payload, path)
    assert value is None or math.isfinite(value)
