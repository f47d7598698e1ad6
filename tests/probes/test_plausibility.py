"""Every family rejects an implausible reading or limit; noise around 0 W is 0 W."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.hwmon.probe import discover
from probes.model import METRICS, Channel, Device, Kind, Reason, Roots
from probes.nvml.sensors import Sensor
from probes.plausibility import (
    BLANKS,
    CEILING_WATTS,
    NOISE_WATTS,
    check_gauge,
    highest_limit_watts,
    max_watts,
    range_of,
)
from trees import write

if TYPE_CHECKING:
    from pathlib import Path

BOARD = Device("board", Kind.BOARD)
WATTS = Channel(BOARD, "wall", "power_watts")
ACPI_UNKNOWN = 0xFFFFFFFF * 1000  # all ones in milliwatts, shown in microwatts


def test_every_kind_has_a_ceiling() -> None:
    assert set(CEILING_WATTS) == set(Kind)


def test_the_ceiling_of_a_sensor_is_its_stated_limit_or_that_of_its_kind() -> None:
    assert max_watts(WATTS) == 20_000
    assert max_watts(Channel(BOARD, "wall", "power_watts", max_plausible=1200.0)) == 1200


@pytest.mark.parametrize("kind", Kind)
@given(value=st.floats())
def test_no_value_outside_the_range_of_its_metric_is_accepted(kind: Kind, value: float) -> None:
    for metric in METRICS:
        channel = Channel(Device("d", kind), "x", metric)
        lowest, highest = range_of(channel)
        found = check_gauge(channel, value)
        assert found == Reason.IMPOSSIBLE or lowest <= found <= highest
        assert (found == value) is (lowest <= value <= highest) or found == 0


@pytest.mark.parametrize(
    ("metric", "value", "answer"),
    [
        ("power_watts", 150.0, 150.0),
        ("power_watts", -6.0, Reason.IMPOSSIBLE),
        ("power_watts", -NOISE_WATTS, 0.0),
        ("power_watts", -NOISE_WATTS - 0.001, Reason.IMPOSSIBLE),
        ("power_watts", 4_294_967.295, Reason.IMPOSSIBLE),
        ("power_watts", math.nan, Reason.IMPOSSIBLE),
        ("power_limit_watts", 4_294_967.295, Reason.IMPOSSIBLE),
        ("utilization_ratio", 1.01, Reason.IMPOSSIBLE),
        ("utilization_ratio", 1.0, 1.0),
        ("temperature_celsius", -40.0, -40.0),
        ("temperature_celsius", 2_147_483.647, Reason.IMPOSSIBLE),
        ("temperature_celsius", -273.2, Reason.IMPOSSIBLE),
        ("frequency_hertz", 4e15, Reason.IMPOSSIBLE),
        ("memory_used_bytes", 1.8e19, Reason.IMPOSSIBLE),
        ("throttle_reasons", 2.0**40, 2.0**40),
    ],
)
def test_the_range_of_each_metric(metric: str, value: float, answer: float | Reason) -> None:
    assert check_gauge(Channel(BOARD, "x", metric), value) == answer


@pytest.mark.parametrize("blank", sorted(BLANKS))
def test_blank_values_are_neither_limits_nor_readings(blank: int) -> None:
    assert highest_limit_watts([blank], 1, Kind.BOARD) == 0
    assert highest_limit_watts([blank, 250_000_000], 1_000_000, Kind.GPU) == 250
    gauge = Sensor(Channel(BOARD, "x", "power_watts"), over=10**30)
    assert gauge.value(blank, 0) is Reason.SENTINEL


def test_a_limit_beyond_every_device_of_the_kind_is_ignored() -> None:
    assert highest_limit_watts([0, None, -5, 3_000_000_000], 1_000_000, Kind.CPU) == 0
    assert highest_limit_watts([3_000_000_000, 250_000_000], 1_000_000, Kind.CPU) == 250


def meter(root: Path, **values: int) -> Roots:
    folder = root / "devices/platform/meter.0/hwmon/hwmon0"
    write(folder / "name", "power_meter")
    for name, value in values.items():
        write(folder / name, value)
    link = root / "class/hwmon/hwmon0"
    link.parent.mkdir(parents=True)
    link.symlink_to(folder)
    return Roots(str(root))


@pytest.mark.parametrize(
    ("microwatts", "watts", "reason"),
    [
        (ACPI_UNKNOWN, None, Reason.SENTINEL),
        (0x7FFFFFFF, None, Reason.SENTINEL),
        (30_000_000_000, None, Reason.IMPOSSIBLE),
        (-6_000_000, None, Reason.IMPOSSIBLE),
        (-40_000, 0.0, None),
        (150_000_000, 150.0, None),
    ],
)
def test_a_meter_that_reports_an_unknown_value_returns_none(
    tmp_path: Path, microwatts: int, watts: float | None, reason: Reason | None
) -> None:
    [probe] = discover(meter(tmp_path, power1_input=microwatts)).probes
    [value] = probe.read(0)
    assert value == watts if watts is not None else math.isnan(value)
    assert [rejection.reason for rejection in probe.rejections] == ([reason] if reason else [])
    probe.close()


@pytest.mark.parametrize("limit", [ACPI_UNKNOWN, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0])
def test_a_limit_of_all_ones_is_replaced_by_the_ceiling_of_the_kind(tmp_path: Path, limit: int) -> None:
    roots = meter(tmp_path, power1_input=150_000_000, power1_max=limit, power1_cap=limit)
    [probe] = discover(roots).probes
    assert [channel.max_plausible for channel in probe.channels] == [0]
    probe.close()


def test_a_reverse_current_is_not_0_watts(tmp_path: Path) -> None:
    folder = tmp_path / "devices/platform/i2c-1/1-0043/hwmon/hwmon1"
    for name, value in (("name", "ina226"), ("in1_input", 12000), ("curr1_input", -500)):
        write(folder / name, value)
    (tmp_path / "class/hwmon").mkdir(parents=True)
    (tmp_path / "class/hwmon/hwmon1").symlink_to(folder)
    [probe] = discover(Roots(str(tmp_path))).probes
    assert math.isnan(probe.read(0)[0])
    assert probe.rejections[0].reason is Reason.IMPOSSIBLE
    probe.close()
