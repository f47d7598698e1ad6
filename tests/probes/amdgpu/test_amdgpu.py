import math
import os
from pathlib import Path

import pytest

from amd_cards import JOULE, MI210, RADEON, STRIX, instinct, metrics_table, pci_card, ppt
from hwmon_readings import channel, readings
from probes.amdgpu import discover, discovery
from probes.amdgpu.probe import AmdGpuProbe, TableReader
from probes.amdgpu.sensors import ReducedTime
from probes.attributes import Attribute, OpenAttribute, parse_percent
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.fdinfo import ClientShares
from probes.model import Channel, Device, Kind, Reason, Rejection, Roots
from probes.registry import discover as discover_all
from trees import copy_tree, write

FIRST, SECOND = "0000:05:00.0", "0000:26:00.0"
SECOND_NS = 1_000_000_000
GPU = Device(FIRST, Kind.GPU)


def keys(probe):
    return {(channel.domain, channel.metric) for channel in probe.channels}


def test_an_instinct_card_has_its_energy_before_all_others(tmp_path, found):
    instinct(tmp_path, FIRST, joules=1000)
    (probe,) = found().probes
    assert (probe.name, probe.gpu, probe.files_only) == (f"amdgpu/{FIRST}", FIRST, False)
    energy = probe.channels[0]
    assert (energy.domain, energy.metric, energy.method) == ("package", "energy_joules", "counter")
    assert energy.resolution == 1 / 65536
    assert energy.max_plausible == 4 * 750.0
    read = readings(probe)
    assert read[FIRST, "package", "energy_joules"] == 1000.0
    assert read[FIRST, "package", "utilization_ratio"] == 0.86
    assert read[FIRST, "memory", "utilization_ratio"] == 0.42
    assert read[FIRST, "memory", "memory_used_bytes"] == 17179869184.0
    assert read[FIRST, "memory", "memory_total_bytes"] == 206141652992.0
    assert read[FIRST, "graphics", "frequency_hertz"] == 2.1e9


def test_the_device_is_the_one_that_hwmon_names(tmp_path):
    instinct(tmp_path, FIRST)
    everything = discover_all(Roots(str(tmp_path), str(tmp_path / "proc")))
    everything.close()
    devices = {channel.device for channel in everything.channels if channel.device.id == FIRST}
    assert len(devices) == 1
    assert {channel.metric for channel in everything.channels if channel.place == (FIRST, "package")} == {
        "energy_joules",
        "power_watts",
        "power_limit_watts",
        "utilization_ratio",
    }


def test_power_comes_from_hwmon_and_from_the_table_only_without_it(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, RADEON)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 3), socket_power=44, energy_accumulator=5))
    (probe,) = found().probes
    assert keys(probe) == {("package", "power_watts")}
    assert channel(probe, "package").method == "average"
    assert probe.read(0) == [44.0]
    ppt(tmp_path, FIRST, 44)
    assert readings(*found().probes) == {(FIRST, "package", "power_limit_watts"): 750.0}


@pytest.mark.parametrize("entry", ["hwmon", f"hwmon/{FIRST}"])
def test_power_comes_from_the_table_if_hwmon_is_excluded(tmp_path, found, entry):
    folder = pci_card(tmp_path, FIRST, RADEON)
    ppt(tmp_path, FIRST, 44)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 3), socket_power=45))
    assert readings(*found(exclude=(entry,)).probes)[FIRST, "package", "power_watts"] == 45.0


def test_the_power_of_later_tables_is_that_of_the_moment(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, 0x74A1)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 4), socket_power=300))
    assert channel(found().probes[0], "package").method == "instant"


def test_the_accumulator_of_a_radeon_card_is_not_read(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, RADEON)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 3), indep_throttle_status=0, energy_accumulator=5 * JOULE))
    (probe,) = found().probes
    assert keys(probe) == {("package", "throttle_reasons")}
    assert probe.read(0) == [0.0]


def test_the_accumulator_of_an_mi200_is_read_and_its_second_die_has_none(tmp_path, found):
    first, second = (pci_card(tmp_path, address, MI210) for address in (FIRST, SECOND))
    table = {"indep_throttle_status": 0, "system_clock_counter": 1}
    (first / "gpu_metrics").write_bytes(metrics_table((1, 3), energy_accumulator=9 * JOULE, **table))
    (second / "gpu_metrics").write_bytes(metrics_table((1, 3), energy_accumulator=0, **table))
    primary, secondary = found().probes
    assert readings(primary)[FIRST, "package", "energy_joules"] == 9.0
    assert keys(secondary) == {("package", "throttle_reasons")}


