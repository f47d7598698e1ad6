"""The sensors that are added up on machines of every build, so that each joule is counted once."""

from __future__ import annotations

from dataclasses import replace

import fake_nvml
from agent.energy.counted_sensors import Boundary, best_channels, best_series, cover, coverage
from probes.model import Kind, Roots, Source
from probes.registry import discover
from probes.settings import SensorSettings
from sensor_channels import (
    GAUDI,
    NVML_MODULE,
    PSYS,
    REST,
    WALL,
    channel,
    estimated,
    grace,
    nvidia,
    rails,
    socket,
    supply,
)
from simulated import SECOND
from store.records import Series
from trees import copy_tree, hwmon_chip


def test_temperatures_and_frequencies_are_not_added():
    assert coverage([channel("package-0", "package", metric="temperature_celsius")]).boundary is Boundary.NONE


def total(sysfs, tmp_path, gpus=(), *, estimates=True):
    library = tmp_path / "no-library"
    if gpus:
        library = fake_nvml.build(tmp_path)
        fake_nvml.write_state(library, list(gpus))
    found = discover(Roots(str(sysfs), str(tmp_path / "proc"), str(library)), SensorSettings(estimates))
    try:
        covered = coverage(channel for probe in found.probes for channel in probe.channels)
    finally:
        found.close()
    return covered.boundary, {each.place for each in covered.includes}


def test_psys_of_a_server_covers_its_zones_until_there_is_a_gpu(tmp_path):
    sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
    assert total(sysfs, tmp_path) == (Boundary.NODE, {("psys", "psys")})
    boundary, added = total(sysfs, tmp_path, [fake_nvml.H100])
    zones = {(f"package-{number}", domain) for number in (0, 1) for domain in ("package", "dram")}
    assert boundary is Boundary.COMPONENTS
    assert zones < added
    assert len(added - zones) == 1


def test_the_gpu_of_a_dgx_spark_is_in_its_system_s_total(tmp_path):
    boundary, added = total(copy_tree("dgx_spark", tmp_path / "tree"), tmp_path, [fake_nvml.H100])
    assert boundary is Boundary.NODE
    assert added == {("NVDA8800:00", "sys_total")}


def test_the_gpu_of_a_grace_hopper_is_in_its_module(tmp_path):
    for number, part in enumerate(("Module", "Grace", "CPU", "SysIO")):
        name = f"{part} Power Socket 0"
        values = {"name": "power_meter", "power1_average": 10_000_000, "power1_oem_info": name}
        hwmon_chip(tmp_path, number, f"LNXSYSTM:00/ACPI000D:0{number}", values)
    hopper = replace(fake_nvml.H100, name="NVIDIA GH200 480GB", pci_model=0x2342)
    boundary, added = total(tmp_path, tmp_path, [hopper])
    assert boundary is Boundary.COMPONENTS
    assert added == {("module-0", "module")}


