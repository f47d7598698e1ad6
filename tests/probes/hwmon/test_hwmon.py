import contextlib
import math
import os
import tempfile
from pathlib import Path

import pytest

from fake_files import ASLEEP, FAILED, GONE, NOTHING_YET, FakeFiles
from hwmon_readings import GPU, card, channel, discover, hang, only, release
from probes.errors import DeviceLostError
from probes.hwmon import probe as hwmon
from probes.model import Channel, Device, DiscoveryResult, Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import hwmon_chip, write

BROKEN = Path("/proc/self/mem")  # reading its first bytes answers EIO


def test_counters_are_read_before_gauges(tmp_path):
    card(tmp_path)
    hwmon_chip(tmp_path, 1, GPU, {"name": "xe_tile", "energy1_input": 1, "energy1_label": "tile"})
    metrics = [c.metric for c in only(tmp_path).channels]
    assert metrics == ["energy_joules", "energy_joules", "power_watts", "temperature_celsius"]


def test_a_restarted_counter_is_a_gap_and_continues(tmp_path):
    chip = card(tmp_path)
    probe = only(tmp_path)
    assert probe.read(0)[0] == 5.0
    write(chip / "energy1_input", 1_000_000)
    assert math.isnan(probe.read(10**9)[0])
    assert probe.rejections == [Rejection(0, Reason.RESET)]
    write(chip / "energy1_input", 1_500_000)
    assert probe.read(2 * 10**9)[0] == 5.5


@pytest.mark.parametrize("all_ones", [0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, -1])
def test_all_ones_in_a_counter_is_rejected_and_changes_nothing(tmp_path, all_ones):
    chip = card(tmp_path)
    probe = only(tmp_path)
    probe.read(0)
    write(chip / "energy1_input", all_ones)
    assert math.isnan(probe.read(10**9)[0])
    assert probe.rejections == [Rejection(0, Reason.SENTINEL)]
    write(chip / "energy1_input", 6_000_000)
    assert probe.read(2 * 10**9)[0] == 6.0


def test_all_ones_in_a_gauge_is_rejected(tmp_path):
    chip = card(tmp_path)
    probe = only(tmp_path)
    write(chip / "power1_input", 4294967295)
    assert math.isnan(probe.read(0)[1])
    assert probe.rejections == [Rejection(1, Reason.SENTINEL)]


def test_a_failed_file_is_one_gap_and_the_others_are_read(tmp_path):
    chip = card(tmp_path)
    (chip / "power1_input").unlink()
    (chip / "power1_input").symlink_to(BROKEN)
    probe = only(tmp_path)
    values = probe.read(0)
    assert (values[0], values[2]) == (5.0, 46.0)
    assert math.isnan(values[1])
    assert probe.rejections == [Rejection(1, Reason.READ_ERROR)]


def test_an_empty_file_is_not_zero(tmp_path):
    chip = card(tmp_path)
    probe = only(tmp_path)
    write(chip / "power1_input", "")
    assert math.isnan(probe.read(0)[1])
    assert probe.rejections == [Rejection(1, Reason.READ_ERROR)]


def probe_of(answers, *metrics):
    channels = [Channel(Device("0000:03:00.0", Kind.GPU), f"card-{at}", metric) for at, metric in enumerate(metrics)]
    sensors = [hwmon.Sensor(c, (file,), 1e6) for c, file in zip(channels, answers.files, strict=True)]
    return hwmon.HwmonProbe("hwmon/x", sensors, None, answers.pread)


def test_a_device_is_lost_if_all_of_its_files_are_gone(tmp_path):
    answers = FakeFiles(tmp_path, 1_000_000, 2_000_000)
    probe = probe_of(answers, "energy_joules", "power_watts")
    assert probe.read(0) == [1.0, 2.0]
    answers.now = [GONE, GONE]
    with pytest.raises(DeviceLostError, match="hwmon/x"):
        probe.read(1)
    assert probe.rejections == []


def test_a_device_is_not_lost_if_only_one_file_is_gone(tmp_path):
    probe = probe_of(FakeFiles(tmp_path, 1_000_000, GONE), "power_watts", "power_watts")
    values = probe.read(0)
    assert values[0] == 1.0
    assert math.isnan(values[1])
    assert probe.rejections == [Rejection(1, Reason.READ_ERROR)]


@pytest.mark.parametrize("error", [NOTHING_YET, ASLEEP, FAILED])
def test_a_device_without_values_is_not_lost_and_its_counter_continues(tmp_path, error):
    answers = FakeFiles(tmp_path, 3_000_000, 3_000_000)
    probe = probe_of(answers, "energy_joules", "power_watts")
    probe.read(0)
    answers.now = [error, error]
    assert all(map(math.isnan, probe.read(1)))
    assert probe.rejections == [Rejection(0, Reason.READ_ERROR), Rejection(1, Reason.READ_ERROR)]
    answers.now = [4_000_000, 5_000_000]
    assert probe.read(2) == [4.0, 5.0]


def test_a_counter_jump_above_the_power_of_any_device_is_not_energy(tmp_path):
    answers = FakeFiles(tmp_path, 3_000_000)
    probe = probe_of(answers, "energy_joules")
    assert probe.read(0) == [3.0]
    answers.now = [500_000_000_000]
    assert math.isnan(probe.read(10**9)[0])
    assert math.isnan(probe.read(2 * 10**9)[0])
    answers.now = [500_001_000_000]
    assert probe.read(3 * 10**9) == [4.0]
    assert [rejection.reason for rejection in probe.rejections] == [Reason.IMPOSSIBLE, Reason.RESET]