def test_energy_is_checked_against_the_time_of_the_table_not_that_of_a_delayed_read(tmp_path, found):
    folder = instinct(tmp_path, FIRST, joules=1000)
    (probe,) = found().probes
    probe.read(0)
    grown = {"energy_accumulator": 31_000 * JOULE, "system_clock_counter": 10**12 + 100 * SECOND_NS}
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 6), **grown))
    assert probe.read(1)[0] == 31_000.0
    impossible = {"energy_accumulator": 991_000 * JOULE, "system_clock_counter": 10**12 + 101 * SECOND_NS}
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 6), **impossible))
    assert math.isnan(probe.read(10**15)[0])
    assert Rejection(0, Reason.IMPOSSIBLE) in probe.rejections


def test_an_unfilled_accumulator_is_a_sentinel_not_a_number(tmp_path, found):
    folder = instinct(tmp_path, FIRST)
    (probe,) = found().probes
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 6)))
    values = probe.read(0)
    assert math.isnan(values[0])
    assert Rejection(0, Reason.SENTINEL) in probe.rejections


def test_counters_alone_are_one_read_of_the_table(tmp_path, found):
    folder = instinct(tmp_path, FIRST, joules=5)
    (probe,) = found().probes
    (folder / "gpu_busy_percent").unlink()
    values = probe.read_counters(0)
    assert values[0] == 5.0
    assert all(map(math.isnan, values[1:]))
    assert len(values) == len(probe.channels)
    assert not probe.rejections


@pytest.mark.parametrize(("name", "content"), [("gpu_busy_percent", "101"), ("gpu_busy_percent", "8600")])
def test_a_utilization_above_100_percent_is_rejected(tmp_path, found, name, content):
    folder = instinct(tmp_path, FIRST)
    (probe,) = found().probes
    write(folder / name, content)
    at = [each.metric for each in probe.channels].index("utilization_ratio")
    assert math.isnan(probe.read(0)[at])
    assert probe.rejections == [Rejection(at, Reason.IMPOSSIBLE)]


def test_the_raw_activity_of_an_apu_is_never_read_because_its_scale_depends_on_the_firmware(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, STRIX)
    (folder / "gpu_metrics").write_bytes(metrics_table((3, 0), average_gfx_activity=50, gfx_power=9_000))
    (probe,) = found().probes
    assert ("package", "utilization_ratio") not in keys(probe)
    assert ("socket", "utilization_ratio") not in keys(probe)


def test_the_activity_in_the_table_of_a_card_replaces_a_missing_file(tmp_path, found):
    folder = instinct(tmp_path, FIRST, average_gfx_activity=12)
    assert readings(*found().probes)[FIRST, "package", "utilization_ratio"] == 0.86
    (folder / "gpu_busy_percent").unlink()
    assert readings(*found().probes)[FIRST, "package", "utilization_ratio"] == 0.12


def test_a_suspended_card_is_left_asleep(tmp_path, found):
    folder = instinct(tmp_path, FIRST)
    write(folder / "power/runtime_status", "suspended")
    (folder / "gpu_metrics").unlink()
    (folder / "gpu_metrics").mkdir()  # a read would raise
    (probe,) = found().probes
    assert all(map(math.isnan, probe.read(0)))
    assert probe.gpu_processes(0).programs is None
    assert not probe.rejections


def test_a_table_of_an_unknown_format_is_a_note_and_no_sample(tmp_path, found):
    folder = instinct(tmp_path, FIRST)
    (folder / "gpu_metrics").write_bytes(b"\x10\x00\x01\x09" + b"\x01" * 12)
    result = found()
    (problem,) = result.problems
    assert (problem.sensor, problem.label) == (f"amdgpu/{FIRST}", "note")
    assert "unknown format 1.9 of 16 bytes" in problem.reason
    assert {metric for _, metric in keys(result.probes[0])} == {
        "utilization_ratio",
        "memory_used_bytes",
        "memory_total_bytes",
        "frequency_hertz",
        "power_limit_watts",
    }


