"""Cross-checks on simulated hosts with known power: a part counted twice, a part missing, and hosts that are right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.crosscheck import Verdict
from meter_rig import LEVELS, checked, counted, dram, gpu, package, plug, power_of, psys, windows_of
from probes.model import Kind, Source
from sensor_channels import channel
from simulated import SECOND

FEW = LEVELS[:1] * len(LEVELS)
KNOWN = {"refresh_seconds": 0.01, "resolution": 1e-3}


def names(channels):
    return [each.path for each in channels]


def test_psys_that_holds_its_packages_and_memory_is_plausible():
    (found,) = checked(psys(efficiency=0.95), package(), dram())
    assert found.verdict is Verdict.PLAUSIBLE
    assert found.slope.lower <= 1 / 0.95 <= found.slope.upper
    assert found.offset_watts.lower <= 0 <= found.offset_watts.upper
    assert found.windows == len(LEVELS)
    assert (names(found.layer.meters), names(found.layer.below)) == (
        ["psys/psys"],
        ["package-0/package", "package-0/dram"],
    )


def test_a_plug_shows_the_constant_power_of_parts_without_a_sensor():
    (found,) = checked(plug(), package(), dram(), gpu())
    assert found.verdict is Verdict.CONSTANT_PART_MISSING
    assert found.slope.lower <= 1 / 0.9 <= found.slope.upper
    assert found.offset_watts.lower <= 40 <= found.offset_watts.upper
    assert found.offset_watts.lower > 35
    assert "W or more that do not vary with the load have no sensor below" in found.reason


def test_a_part_that_two_drivers_show_is_found_as_counted_twice():
    again = counted(channel("0000:03:00.0", "card", Kind.GPU, **KNOWN), power_of(["gpu"]), period=0.04)
    (found,) = checked(plug(constant=0.0), package(), dram(), gpu(), again)
    assert found.verdict is Verdict.DOUBLE_COUNTED
    assert found.slope.upper < 0.97
    assert "has a part twice" in found.reason


def test_a_constant_part_that_is_counted_twice_is_found_by_the_offset():
    fixed = [
        counted(channel(f"disk-{n}", "card", Kind.ACCELERATOR, **KNOWN), power_of([], constant=60.0 + n))
        for n in (0, 1)
    ]
    (found,) = checked(plug(constant=61.0, efficiency=0.95), package(), dram(), gpu(), *fixed)
    assert found.verdict is Verdict.DOUBLE_COUNTED
    assert found.offset_watts.upper < -40
    assert "a constant part twice" in found.reason


def test_a_gpu_without_a_sensor_is_found_as_a_missing_part_that_varies():
    (found,) = checked(plug(), package(), dram())
    assert found.verdict is Verdict.DYNAMIC_PART_MISSING
    assert found.slope.lower > found.slope_limit
    assert "a part that varies with the load has no sensor below" in found.reason


def test_layers_are_compared_from_the_wall_inwards():
    meters = (
        plug(constant=30.0),
        counted(
            channel("bmc", "wall", Kind.BOARD, **KNOWN),
            power_of(["package", "dram", "gpu"], efficiency=0.92, constant=28.0),
        ),
        psys(efficiency=0.97),
    )
    found = checked(*meters, package(), dram(), gpu())
    assert [names(each.layer.meters) for each in found] == [["meter-desk/wall"], ["bmc/wall"], ["psys/psys"]]
    assert names(found[0].layer.below) == ["bmc/wall"]
    assert names(found[1].layer.below) == ["package-0/package", "package-0/dram", "GPU-a/board"]
    assert names(found[2].layer.below) == ["package-0/package", "package-0/dram"]
    assert found[2].verdict is Verdict.PLAUSIBLE
    limits = [each.slope_limit for each in found]
    assert limits == sorted({limits[0], limits[1], limits[2]}, key=limits.index)
    assert limits[0] < limits[2] < limits[1]


def test_supplies_are_compared_as_a_sum_first_by_input_then_by_output():
    halves = [
        counted(channel(f"psu-{n}", domain, Kind.PSU, *(((f"psu-{n}", "wall"),) if domain == "pout1" else ()), **KNOWN),
                power_of(["package", "dram", "gpu"], efficiency=efficiency * share_of, constant=share * 10.0))
        for n, share, share_of in ((0, 1.0, 2.5), (1, 1.3, 5 / 3))
        for domain, efficiency in (("wall", 0.9), ("pout1", 1.0))
    ]  # fmt: skip
    found = checked(*halves, package(), dram(), gpu())
    assert [names(each.layer.meters) for each in found] == [
        ["psu-0/wall", "psu-1/wall"],
        ["psu-0/pout1", "psu-1/pout1"],
    ]
    assert found[0].slope.mean == pytest.approx(1 / 0.9, rel=0.01)
    assert found[1].slope.mean == pytest.approx(1.0, rel=0.01)
    assert found[0].slope_limit < 1.3


def test_a_module_is_compared_with_its_own_chips_alone():
    module = ("module-0", "module")
    chips = [
        counted(channel("package-0", "package", Kind.CPU, module, **KNOWN), power_of(["package"])),
        counted(channel("GPU-h", "board", Kind.GPU, module, **KNOWN), power_of(["gpu"])),
    ]
    meter = counted(channel(*module, Kind.BOARD, **KNOWN), power_of(["package", "gpu"], efficiency=0.95))
    (found,) = checked(meter, *chips, gpu())
    assert names(found.layer.below) == ["package-0/package", "GPU-h/board"]
    assert found.verdict is Verdict.PLAUSIBLE


def test_a_load_that_does_not_change_shows_no_slope():
    (found,) = checked(psys(levels=FEW), package(FEW), dram(FEW))
    assert (found.verdict, found.slope, found.offset_watts) == (Verdict.UNDETERMINED, None, None)
    assert "put a load on the host" in found.reason


def test_one_window_shows_no_slope():
    (found,) = checked(psys(), package(), dram(), windows=windows_of()[:1])
    assert found.verdict is Verdict.UNDETERMINED
    assert found.windows == 1
    assert found.reason.startswith("fewer than two windows")


def test_windows_without_an_energy_of_a_sensor_do_not_count():
    late = dram()
    cut = next(i for i, at in enumerate(late.times_ns) if at > 12 * SECOND)
    late = replace(late, times_ns=late.times_ns[cut:], values=late.values[cut:])
    (found,) = checked(psys(), package(), late)
    assert found.windows == len(LEVELS) - 2


def test_bounds_wider_than_the_change_of_the_load_leave_the_slope_open():
    windows = [(start, start + SECOND // 50) for start, _ in windows_of()]
    (found,) = checked(psys(efficiency=0.95), package(), dram(), windows=windows)
    assert found.verdict is Verdict.UNDETERMINED
    assert "use longer windows" in found.reason


def test_a_slope_between_plausible_and_not_is_undetermined():
    (found,) = checked(psys(efficiency=1.03), package(), dram(), windows=windows_of(margin=4.7))
    assert found.verdict is Verdict.UNDETERMINED
    assert "is plausible" in found.reason


def test_an_offset_between_none_and_some_is_undetermined():
    (found,) = checked(psys(efficiency=0.95, constant=3.0), package(), dram(), windows=windows_of(margin=4.0))
    assert found.verdict is Verdict.UNDETERMINED
    assert "the slope is plausible; the constant part without a sensor may be" in found.reason


def test_estimates_and_sensors_that_show_nothing_are_not_compared():
    model = counted(channel("package-0", "package", Kind.CPU, source=Source.ESTIMATED, **KNOWN), power_of(["package"]))
    assert checked(psys(), model) == ()
    still = replace(psys(), values=(5.0,) * len(psys().values))
    assert checked(still, package(), dram()) == ()
    assert checked(package(), dram()) == ()


def test_a_copy_of_a_counter_under_another_name_is_not_counted():
    varied = tuple(7.0 * (number * 13 % 23) for number in range(24))
    copy = replace(package(varied), channel=channel("package-9", "package", Kind.CPU, **KNOWN))
    (found,) = checked(
        psys(efficiency=0.95, levels=varied), package(varied), dram(varied), copy, windows=windows_of(24)
    )
    assert names(found.layer.below) == ["package-0/package", "package-0/dram"]
    assert found.verdict is Verdict.PLAUSIBLE
