"""Each part of a host as measured, contained, modeled or missing in its total."""

from __future__ import annotations

import pytest

from agent.energy.counted_sensors import cover, coverage
from agent.energy.parts import parts
from meter_rig import counted, power_of
from probes.model import Channel, Device, Kind
from sensor_channels import (
    GAUDI,
    NPU,
    PSYS,
    WALL,
    channel,
    estimated,
    grace,
    nvidia,
    rails,
    socket,
    supply,
)

BARE = Channel(
    Device("0000:c1:00.0", Kind.ACCELERATOR, "Tenstorrent accelerator 1e52:401e"), "card", "utilization_ratio"
)
CPU = Channel(Device("package-0", Kind.CPU), "package", "utilization_ratio")
INSIDE = Channel(
    Device("0000:00:0b.0", Kind.NPU), "card", "utilization_ratio", contained_in=(("package-0", "package"),)
)


def rows(*channels):
    found = {}
    for part in parts(coverage(channels), channels):
        found.setdefault(part.state.value, []).append((part.name, " ".join("/".join(place) for place in part.sensors)))
    return {state: dict(named) for state, named in found.items()}


def test_a_socket_with_memory_and_a_card_are_measured_and_the_rest_is_missing():
    assert rows(*socket(0, "dram"), *nvidia()) == {
        "measured": {
            "package-0": "package-0/package package-0/dram",
            "GPU-a": "GPU-a/board",
            "memory": "package-0/dram",
        },
        "missing": {"board, disks, network and fans": "", "power supply losses": ""},
    }


def test_a_device_on_the_bus_without_any_source_is_missing_by_its_address():
    assert rows(*socket(0), BARE)["missing"] == {
        "0000:c1:00.0": "",
        "memory": "",
        "board, disks, network and fans": "",
        "power supply losses": "",
    }


def test_everything_behind_a_meter_at_the_wall_is_contained():
    found = rows(WALL, *socket(0, "dram"), *nvidia(), BARE)
    assert set(found) == {"contained"}
    assert set(found["contained"].values()) == {"ACPI000D:00/wall"}
    assert list(found["contained"]) == [
        "package-0",
        "0000:c1:00.0",
        "GPU-a",
        "memory",
        "board, disks, network and fans",
        "power supply losses",
    ]


def test_the_losses_are_missing_behind_the_outputs_of_the_supplies():
    found = rows(*supply("7-0058", "pout1"), *supply("7-0059", "pout1"), *socket(0))
    assert found["missing"] == {"power supply losses": ""}
    assert found["contained"]["package-0"] == "7-0058/pout1 7-0059/pout1"


def test_psys_contains_processors_and_memory_and_a_card_without_a_sensor_is_missing():
    found = rows(PSYS, *socket(0, "dram", psys=True), BARE)
    assert found["contained"]["package-0"] == found["contained"]["memory"] == "psys/psys"
    assert found["missing"] == {
        "0000:c1:00.0": "",
        "power supply losses": "",
        "parts that are not wired to psys": "",
    }


def test_the_chips_of_a_module_are_contained_in_its_meter():
    found = rows(*grace(0), *nvidia(module="module-0"), *nvidia("GPU-slot"))
    assert found["contained"] == {
        "package-0": "module-0/module",
        "GPU-a": "module-0/module",
        "memory": "module-0/module",
    }
    assert found["measured"] == {"GPU-slot": "GPU-slot/board"}


def test_a_part_inside_the_package_is_contained_with_and_without_a_sensor():
    found = rows(*socket(0), NPU, INSIDE)
    assert found["contained"] == {"0000:c6:00.1": "package-0/package", "0000:00:0b.0": "package-0/package"}


def test_a_processor_by_a_rail_of_its_board_is_contained():
    found = rows(CPU, *rails("scmi_dev.5", "soc"))
    assert found["contained"]["package-0"] == "scmi_dev.5/soc"
    assert "what these rails do not feed" in found["missing"]
    assert "memory" not in {**found["contained"], **found["missing"]}


def test_a_modeled_host_has_its_rest_modeled_and_its_accelerators_missing():
    found = rows(*estimated(), BARE)
    assert found["modeled"] == {
        "package-0": "package-0/package",
        "memory": "package-0/package",
        "board, disks, network and fans": "package-0/package",
        "power supply losses": "package-0/package",
    }
    assert found["missing"] == {"0000:c1:00.0": ""}
    assert rows(*estimated())["missing"] == {"accelerators": ""}


def test_a_modeled_package_does_not_contain_an_npu():
    assert rows(*estimated(), INSIDE)["missing"] == {"0000:00:0b.0": ""}


def test_accelerators_alone_leave_the_processors_missing():
    assert rows(*nvidia())["missing"] == {
        "memory": "",
        "board, disks, network and fans": "",
        "power supply losses": "",
        "processors": "",
    }
    assert "processors" not in rows(CPU, GAUDI)["missing"]
    assert "package-0" in rows(CPU, GAUDI)["missing"]


def test_the_memory_of_one_of_two_sockets_is_measured_and_missing():
    found = rows(*socket(0, "dram"), *socket(1))
    assert found["measured"]["memory"] == "package-0/dram"
    assert "memory" in found["missing"]


def test_without_a_sensor_everything_is_missing():
    found = rows(CPU, BARE)
    assert list(found) == ["missing"]
    assert list(found["missing"]) == [
        "package-0",
        "0000:c1:00.0",
        "memory",
        "board, disks, network and fans",
        "power supply losses",
    ]


def test_a_duplicate_is_no_part_and_a_silent_sensor_is_a_missing_one():
    levels = tuple(7.0 * (number * 13 % 23) for number in range(24))
    one = counted(channel("package-0", "package", refresh_seconds=0.01), power_of(["package"], levels=levels))
    copy = counted(channel("package-9", "package", refresh_seconds=0.01), power_of(["package"], levels=levels))
    still = counted(channel("GPU-s", "board", Kind.GPU, refresh_seconds=0.01), power_of([], levels=levels))
    found = cover([one, copy, still])
    assert any("a duplicate of" in text for text in found.not_covered)
    names = [(part.name, part.state.value) for part in parts(found, [one.channel, still.channel])]
    assert ("GPU-s/board (its sensor shows nothing)", "missing") in names
    assert not any("duplicate" in name for name, _ in names)


@pytest.mark.parametrize("channels", [(*socket(0, "dram"), *nvidia()), (WALL, BARE), (*estimated(), BARE), (BARE,)])
def test_no_part_is_listed_twice_in_one_state(channels):
    found = [(part.name, part.state) for part in parts(coverage(channels), channels)]
    assert len(set(found)) == len(found)