def test_a_table_that_cannot_be_read_is_a_problem_with_its_remedy(tmp_path, found):
    folder = instinct(tmp_path, FIRST)
    (folder / "gpu_metrics").unlink()
    (folder / "gpu_metrics").symlink_to("/proc/self/mem")  # a read at 0 fails with EIO
    result = found()
    (problem,) = result.problems
    assert problem.is_unreadable
    assert "its energy is not measured" in problem.reason
    assert "kernel log" in problem.remedy
    assert ("package", "utilization_ratio") in keys(result.probes[0])


def test_a_card_without_a_table_or_a_file_lacks_their_sensors(tmp_path, found):
    folder = instinct(tmp_path, FIRST)
    for name in ("gpu_metrics", "mem_busy_percent"):
        (folder / name).unlink()
    (folder / "mem_busy_percent").symlink_to("/proc/self/clear_refs")  # a read fails with EINVAL
    result = found()
    assert result.problems == ()
    assert keys(result.probes[0]).isdisjoint({("package", "energy_joules"), ("memory", "utilization_ratio")})


def test_a_power_limit_with_all_bits_set_is_none(tmp_path, found):
    pci_card(tmp_path, FIRST, RADEON)
    chip = ppt(tmp_path, FIRST, 44)
    (probe,) = found().probes
    write(chip / "power1_cap", 4294967295000)
    assert math.isnan(probe.read(0)[0])


def test_a_hanging_card_is_a_problem_and_delays_no_other(tmp_path, found, monkeypatch):
    first, _ = (instinct(tmp_path, address, index=at) for at, address in enumerate((FIRST, SECOND)))
    (first / "gpu_metrics").unlink()
    os.mkfifo(first / "gpu_metrics")
    monkeypatch.setattr(discovery, "CARD_SECONDS", 2.0)
    result = found()
    (first / "gpu_metrics").open("r+b", buffering=0).close()
    assert [probe.name for probe in result.probes] == [f"amdgpu/{SECOND}"]
    assert [problem.sensor for problem in result.problems] == [f"amdgpu/{FIRST}"]


def test_excluded_domains_and_devices_are_not_read(tmp_path, found):
    instinct(tmp_path, FIRST)
    result = found(exclude=(f"{FIRST}/memory", f"{FIRST}/package"))
    assert result.excluded == {f"{FIRST}/memory", f"{FIRST}/package"}
    assert {domain for domain, _ in keys(result.probes[0])}.isdisjoint({"memory", "package"})
    result = found(exclude=(FIRST,))
    assert (result.probes, result.excluded) == ((), {FIRST})


def test_a_host_without_such_a_card_has_no_family(tmp_path, found):
    pci_card(tmp_path, FIRST, RADEON, driver="vfio-pci")
    with pytest.raises(ProbeUnavailableError, match="has the driver amdgpu"):
        found()


class Failing:
    """A file whose reads fail with one number."""

    def __init__(self, number):
        self._number = number

    def read(self):
        raise ReadError("gone") from OSError(self._number, os.strerror(self._number))

    def close(self):
        pass


@pytest.mark.parametrize(
    ("table", "attribute", "error"), [(19, 19, DeviceLostError), (19, 5, ReadError), (5, 5, ReadError)]
)
def test_a_card_whose_files_all_fail_is_lost_or_read_again(table, attribute, error):
    busy = Attribute("gpu_busy_percent", Channel(GPU, "package", "utilization_ratio"), parse_percent)
    reader = TableReader(Failing(table), (), ReducedTime(GPU))
    opened = [OpenAttribute(busy, Failing(attribute))]
    probe = AmdGpuProbe("amdgpu", GPU, reader, opened, None, ClientShares(Path("/nowhere"), FIRST))
    with pytest.raises(error):
        probe.read(0)
    probe.close()


def test_the_trees_of_amd_machines_are_read(tmp_path):
    sysfs = copy_tree("amd_instinct", tmp_path / "tree")
    result = discover(Roots(str(sysfs), str(tmp_path / "proc")))
    try:
        read = readings(*result.probes)
        assert {key for key in read if key[2] == "energy_joules"} == {
            (FIRST, "package", "energy_joules"),
            (SECOND, "package", "energy_joules"),
        }
    finally:
        for probe in result.probes:
            probe.close()