def test_two_supplies_are_the_wall(tmp_path):
    for number, pin in enumerate((210_000_000, 190_000_000)):
        labels = {"power1_input": pin, "power1_label": "pin", "power2_input": pin // 2, "power2_label": "pout1"}
        hwmon_chip(tmp_path, number, f"i2c-7/7-005{number}", {"name": "pmbus", **labels})
    boundary, added = total(tmp_path, tmp_path)
    assert boundary is Boundary.WALL
    assert added == {("7-0050", "wall"), ("7-0051", "wall")}


def test_the_best_channel_of_a_domain_is_measured_then_a_counter_then_the_fastest():
    gauge = channel("package-0", "package", metric="power_watts", refresh_seconds=0.1)
    slow, fast, unknown = (replace(gauge, metric="energy_joules", refresh_seconds=time) for time in (0.1, 0.001, 0.0))
    modelled = replace(fast, source=Source.ESTIMATED)
    for best, worse in ((gauge, modelled), (slow, gauge), (fast, slow), (slow, unknown)):
        assert best_channels([best, worse]) == best_channels([worse, best]) == (best,)


def series(channel, values, seconds=2.0):
    step = round(seconds * SECOND / max(1, len(values) - 1))
    return Series(channel, tuple(step * number for number in range(len(values))), tuple(map(float, values)))


MOVING, STILL = range(20), (7,) * 20


def test_the_best_series_of_a_domain_has_samples():
    counter, gauge = (channel("GPU-a", "board", Kind.GPU, metric=name) for name in ("energy_joules", "power_watts"))
    heat = channel("GPU-a", "board", Kind.GPU, metric="temperature_celsius")
    empty, full, warm = series(counter, ()), series(gauge, MOVING), series(heat, MOVING)
    assert best_series([empty, full, warm]) == best_series([full, empty]) == (full,)
    assert best_series([series(counter, MOVING), full]) == (series(counter, MOVING),)
    assert best_series([empty]) == (empty,)


def test_one_of_two_sensors_of_a_domain_is_taken():
    package = channel("package-0", "package")
    duplicates = (series(package, MOVING), series(package, range(1, 21)))
    assert best_series(duplicates) == duplicates[:1]


def keys(covered):
    return {each.place for each in covered.includes}


def test_a_zone_that_never_changed_contains_nothing_and_is_named():
    package, dram = (series(each, MOVING) for each in socket(0, "dram", psys=True))
    assert keys(cover([series(PSYS, MOVING), package, dram])) == {("psys", "psys")}
    parts = cover([series(PSYS, STILL), package, dram])
    assert keys(parts) == {("package-0", "package"), ("package-0", "dram")}
    assert parts.not_covered == ("psys/psys (its sensor shows nothing)", *REST)
    bare = cover([package, series(dram.channel, STILL)])
    assert keys(bare) == {("package-0", "package")}
    assert bare.not_covered == ("package-0/dram (its sensor shows nothing)", "memory", *REST)


def test_a_device_that_stays_suspended_is_named_once_and_the_rest_counts():
    gpu = [series(each, ()) for each in best_channels(nvidia())]
    found = cover([series(socket(0)[0], MOVING), *gpu])
    assert keys(found) == {("package-0", "package")}
    assert found.not_covered[0] == "GPU-a/board (its sensor shows nothing)"
    assert found.not_covered[1:] == ("memory", *REST)


def test_a_part_that_never_changed_is_not_missing_inside_its_container():
    package, uncore = socket(0, "uncore")
    assert cover([series(package, MOVING), series(uncore, STILL)]).not_covered == ("memory", *REST)
    assert cover([series(WALL, MOVING), series(GAUDI, ())]).not_covered == ()


def test_too_few_samples_do_not_distinguish_a_dead_sensor_from_a_slow_one():
    psys, package = PSYS, series(socket(0, psys=True)[0], MOVING)
    for few in (series(psys, STILL[:5]), series(psys, STILL, seconds=0.5)):
        assert keys(cover([few, package])) == {("psys", "psys")}
    slow = replace(psys, refresh_seconds=1.0)
    assert keys(cover([series(slow, STILL), package])) == {("psys", "psys")}


def test_a_constant_gauge_is_dead_only_at_0():
    card = replace(GAUDI, metric="power_watts")
    package = series(socket(0)[0], MOVING)
    assert len(cover([package, series(card, STILL)]).includes) == 2
    assert len(cover([package, series(card, (0,) * 20)]).includes) == 1


def test_all_sensors_are_taken_if_none_shows_anything():
    assert keys(cover([series(GAUDI, ())])) == {("0000:19:00.0", "card")}
    assert cover([]).boundary is Boundary.NONE


def test_a_silent_one_of_two_supplies_is_missing_in_the_sum():
    first, second = supply("7-0058", "wall", "pout1"), supply("7-0059", "wall", "pout1")
    found = cover([*(series(each, range(1, 21)) for each in first), *(series(each, ()) for each in second)])
    assert keys(found) == {("7-0058", "wall")}
    assert found.boundary is Boundary.WALL
    assert found.not_covered == ("7-0059/wall (its sensor shows nothing)",)


def test_a_suspended_card_beside_psys_may_not_be_wired_to_it():
    card = [series(each, ()) for each in best_channels(nvidia())]
    found = cover([series(PSYS, MOVING), series(socket(0, psys=True)[0], MOVING), *card])
    assert keys(found) == {("psys", "psys")}
    assert found.not_covered[0] == "GPU-a/board (its sensor shows nothing)"


def test_devices_without_a_sensor_are_named_once_unless_another_meter_covers_them():
    heat = channel("GPU-b", "core", Kind.GPU, metric="temperature_celsius")
    busy = [channel(f"package-{number}", "package", metric="utilization_ratio") for number in (0, 1)]
    of_one = cover([series(socket(0)[0], MOVING)], [heat, *busy])
    assert of_one.not_covered[:2] == ("GPU-b (nothing measures its power)", "package-1 (nothing measures its power)")
    cards = [series(nvidia()[0], MOVING)]
    assert cover(cards, busy).not_covered == ("processors", "memory", *REST)
    for holder in (WALL, PSYS, NVML_MODULE, channel("APMC0D29:00", "cpu"), *rails("scmi_dev.5", "soc")):
        assert not [word for word in cover([series(holder, range(1, 21))], busy).not_covered if "package" in word]
    dies = [series(channel(f"package-{number}-die-0", "package"), MOVING) for number in (0, 1)]
    assert cover(dies, busy).not_covered == ("memory", *REST)
    assert cover([], [heat]).not_covered == ("the whole host: nothing here measures power",)


def test_the_meter_of_a_module_contains_only_the_processor_of_its_number():
    report = channel("GPU-a", "module", Kind.GPU, ("module-0", "module"), metric="power_watts")
    gpu = nvidia(module="GPU-a")
    for outer in ((report,), (*grace(0)[:1], report)):
        found = coverage([*outer, *gpu, *grace(1)[1:], *estimated(0)])
        assert ("package-1", "package") in keys(found)
        assert ("package-0", "package") not in keys(found)
        assert len(found.includes) == 2