def test_a_suspended_device_is_not_read_and_has_no_rejections(tmp_path):
    chip = card(tmp_path)
    status = write(chip.parents[1] / "power/runtime_status", "active")
    probe = only(tmp_path)
    assert probe.read(0) == [5.0, 40.0, 46.0]
    write(status, "suspended")
    write(chip / "energy1_input", "no reading while asleep")
    assert all(map(math.isnan, probe.read(10**9)))
    assert probe.rejections == []
    write(status, "active")
    write(chip / "energy1_input", 7_000_000)
    assert probe.read(2 * 10**9) == [7.0, 40.0, 46.0]


def test_discovery_does_not_wake_a_suspended_device(tmp_path):
    chip = card(tmp_path)
    write(chip / "energy1_input", "would fail its proof")
    write(chip / "power1_max", 190_000_000)
    status = write(chip.parents[1] / "power/runtime_status", "suspended")
    found = discover(tmp_path)
    assert found.problems == ()
    (probe,) = found.probes
    assert channel(probe, "card").max_plausible == 0.0
    write(status, "active")
    write(chip / "energy1_input", 8_000_000)
    assert probe.read(0)[0] == 8.0


def test_renumbered_chips_have_the_same_keys_in_the_same_order(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    for sysfs, order in ((before, (0, 1, 2)), (after, (11, 5, 2))):
        card(sysfs, order[0])
        hwmon_chip(sysfs, order[1], GPU, {"name": "xe_tile", "energy1_input": 1, "energy1_label": "tile"})
        hwmon_chip(sysfs, order[2], "platform/i2c-1/1-0040", {"name": "ina219", "in1_input": 5000, "curr1_input": 1000})
    keys = [[c.key for probe in discover(sysfs).probes for c in probe.channels] for sysfs in (before, after)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 5


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def unprivileged():
    """Run as nobody: root may open every file."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder():
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_forbidden_file_is_a_problem_with_a_remedy_and_the_others_work(open_folder):
    chip = card(open_folder)
    (chip / "energy1_input").chmod(0)
    with unprivileged():
        found = discover(open_folder)
    (probe,) = found.probes
    assert [c.metric for c in probe.channels] == ["power_watts", "temperature_celsius"]
    (problem,) = found.problems
    assert problem.sensor.endswith("hwmon0/energy1_input")
    assert "permission denied" in problem.reason
    assert "udev" in problem.remedy
    assert problem.sensor in problem.remedy


def test_a_chip_without_readable_files_is_one_problem_and_no_probe(open_folder):
    chip = card(open_folder)
    (chip / "energy1_input").chmod(0)
    (chip / "power1_input").chmod(0)
    before = open_files()
    with unprivileged():
        found = discover(open_folder)
    assert found.probes == ()
    assert open_files() == before, "a temperature alone is not read"
    (problem,) = found.problems
    assert "and 1 more file" in problem.reason


def test_a_broken_attribute_is_a_problem_without_a_channel(tmp_path):
    chip = card(tmp_path)
    (chip / "power1_input").unlink()
    (chip / "power1_input").mkdir()  # opens, and answers EISDIR
    found = discover(tmp_path)
    assert [c.metric for c in found.probes[0].channels] == ["energy_joules", "temperature_celsius"]
    (problem,) = found.problems
    assert problem.sensor.endswith("power1_input")


def test_a_broken_temperature_is_not_a_problem(tmp_path):
    write(card(tmp_path) / "temp2_input", "not supported")
    found = discover(tmp_path)
    assert [c.metric for c in found.probes[0].channels] == ["energy_joules", "power_watts"]
    assert found.problems == ()


def test_a_closed_probe_holds_no_file_and_can_be_closed_again(tmp_path):
    write(card(tmp_path).parents[1] / "power/runtime_status", "active")
    before = open_files()
    probe = only(tmp_path)
    assert open_files() == before + 4
    probe.close()
    probe.close()
    assert open_files() == before


def test_excluded_device_is_not_opened(tmp_path):
    hanging = hang(write(card(tmp_path) / "power1_cap", 1))
    address = GPU.split("/")[-1]
    found = hwmon.discover(Roots(str(tmp_path)), SensorSettings(exclude=(f"hwmon/{address}",)))
    assert found == DiscoveryResult(excluded=frozenset({f"hwmon/{address}"}))
    release(hanging)


def test_excluded_domain_is_not_opened(tmp_path):
    chip = card(tmp_path)
    hang(chip / "energy1_input")
    hang(chip / "power1_input")
    hwmon_chip(tmp_path, 1, GPU, {"name": "xe_tile", "energy1_input": 1, "energy1_label": "tile"})
    entry = f"{GPU.split('/')[-1]}/card"
    found = hwmon.discover(Roots(str(tmp_path)), SensorSettings(exclude=(entry,)))
    assert found.problems == ()
    (probe,) = found.probes
    assert {each.domain for each in probe.channels if each.metric == "energy_joules"} == {"tile"}
    assert found.excluded == {entry}
    probe.close()
