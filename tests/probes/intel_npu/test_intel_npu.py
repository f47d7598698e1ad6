import errno
import math
import os

import pytest

from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.intel_npu import discover
from probes.intel_npu.telemetry import LAYOUTS, MODULUS, TelemetryProbe, celsius, energy_counts
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import copy_tree, write

NPU = "devices/pci0000:00/0000:00:0b.0"
TELEMETRY = "devices/pci0000:00/0000:00:0a.0/intel_vsec.telemetry.1/intel_pmt/telem1"
ENERGY, TEMPERATURES = 0x5D0, 0x70
SECOND = 1_000_000_000


@pytest.fixture
def sysfs(tmp_path):
    return copy_tree("intel_npu_lnl", tmp_path / "tree")


@pytest.fixture
def search(sysfs):
    found = []

    def run(**settings):
        found.append(discover(Roots(str(sysfs)), SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


def set_field(sysfs, offset, number):
    with (sysfs / TELEMETRY / "telem").open("r+b") as file:
        file.seek(offset)
        file.write(number.to_bytes(8, "little"))


def test_an_npu_has_its_attributes_and_its_telemetry(search):
    attributes, telemetry = search().probes
    assert (attributes.name, telemetry.name) == ("intel_npu/0000:00:0b.0", "intel_npu/0000:00:0b.0-telemetry")
    assert {channel.device.kind for channel in (*attributes.channels, *telemetry.channels)} == {Kind.NPU}
    assert {channel.contained_in for channel in (*attributes.channels, *telemetry.channels)} == {
        (("package-0", "package"),)
    }


def test_busy_time_clock_and_memory_are_in_si_units(search, sysfs):
    probe = search().probes[0]
    first = probe.read(0)
    assert math.isnan(first[0])
    assert first[1:] == [1.4e9, 104857600.0]
    write(sysfs / NPU / "npu_busy_time_us", 123456789 + 250_000)
    assert math.isnan(probe.read(SECOND // 2)[0])
    assert probe.read(SECOND)[0] == 0.25


@pytest.mark.usefixtures("sysfs")
def test_the_energy_is_a_fixed_point_number_and_modeled_by_firmware(search):
    probe = search().probes[1]
    energy, temperature = probe.channels
    assert (energy.path, energy.metric, energy.method) == ("0000:00:0b.0/npu", "energy_joules", "firmware model")
    assert (energy.wraps_at, energy.resolution) == (262144.0, 1 / 16384)
    assert temperature.metric == "temperature_celsius"
    assert probe.read(0) == [1234.5, 45.0]


def test_the_counter_wraps_at_32_bits_and_the_bits_above_are_ignored(search, sysfs):
    probe = search().probes[1]
    set_field(sysfs, ENERGY, MODULUS - 16384)
    before = probe.read(0)[0]
    set_field(sysfs, ENERGY, 16384 | 7 << 32)
    assert probe.read(SECOND)[0] - before == 2.0
    assert probe.rejections == []


def test_a_counter_that_starts_again_adds_no_energy(search, sysfs):
    probe = search().probes[1]
    probe.read(0)
    set_field(sysfs, ENERGY, 16384)
    assert math.isnan(probe.read(SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.RESET)]
    set_field(sysfs, ENERGY, 3 * 16384)
    assert probe.read(2 * SECOND)[0] == 1236.5


def test_more_energy_than_an_npu_can_draw_is_rejected(search, sysfs):
    probe = search().probes[1]
    probe.read(0)
    set_field(sysfs, ENERGY, round(2234.5 * 16384))
    assert math.isnan(probe.read(SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]


@pytest.mark.parametrize("raw", [0, 0xFF << 40])
def test_no_degrees_and_all_bits_set_are_no_temperature(search, sysfs, raw):
    probe = search().probes[1]
    set_field(sysfs, TEMPERATURES, raw)
    assert math.isnan(probe.read(0)[1])
    assert probe.rejections == [Rejection(1, Reason.SENTINEL)]


def test_another_region_with_a_similar_guid_is_left_alone(search, sysfs):
    (sysfs / "class/intel_pmt/telem1").unlink()
    assert "no telemetry region" in search().problems[0].reason


def test_a_region_that_ends_before_the_energy_is_a_problem(search, sysfs):
    write(sysfs / "class/intel_pmt/telem0/guid", "0x3072005")
    (problem,) = search().problems
    assert problem.reason == "the region ends before its energy"


def test_a_processor_without_a_known_layout_is_a_note(search, sysfs):
    write(sysfs / TELEMETRY / "guid", "0x308d000")
    found = search()
    assert len(found.probes) == 1
    (problem,) = found.problems
    assert not problem.is_unreadable
    assert "no telemetry region" in problem.reason
    assert "pmt_telemetry" in problem.remedy


def test_a_region_that_cannot_be_opened_is_a_problem_with_its_file(search, sysfs):
    (sysfs / TELEMETRY / "telem").unlink()
    (problem,) = search().problems
    assert str(sysfs / "class/intel_pmt/telem1/telem") in problem.sensor
    assert problem.reason == "No such file or directory"


@pytest.mark.parametrize(
    ("number", "error"), [(errno.EIO, ReadError), (errno.EACCES, ReadError), (errno.ENODEV, DeviceLostError)]
)
def test_a_region_that_fails_is_a_failed_read_and_a_removed_one_is_lost(sysfs, search, number, error):
    def failing(*_):
        raise OSError(number, os.strerror(number))

    channels = search().probes[1].channels
    probe = TelemetryProbe("npu", sysfs / TELEMETRY / "telem", LAYOUTS[0x03072005], channels, failing)
    with pytest.raises(error):
        probe.read(0)
    probe.close()
    probe.close()


@pytest.mark.parametrize("field", [b"", b"\1\2\3"])
def test_a_field_that_is_cut_short_has_no_value(field):
    assert (energy_counts(field), celsius(field)) == (None, None)


def test_a_sleeping_npu_is_not_read_and_its_busy_time_goes_on(search, sysfs):
    status = write(sysfs / NPU / "power/runtime_status", "active")
    probe = search().probes[0]
    probe.read(0)
    write(status, "suspended")
    assert all(map(math.isnan, probe.read(SECOND)))
    write(status, "active")
    write(sysfs / NPU / "npu_busy_time_us", 123456789 + 500_000)
    assert probe.read(2 * SECOND)[0] == 0.25


@pytest.mark.parametrize(
    ("entry", "left"),
    [("0000:00:0b.0", 0), ("intel_npu/0000:00:0b.0-telemetry", 1), ("0000:00:0b.0/npu", 0)],
)
def test_an_excluded_npu_or_telemetry_is_not_read(search, entry, left):
    found = search(exclude=(entry,))
    assert (len(found.probes), found.problems, found.excluded) == (left, (), {entry})


def test_a_host_without_an_npu_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no NPU of the driver intel_vpu"):
        discover(Roots(str(copy_tree("gaudi2", tmp_path / "tree"))))
