import math

import pytest

from fake_files import FAILED, GONE, FakeFiles
from probes.driver_devices import devices_of_class
from probes.errors import DeviceLostError, ReadError
from probes.integer_attributes import AttributeProbe, BusyShare, Gauge, find_attributes, merged
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection
from probes.settings import ALL_SENSORS, SensorSettings
from trees import copy_tree, write

DEVICE = Device("0000:19:00.0", Kind.ACCELERATOR)
CLOCK = Channel(DEVICE, "card", "frequency_hertz")
BUSY = Channel(DEVICE, "card", "utilization_ratio")


def probe_of(tmp_path, *first, status=None):
    files = FakeFiles(tmp_path, *first)
    attributes = [Gauge(CLOCK, tmp_path / "file0", 1_000_000), BusyShare(BUSY, tmp_path / "file1", 1000, 0.1)]
    return AttributeProbe("gaudi/x", list(zip(attributes, files.files, strict=True)), status, files.pread), files


def test_values_are_in_the_units_of_their_channels(tmp_path):
    probe, files = probe_of(tmp_path, 1650, 0)
    assert probe.read(0) == [1.65e9, pytest.approx(math.nan, nan_ok=True)]
    files.now[:] = [800, 25]
    assert probe.read(100_000_000) == [8e8, 0.25]
    assert probe.rejections == []
    probe.close()


def test_a_failed_file_is_no_value_and_the_others_are_read(tmp_path):
    probe, files = probe_of(tmp_path, 1650, 0)
    files.now[0] = FAILED
    assert all(map(math.isnan, probe.read(0)))
    assert probe.rejections == [Rejection(0, Reason.READ_ERROR)]
    probe.close()


def test_a_read_without_any_file_is_an_error(tmp_path):
    probe, files = probe_of(tmp_path, 1650, 0)
    files.now[:] = [FAILED, GONE]
    with pytest.raises(ReadError, match="Input/output error"):
        probe.read(0)
    probe.close()


def test_a_removed_device_is_lost(tmp_path):
    probe, files = probe_of(tmp_path, 1650, 0)
    files.now[:] = [GONE, GONE]
    with pytest.raises(DeviceLostError, match="gaudi/x: the device was removed"):
        probe.read(0)
    probe.close()


def test_all_bits_set_and_impossible_values_are_rejected(tmp_path):
    probe, files = probe_of(tmp_path, 0xFFFFFFFF, 0xFFFFFFFF)
    probe.read(0)
    assert probe.rejections == [Rejection(0, Reason.SENTINEL), Rejection(1, Reason.SENTINEL)]
    probe.rejections.clear()
    files.now[:] = [-5, 0]
    probe.read(0)
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]
    probe.close()


def test_a_sleeping_device_is_not_read(tmp_path):
    status = write(tmp_path / "runtime_status", "suspended")
    probe, files = probe_of(tmp_path, FAILED, FAILED, status=status)
    assert all(map(math.isnan, probe.read(0)))
    write(status, "active")
    files.now[:] = [1650, 0]
    assert probe.read(0)[0] == 1.65e9
    probe.close()


@pytest.fixture
def card(tmp_path):
    device, _ = devices_of_class(copy_tree("gaudi2", tmp_path / "tree"), "accel", {"habanalabs"})
    return device


def clock(card, name):
    return Gauge(CLOCK, card.pci.folder / name, 1_000_000)


def test_an_attribute_that_the_driver_lacks_is_left_out(card):
    found = find_attributes("gaudi", card, [clock(card, "clk_cur_freq_mhz"), clock(card, "none")], ALL_SENSORS)
    (probe,) = found.probes
    assert (probe.name, probe.channels, found.problems) == ("gaudi/0000:19:00.0", (CLOCK,), ())
    probe.close()


def test_a_device_without_any_attribute_has_no_probe(card):
    assert find_attributes("gaudi", card, [clock(card, "none")], ALL_SENSORS) == DiscoveryResult()


def test_an_attribute_that_is_no_number_is_a_problem(card):
    write(card.pci.folder / "clk_cur_freq_mhz", "N/A")
    found = find_attributes("gaudi", card, [clock(card, "clk_cur_freq_mhz")], ALL_SENSORS)
    assert found.probes == ()
    assert "'N/A' is not a number" in found.problems[0].reason
    assert "update the kernel" in found.problems[0].remedy


def test_the_attributes_of_a_sleeping_device_are_opened_unread(card):
    write(card.pci.folder / "clk_cur_freq_mhz", "N/A")
    write(card.pci.folder / "power/runtime_status", "suspended")
    found = find_attributes("gaudi", card, [clock(card, "clk_cur_freq_mhz")], ALL_SENSORS)
    assert len(found.probes) == 1
    found.probes[0].close()


@pytest.mark.parametrize("entry", ["0000:19:00.0", "gaudi/0000:19:00.0", "0000:19:00.0/card"])
def test_an_excluded_device_or_domain_is_not_opened(card, entry):
    found = find_attributes("gaudi", card, [clock(card, "clk_cur_freq_mhz")], SensorSettings(exclude=(entry,)))
    assert (found.probes, found.excluded) == ((), {entry})


def test_results_are_merged_in_order():
    problem = Problem("a", "b", "c")
    first, second = DiscoveryResult((), (problem,), frozenset({"x"})), DiscoveryResult((), (), frozenset({"y"}))
    assert merged([first, second]) == DiscoveryResult((), (problem,), frozenset({"x", "y"}))
