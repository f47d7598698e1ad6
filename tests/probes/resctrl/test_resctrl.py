"""The energy of groups of tasks: groups as they exist, containment, missing values, nothing written."""

import errno
import math
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_files import FAILED, GONE
from probes import resctrl
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import copy_tree, powercap_zone, write

SECOND = 1_000_000_000


def discover(sysfs, **settings):
    return resctrl.discover(Roots(sysfs=str(sysfs)), SensorSettings(**settings))


@pytest.fixture
def host(tmp_path):
    return copy_tree("resctrl_aet", tmp_path / "tree")


@pytest.mark.parametrize(
    ("raw", "nanojoules"),
    [
        (b"54446119.644974\n", 54446119644974000),
        (b"0.000000", 0),
        (b"7", 7_000_000_000),
        (b"1.5\n", 1_500_000_000),
        (b"1.123456789\n", 1_123_456_789),
    ],
)
def test_a_counter_file_has_joules(raw, nanojoules):
    assert resctrl.parse_joules(raw) == nanojoules


@pytest.mark.parametrize(
    "raw", [b"Unavailable\n", b"Error\n", b"", b"-1.0", b"1e9", b"1.2.3", b"1.5 J", b"1.1234567890", b"\xff", b"9" * 64]
)
def test_another_text_is_no_value(raw):
    assert resctrl.parse_joules(raw) is None


@given(st.integers(0, 10**18 - 1))
def test_joules_are_exact_to_a_nanojoule(nanojoules):
    whole, fraction = divmod(nanojoules, 10**9)
    assert resctrl.parse_joules(f"{whole}.{fraction:09}\n".encode()) == nanojoules


def test_each_group_is_a_domain_of_each_package_and_the_default_group_contains_it(host):
    found = discover(host)
    (probe,) = found.probes
    within = {channel.path: channel.contained_in for channel in probe.channels}
    assert within == {
        f"package-{n}/{domain}": (*((f"package-{n}", group) for group in outer), (f"package-{n}", "package"))
        for n in (0, 1)
        for domain, outer in (("core-group", ()), ("core-group-llm", ("core-group",)))
    }
    assert {channel.device.kind for channel in probe.channels} == {Kind.CPU}
    values = dict(zip([channel.path for channel in probe.channels], probe.read(0), strict=True))
    assert values["package-0/core-group"] == 54446119.644974
    assert values["package-0/core-group-llm"] == 8123.02203
    assert values["package-1/core-group-llm"] == 0.0
    probe.close()


def test_control_groups_contain_their_own_monitoring_groups_only(host):
    for group in ("fast", "fast/mon_groups/one"):
        write(host / "fs/resctrl" / group / "mon_data/mon_PERF_PKG_00/core_energy", "5.000000")
    (probe,) = discover(host).probes
    within = {channel.path: channel.contained_in for channel in probe.channels}
    package = ("package-0", "package")
    assert within["package-0/core-control-fast"] == (package,)
    assert within["package-0/core-control-fast-group-one"] == (("package-0", "core-control-fast"), package)
    probe.close()


def test_the_energy_of_a_group_is_in_a_die_if_rapl_counts_dies(host):
    powercap_zone(host, "intel-rapl:0", "package-0-die-0", 1)
    powercap_zone(host, "intel-rapl:1", "package-0-die-1", 1)
    (probe,) = discover(host).probes
    assert probe.channels[0].contained_in == tuple((f"package-0{die}", "package") for die in ("", "-die-0", "-die-1"))
    probe.close()


def test_a_value_that_is_unavailable_is_no_sample_and_the_next_one_counts_for_both_intervals(host):
    (probe,) = discover(host, exclude=("package-1",)).probes
    path = host / "fs/resctrl/mon_data/mon_PERF_PKG_00/core_energy"
    assert probe.read(0)[0] == 54446119.644974
    write(path, "Unavailable")
    assert math.isnan(probe.read(SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.READ_ERROR)]
    write(path, "54446219.644974")
    assert probe.read(2 * SECOND)[0] == pytest.approx(54446219.644974, abs=1e-6)
    probe.close()


def test_a_group_that_is_removed_is_lost_alone(host):
    probe = reading(host, GONE, of=1)
    values = probe.read(0)
    assert math.isnan(values[1])
    assert not math.isnan(values[0])
    assert probe.rejections == [Rejection(1, Reason.DEVICE_LOST)]
    probe.close()


@pytest.mark.parametrize(("error", "raised"), [(FAILED, ReadError), (GONE, DeviceLostError)])
def test_if_no_group_can_be_read_the_read_fails(host, error, raised):
    probe = reading(host, error)
    with pytest.raises(raised):
        probe.read(0)
    probe.close()


def reading(host, error, of=None):
    """Return a probe whose files, or the file at position `of`, answer with an error."""
    (probe,) = discover(host).probes
    failing = {file.fileno() for at, file in enumerate(probe._files) if of in {None, at}}
    plain = probe._pread

    def pread(descriptor, size, offset):
        if descriptor in failing:
            raise error
        return plain(descriptor, size, offset)

    probe._pread = pread
    return probe


@pytest.mark.parametrize(("model", "remedy"), [(221, "with Linux 7.0 or later: mount -t resctrl"), (143, "")])
def test_an_unmounted_resctrl_has_a_remedy_on_a_processor_that_counts_energy(tmp_path, model, remedy):
    write(tmp_path / "cpuinfo", f"vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {model}\nstepping\t: 1")
    with pytest.raises(ProbeUnavailableError, match="core_energy") as missing:
        resctrl.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path)))
    assert missing.value.remedy.startswith(remedy)
    assert bool(missing.value.remedy) is bool(remedy)


def test_a_processor_without_telemetry_of_energy_is_unavailable(host):
    write(host / "fs/resctrl/info/PERF_PKG_MON/mon_features", "activity")
    with pytest.raises(ProbeUnavailableError):
        discover(host)


def test_a_kernel_without_monitoring_groups_has_the_default_group(host):
    shutil.rmtree(host / "fs/resctrl/mon_groups")
    (host / "fs/resctrl/mon_data/mon_L3_00").mkdir()
    (probe,) = discover(host).probes
    assert [channel.path for channel in probe.channels] == ["package-0/core-group", "package-1/core-group"]
    probe.close()


def test_a_group_without_its_file_is_a_problem_and_the_others_are_read(host):
    (host / "fs/resctrl/mon_groups/llm/mon_data/mon_PERF_PKG_01/core_energy").unlink()
    found = discover(host)
    (problem,) = found.problems
    assert "package-1/core-group-llm" in problem.sensor
    assert len(found.probes[0].channels) == 3
    found.probes[0].close()


def test_more_groups_than_the_limit_are_named(host):
    for number in range(resctrl.MOST_GROUPS):
        write(host / f"fs/resctrl/mon_groups/g{number:03}/mon_data/mon_PERF_PKG_00/core_energy", "1.0")
    found = discover(host)
    (problem,) = found.problems
    assert f"{resctrl.MOST_GROUPS} of {resctrl.MOST_GROUPS + 2}" in problem.reason
    assert not problem.is_unreadable
    found.probes[0].close()


def test_a_file_that_refuses_at_discovery_is_a_problem(host, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.pread", refuse)
    found = discover(host)
    assert found.probes == ()
    assert len(found.problems) == 4
    assert all("kernel log" in problem.remedy for problem in found.problems)
