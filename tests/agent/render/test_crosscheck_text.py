"""Cross-checks, meters, the room and the modeled wall, as text."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.profiling.records import Document
from agent.render.crosscheck_text import crosscheck_text, fault_lines, layer_lines
from agent.render.profile_text import profile_text
from agent.report.honesty import origins
from agent.report.view import views_of
from profile_documents import example

CHECK: dict[str, Any] = {
    "meters": [{"device": "psys", "domain": "psys"}],
    "below": [{"device": "package-0", "domain": "package"}, {"device": "package-0", "domain": "dram"}],
    "windows": 12,
    "slope": {"mean": 0.8, "lower": 0.75, "upper": 0.85},
    "offset_watts": {"mean": 2.0, "lower": -1.0, "upper": 5.0},
    "slope_limit": 1.2118,
    "verdict": "double_counted",
    "reason": "the sum below has a part twice",
}
UNKNOWN = {**CHECK, "slope": None, "offset_watts": None, "verdict": "undetermined", "reason": "the load did not change"}


def test_each_layer_is_a_paragraph_with_its_line() -> None:
    assert crosscheck_text([CHECK, UNKNOWN], 80).splitlines() == [
        "psys/psys against package-0/package + package-0/dram",
        "  verdict double counted: the sum below has a part twice",
        "  slope   0.800 (0.750 to 0.850); from 1 to 1.21 is plausible",
        "  offset  2.00 (-1.00 to 5.00) W",
        "  windows 12",
        "",
        "psys/psys against package-0/package + package-0/dram",
        "  verdict undetermined: the load did not change",
        "  windows 12",
    ]


def test_a_fault_is_a_warning_and_every_layer_a_line() -> None:
    assert len(list(layer_lines([CHECK, UNKNOWN]))) == 2
    (warning,) = fault_lines([CHECK, UNKNOWN])
    assert warning.startswith("Warning (sensors of this host): psys/psys and the sensors below it do not fit: the sum")


def with_meters() -> dict[str, Any]:
    document = example()
    interval = {"mean": 3.0, "lower": 2.0, "upper": 4.0}
    document["cross_checks"] = [CHECK]
    document["meters"] = [
        {
            "device": "meter-desk",
            "kind": "shelly",
            "model": "Plug S",
            "accuracy_class": "1",
            "range": None,
            "serial": None,
            "calibration_date": "2026-02-01",
        },
        dict.fromkeys(("model", "accuracy_class", "range", "serial", "calibration_date"))
        | {"device": "meter-rack", "kind": "snmp"},
    ]
    document["ambient"] = {
        "source": "measured",
        "sensor": "hwmon-room/temp1",
        "mean_celsius": 21.5,
        "lowest_celsius": 21.0,
        "highest_celsius": 22.25,
    }
    document["wall_model"] = {
        "learned": "2026-11-01T10:00:00+00:00",
        "meters": [{"device": "meter-desk", "domain": "wall"}],
        "slope": 1.1,
        "constant_watts": 40.0,
        "deviation_watts": 1.0,
        "windows": 20,
        "lowest_watts": 20.0,
        "highest_watts": 200.0,
    }
    document["points"][0]["modeled_wall"] = {
        "boundary": "wall (modeled)",
        "source": "estimated",
        "mean_watts": interval,
        "joules_per_inference": interval,
    }
    return document


def test_a_printed_profile_has_cross_checks_meters_the_room_and_the_modeled_wall() -> None:
    text = " ".join(profile_text(with_meters(), 200).split())
    assert "Warning (sensors of this host): psys/psys and the sensors below it do not fit" in text
    assert "Cross-check psys/psys against package-0/package + package-0/dram: double counted, slope 0.800" in text
    assert "meter-desk (shelly): model Plug S, accuracy class 1, calibration date 2026-02-01; meter-rack (snmp)" in text
    assert "Room 21.5 °C (21.0 to 22.2 °C) by hwmon-room/temp1" in text
    assert "3.00 J ±33 % per inference, 3.00 W ±33 %: estimated at the wall by the factor learned on 2026-11-01" in text


def test_a_given_temperature_of_the_room_is_marked() -> None:
    document = with_meters()
    document["ambient"] |= {"source": "given", "sensor": None, "mean_celsius": 20.0}
    assert "Room 20 °C, given" in " ".join(profile_text(document, 200).split())


def test_a_report_has_the_cross_checks_among_the_origins() -> None:
    (view,) = views_of([msgspec.convert(with_meters(), Document)], [None])
    found = dict(origins(view))
    assert found["Cross-check"][0].startswith("psys/psys against package-0/package")
    assert any("do not fit" in line for line in found["Warnings"])
