"""The energy counters of processors through perf: channels, containment, remedies, sums."""

import errno
import math
import time

import pytest

from fake_perf import FakePerf
from probes import perf
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import copy_tree, powercap_zone, write

JOULE = 2**32
SECOND = 1_000_000_000
DENIED, SECCOMP = OSError(errno.EACCES, "Permission denied"), OSError(errno.EPERM, "Operation not permitted")


def amd(sysfs, cores=4):
    """Add AMD's PMUs: one package of the cores, and each core."""
    for name, pmu_type, mask, event in (
        ("power", 22, "0", "energy-pkg"),
        ("power_core", 23, f"0-{cores - 1}", "energy-core"),
    ):
        folder = sysfs / "bus/event_source/devices" / name
        code = "event=0x02" if name == "power" else "event=0x01"
        for file, text in {
            "type": pmu_type,
            "cpumask": mask,
            "format/event": "config:0-7",
            f"events/{event}": code,
        }.items():
            write(folder / file, text)
        write(folder / f"events/{event}.scale", "2.3283064365386962890625e-10")
        write(folder / f"events/{event}.unit", "Joules")
    for cpu in range(cores):
        write(sysfs / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id", 0)


def discover(sysfs, kernel=None, **settings):
    return perf.discover(Roots(sysfs=str(sysfs)), SensorSettings(**settings), kernel or FakePerf())


@pytest.fixture
def server(tmp_path):
    return copy_tree("rapl_pmu", tmp_path / "tree")


def test_each_event_is_opened_once_on_the_cpu_of_each_package(server):
    kernel = FakePerf()
    (probe,) = discover(server, kernel).probes
    events = {1: "core", 2: "package", 3: "dram", 4: "uncore"}
    opened = {(22, code, cpu) for code in events for cpu in (0, 24)} | {(22, 5, 0)}
    assert sorted(kernel.requests) == sorted(opened)
    assert {channel.path for channel in probe.channels} == {
        *(f"package-{number}/{domain}" for number in (0, 1) for domain in events.values()),
        "psys/psys",
    }
    probe.close()


def test_the_domains_are_those_of_powercap_with_its_containment(server):
    (probe,) = discover(server).probes
    within = {channel.path: channel.contained_in for channel in probe.channels}
    assert within["package-1/core"] == (("package-1", "package"), ("psys", "psys"))
    assert within["package-0/package"] == within["package-0/dram"] == (("psys", "psys"),)
    assert within["psys/psys"] == ()
    kinds = {channel.device.id: channel.device.kind for channel in probe.channels}
    assert kinds == {"package-0": Kind.CPU, "package-1": Kind.CPU, "psys": Kind.BOARD}
    probe.close()


def test_counts_become_joules_and_use_all_64_bits(server):
    kernel = FakePerf()
    kernel.counts[22, 2, 24] = 2**63
    (probe,) = discover(server, kernel).probes
    at = [channel.path for channel in probe.channels].index("package-1/package")
    assert probe.read(0)[at] == 0.0
    for seconds in range(1, 8):
        kernel.counts[22, 2, 24] += 400 * JOULE
        assert probe.read(seconds * SECOND)[at] == 400.0 * seconds
    assert probe.rejections == []
    probe.close()


def test_the_dies_of_a_package_are_devices_if_the_pmu_counts_each(server):
    for cpu, die in ((0, 0), (24, 1)):
        write(server / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id", 0)
        write(server / f"devices/system/cpu/cpu{cpu}/topology/die_id", die)
    (probe,) = discover(server).probes
    assert {channel.device.id for channel in probe.channels} == {"package-0-die-0", "package-0-die-1", "psys"}
    probe.close()


def test_perf_is_unused_if_powercap_is_readable(server):
    powercap_zone(server, "intel-rapl:0", "package-0", 5_000_000)
    kernel = FakePerf()
    with pytest.raises(ProbeUnavailableError, match="powercap shows the same counters"):
        discover(server, kernel)
    assert kernel.requests == []


def test_perf_is_used_if_powercap_cannot_be_read(server):
    powercap_zone(server, "intel-rapl:0", "package-0", "N/A")
    powercap_zone(server, "intel-rapl:0:0", "dram", 5)
    (probe,) = discover(server).probes
    probe.close()


def test_without_a_pmu_the_family_is_unavailable_and_names_the_module(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="the module rapl"):
        discover(tmp_path)


@pytest.mark.parametrize("refusal", [DENIED, SECCOMP])
def test_a_refusal_names_the_capability_and_the_setting(server, refusal):
    kernel = FakePerf()
    kernel.refusal = refusal
    found = discover(server, kernel)
    assert found.probes == ()
    (problem,) = found.problems
    assert problem.is_unreadable
    assert "package-0/package" in problem.sensor
    assert "CAP_PERFMON" in problem.remedy
    assert "kernel.perf_event_paranoid=0" in problem.remedy


def test_a_refusal_is_a_note_if_powercap_has_the_same_counters(server):
    powercap_zone(server, "intel-rapl:0", "package-0", "N/A")
    kernel = FakePerf()
    kernel.refusal = DENIED
    (problem,) = discover(server, kernel).problems
    assert not problem.is_unreadable


def test_another_error_has_its_own_remedy(server):
    kernel = FakePerf()
    kernel.refusal = OSError(errno.EMFILE, "Too many open files")
    (problem,) = discover(server, kernel).problems
    assert "ulimit" in problem.remedy


def test_a_count_that_fails_at_discovery_is_a_problem_and_closes_its_counter(server):
    kernel = FakePerf()
    kernel.answer = b""
    (problem,) = discover(server, kernel).problems
    assert "No such device" in problem.reason


def test_the_cores_of_an_amd_package_are_one_sum_within_it(tmp_path):
    amd(tmp_path)
    kernel = FakePerf()
    package, cores = discover(tmp_path, kernel).probes
    assert (package.name, cores.name) == ("perf/power", "perf/power_core")
    (channel,) = cores.channels
    assert (channel.path, channel.contained_in) == ("package-0/core", (("package-0", "package"),))
    assert cores.read(0) == [0.0]
    for cpu in range(4):
        kernel.counts[23, 1, cpu] += (cpu + 1) * JOULE
    assert cores.read(SECOND) == [10.0]
    package.close()
    cores.close()


def test_the_kernel_counts_through_the_probe(tmp_path):
    """The clock of CPU 0 stands for a processor that draws 100 W: the PMU `software` counts its nanoseconds."""
    folder = tmp_path / "bus/event_source/devices/power"
    files = {"type": 1, "cpumask": 0, "format/event": "config:0-7", "events/energy-pkg": "event=0x00"}
    for file, text in (files | {"events/energy-pkg.scale": "1e-7", "events/energy-pkg.unit": "Joules"}).items():
        write(folder / file, text)
    found = perf.discover(Roots(sysfs=str(tmp_path)))
    if found.problems:  # this kernel refuses this user
        assert "CAP_PERFMON" in found.problems[0].remedy
        return
    (probe,) = found.probes
    before = time.monotonic_ns()
    (first,) = probe.read(before)
    between = time.monotonic_ns()
    time.sleep(0.05)
    later = time.monotonic_ns()
    (second,) = probe.read(later)
    after = time.monotonic_ns()
    probe.close()
    assert (later - between) * 0.99e-7 <= second - first <= (after - before) * 1.01e-7


def test_excluded_domains_are_not_opened(server):
    kernel = FakePerf()
    found = discover(server, kernel, exclude=("package-1", "psys/psys", "package-0/dram"))
    assert {channel.path for channel in found.probes[0].channels} == {
        f"package-0/{d}" for d in ("package", "core", "uncore")
    }
    assert found.excluded == {"package-1", "psys/psys", "package-0/dram"}
    assert {cpu for _, _, cpu in kernel.requests} == {0}
    found.probes[0].close()


def test_an_event_in_another_unit_is_left_out(server):
    for name in ("energy-ram", "energy-psys", "energy-gpu", "energy-cores"):
        write(server / f"devices/power/events/{name}.unit", "Watts")
    (probe,) = discover(server).probes
    assert [channel.path for channel in probe.channels] == ["package-0/package", "package-1/package"]
    assert {channel.contained_in for channel in probe.channels} == {()}
    probe.close()


def test_a_wrong_mask_of_cpus_leaves_no_counter(server):
    write(server / "devices/power/cpumask", "all")
    with pytest.raises(ProbeUnavailableError):
        discover(server)


def test_one_counter_that_ends_is_lost_and_the_others_continue(tmp_path):
    amd(tmp_path, cores=1)
    kernel = FakePerf()
    package, cores = discover(tmp_path, kernel).probes
    kernel.failure = OSError(errno.EIO, "Input/output error")
    with pytest.raises(ReadError):
        package.read(1)
    assert package.rejections == [Rejection(0, Reason.READ_ERROR)]
    kernel.failure, kernel.answer = None, b""
    with pytest.raises(DeviceLostError):
        cores.read(1)
    package.close()
    cores.close()


def test_a_failed_count_of_several_is_not_a_number(server, monkeypatch):
    kernel = FakePerf()
    (probe,) = discover(server, kernel).probes
    real = kernel.read
    ended = min(kernel._opened)
    monkeypatch.setattr(kernel, "read", lambda descriptor: b"" if descriptor == ended else real(descriptor))
    values = probe.read(1)
    assert [math.isnan(value) for value in values].count(True) == 1
    assert [rejection.reason for rejection in probe.rejections] == [Reason.DEVICE_LOST]
    probe.close()
