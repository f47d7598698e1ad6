import math
import shutil
from types import SimpleNamespace

import pytest

from probes.errors import ProbeUnavailableError
from probes.intel_gpu import discover
from probes.model import Kind, Roots
from probes.nvml.library import GpuProcesses
from probes.settings import SensorSettings
from trees import copy_tree, write

CARD = "devices/pci0000:03/0000:03:00.0"
SECOND = 1_000_000_000


@pytest.fixture
def xe(tmp_path):
    sysfs = copy_tree("intel_arc_xe", tmp_path / "tree")
    write(sysfs / CARD / "tile0/gt0/freq0/act_freq", 2850)
    return sysfs


@pytest.fixture
def i915(tmp_path):
    return copy_tree("intel_arc_i915", tmp_path / "tree")


def search(sysfs, **settings):
    return discover(Roots(str(sysfs), libraries=str(sysfs)), SensorSettings(**settings))


def close(found):
    for probe in found.probes:
        probe.close()


def test_each_part_of_a_card_has_its_busy_share_and_its_clock(xe):
    found = search(xe)
    (probe,) = found.probes
    assert probe.name == "intel_gpu/0000:03:00.0"
    assert [(channel.domain, channel.metric, channel.device.kind) for channel in probe.channels] == [
        ("gt0", "utilization_ratio", Kind.GPU),
        ("gt0", "frequency_hertz", Kind.GPU),
        ("gt1", "utilization_ratio", Kind.GPU),
    ]
    probe.read(0)
    write(xe / CARD / "tile0/gt0/gtidle/idle_residency_ms", 981234 + 60)
    write(xe / CARD / "tile0/gt1/gtidle/idle_residency_ms", 1000123 + 100)
    assert probe.read(SECOND // 10) == [pytest.approx(0.4), 2.85e9, 0.0]
    close(found)


def test_the_energy_of_a_card_is_that_of_hwmon_alone(xe):
    found = search(xe)
    assert found.problems == ()
    assert not any(channel.metric == "energy_joules" for probe in found.probes for channel in probe.channels)
    close(found)


def test_a_card_and_its_hwmon_chip_are_one_device(xe):
    from probes.hwmon import discover as discover_hwmon

    of_hwmon, of_family = discover_hwmon(Roots(str(xe))), search(xe)
    (chip,), (probe,) = of_hwmon.probes, of_family.probes
    mine, its = probe.channels[0].device, chip.channels[0].device
    assert (mine.id, mine.kind, mine.name) == (its.id, its.kind, its.name)
    assert dict(mine.attributes).items() <= dict(its.attributes).items()
    close(of_hwmon)
    close(of_family)


def test_i915_counts_the_time_in_rc6_as_idle(i915):
    found = search(i915)
    (probe,) = found.probes
    probe.read(0)
    gt = i915 / CARD / "drm/card1/gt/gt0"
    write(gt / "rc6_residency_ms", 7654321 + 25)
    assert probe.read(SECOND // 10) == [pytest.approx(0.75), 2.4e9]
    close(found)


def test_a_part_that_may_not_power_down_has_no_busy_share(i915):
    write(i915 / CARD / "drm/card1/gt/gt0/rc6_enable", 0)
    found = search(i915)
    assert [channel.metric for channel in found.probes[0].channels] == ["frequency_hertz"]
    close(found)


def test_older_kernels_show_one_part_in_the_folder_of_the_card(i915):
    card = i915 / CARD / "drm/card1"
    shutil.rmtree(card / "gt")
    write(card / "power/rc6_residency_ms", 100)
    write(card / "gt_act_freq_mhz", 350)
    found = search(i915)
    assert [(channel.domain, channel.metric) for channel in found.probes[0].channels] == [
        ("gt0", "utilization_ratio"),
        ("gt0", "frequency_hertz"),
    ]
    close(found)


def test_graphics_in_a_processor_are_a_part_of_its_package(tmp_path):
    sysfs = tmp_path / "sys"
    gpu = sysfs / "devices/pci0000:00/0000:00:02.0"
    write(gpu / "tile0/gt0/gtidle/idle_residency_ms", 100)
    write(gpu / "drm/card0/dev", "226:0")
    (gpu / "drm/card0/device").symlink_to("../..")
    (sysfs / "bus/pci/drivers/xe").mkdir(parents=True)
    (gpu / "driver").symlink_to(sysfs / "bus/pci/drivers/xe")
    (sysfs / "class/drm").mkdir(parents=True)
    (sysfs / "class/drm/card0").symlink_to(gpu / "drm/card0")
    found = search(sysfs)
    assert found.probes[0].channels[0].contained_in == (("package-0", "package"),)
    assert found.problems == ()
    close(found)


def test_the_idle_time_of_a_card_that_slept_is_not_compared(xe):
    status = write(xe / CARD / "power/runtime_status", "active")
    found = search(xe)
    (probe,) = found.probes
    probe.read(0)
    write(status, "suspended")
    assert all(map(math.isnan, probe.read(SECOND)))
    write(status, "active")
    assert math.isnan(probe.read(2 * SECOND)[0])
    close(found)


CLIENT = """drm-driver:\txe
drm-client-id:\t3
drm-pdev:\t0000:03:00.0
drm-cycles-ccs:\t{}
drm-total-cycles-ccs:\t{}
"""


def test_the_processes_on_a_card_have_their_shares_of_its_time(xe, tmp_path, monkeypatch):
    status = write(xe / CARD / "power/runtime_status", "active")
    process = tmp_path / "proc/4242"
    (process / "fd").mkdir(parents=True)
    (process / "fd/5").symlink_to("/dev/dri/renderD128")
    write(process / "fdinfo/5", CLIENT.format(1000, 8000))
    found = discover(Roots(str(xe), str(tmp_path / "proc"), libraries=str(xe)))
    (probe,) = found.probes
    assert probe.gpu == "0000:03:00.0"
    before_us = now_us = 1_800_000_000_000_000
    monkeypatch.setattr("probes.fdinfo.time", SimpleNamespace(time_ns=lambda: now_us * 1000))
    first = probe.gpu_processes(before_us - 1_000_000)
    assert (first.programs, first.shares) == ({4242}, None)
    now_us += 500_000
    write(process / "fdinfo/5", CLIENT.format(1500, 10000))
    assert probe.gpu_processes(before_us).shares == {4242: 0.25}
    write(status, "suspended")
    assert probe.gpu_processes(before_us) == GpuProcesses(None, None)
    close(found)


def test_a_host_without_an_intel_gpu_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no GPU of the drivers xe and i915"):
        search(copy_tree("amd_radeon", tmp_path / "tree"))


def test_a_driver_without_attributes_says_so(xe):
    shutil.rmtree(xe / CARD / "tile0")
    with pytest.raises(ProbeUnavailableError, match="the driver xe of this kernel shows neither"):
        search(xe)


def test_an_excluded_card_is_not_read(xe):
    found = search(xe, exclude=("0000:03:00.0",))
    assert (found.probes, found.problems, found.excluded) == ((), (), {"0000:03:00.0"})
