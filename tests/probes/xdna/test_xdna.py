import ctypes
import errno
import math
import os
import shutil

import pytest

import fake_xdna
from fake_xdna import ADDRESS, FakeDriver, npu, sensor
from hwmon_readings import channel, outer, readings
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from probes.xdna import discovery
from probes.xdna.driver import GET_INFO, RECORD, REQUEST, NpuReading, parse_sensors
from trees import hwmon_chip, write

SECOND = 1_000_000_000


@pytest.fixture
def host(tmp_path):
    npu(tmp_path / "sys", tmp_path / "dev")
    return Roots(sysfs=str(tmp_path / "sys"), dev=str(tmp_path / "dev"))


def only(host, driver, **settings):
    (probe,) = driver.discover(host, SensorSettings(**settings)).probes
    return probe


def folder(host):
    return discovery.Path(host.sysfs) / "bus/pci/devices" / ADDRESS


def test_the_structures_and_the_number_are_those_of_the_kernel():
    assert RECORD.size == ctypes.sizeof(fake_xdna.Sensor) == 168
    assert REQUEST.size == ctypes.sizeof(fake_xdna.QueryRequest) == 16
    assert GET_INFO == fake_xdna.REQUEST


def test_power_is_in_watts_and_utilization_the_mean_of_the_columns(host):
    driver = FakeDriver(milliwatts=1204, columns=[50, 30, 0, 0])
    probe = only(host, driver)
    assert (probe.name, probe.channels[0].device.kind) == (f"xdna/{ADDRESS}", Kind.NPU)
    assert readings(probe) == {
        (ADDRESS, "npu", "utilization_ratio"): 0.2,
        (ADDRESS, "npu", "power_watts"): 1.204,
    }
    assert outer(probe, "npu") == (("package-0", "package"),)


def test_power_is_left_to_hwmon_if_it_has_a_chip(host, tmp_path):
    hwmon_chip(tmp_path / "sys", 0, f"pci{ADDRESS[:7]}/{ADDRESS}", {"name": "amdxdna", "power1_input": 1_204_000})
    assert readings(only(host, FakeDriver())) == {(ADDRESS, "npu", "utilization_ratio"): 0.2}


def test_power_is_queried_if_hwmon_is_excluded(host, tmp_path):
    hwmon_chip(tmp_path / "sys", 0, f"pci{ADDRESS[:7]}/{ADDRESS}", {"name": "amdxdna", "power1_input": 1_204_000})
    assert readings(only(host, FakeDriver(), exclude=("hwmon",)))[ADDRESS, "npu", "power_watts"] == 1.204


def test_only_sensors_with_a_value_are_channels(host):
    assert list(readings(only(host, FakeDriver(milliwatts=0xFFFFFFFF)))) == [(ADDRESS, "npu", "utilization_ratio")]
    assert list(readings(only(host, FakeDriver(columns=[])))) == [(ADDRESS, "npu", "power_watts")]


def test_a_missing_value_is_a_sentinel(host):
    driver = FakeDriver()
    probe = only(host, driver)
    driver.milliwatts, driver.columns = 0xFFFFFFFF, [0xFFFFFFFF, 3, 3, 3]
    assert all(map(math.isnan, probe.read(0)))
    assert probe.rejections == [Rejection(0, Reason.SENTINEL), Rejection(1, Reason.SENTINEL)]


def test_a_utilization_above_100_percent_is_rejected(host):
    driver = FakeDriver()
    probe = only(host, driver)
    driver.columns = [150, 150]
    assert math.isnan(probe.read(0)[0])
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]


def test_a_sleeping_npu_is_not_queried(host):
    write(folder(host) / "power/runtime_status", "suspended")
    driver = FakeDriver()
    probe = only(host, driver)
    assert {channel.metric for channel in probe.channels} == {"utilization_ratio", "power_watts"}
    assert all(map(math.isnan, probe.read(0)))
    assert driver.requests == 0
    write(folder(host) / "power/runtime_status", "active")
    assert probe.read(SECOND)[0] == 0.2


def test_an_idle_npu_is_not_kept_awake_by_queries(host):
    driver = FakeDriver(columns=[0, 0])
    probe = only(host, driver)
    before = driver.requests
    taken = []
    for seconds in range(13):
        probe.read(seconds * SECOND)
        taken.append(probe.taken_ns is not None)
    assert driver.requests - before == 3
    assert [at for at, was_taken in enumerate(taken) if was_taken] == [0, 6, 12]
    write(folder(host) / "power/runtime_status", "suspended")
    probe.read(13 * SECOND)
    write(folder(host) / "power/runtime_status", "active")
    driver.columns = [40, 40]
    assert probe.read(14 * SECOND)[0] == 0.4, "a woken NPU is read at once"
    assert probe.read(15 * SECOND)[0] == 0.4


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_driver_without_sensors_is_a_note(host, number):
    (problem,) = FakeDriver(error=number).discover(host, SensorSettings()).problems
    assert problem.label == "note"
    assert "no sensors" in problem.reason
    assert "CONFIG_AMD_PMF" in problem.remedy


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "group render"), (errno.EIO, "kernel log")])
def test_a_refusal_is_a_problem_with_its_remedy(host, number, remedy):
    (problem,) = FakeDriver(error=number).discover(host, SensorSettings()).problems
    assert problem.is_unreadable
    assert remedy in problem.remedy


def test_a_failed_query_is_a_read_error_and_the_next_one_works(host):
    driver = FakeDriver()
    probe = only(host, driver)
    driver.error = errno.EIO
    with pytest.raises(ReadError):
        probe.read(0)
    driver.error = 0
    assert probe.read(SECOND)[0] == 0.2


def test_a_hanging_driver_is_a_problem(host, monkeypatch):
    monkeypatch.setattr(discovery, "NPU_SECONDS", 0.1)
    node = discovery.Path(host.dev) / "accel/accel0"
    node.unlink()
    os.mkfifo(node)
    (problem,) = FakeDriver().discover(host, SensorSettings()).problems
    os.close(os.open(node, os.O_WRONLY | os.O_NONBLOCK))
    assert "did not answer within 0.1 s" in problem.reason


def test_an_npu_is_followed_under_another_number_of_its_node_and_lost_on_removal(host):
    probe = only(host, FakeDriver())
    home, dev = folder(host), discovery.Path(host.dev)
    (home / "accel/accel0").rename(home / "accel/accel3")
    (dev / "accel/accel0").rename(dev / "accel/accel3")
    assert probe.read(0)[0] == 0.2
    shutil.rmtree(home / "accel")
    with pytest.raises(DeviceLostError):
        probe.read(SECOND)


def test_an_npu_without_a_device_node_is_a_problem(host):
    shutil.rmtree(folder(host) / "accel")
    (problem,) = FakeDriver().discover(host, SensorSettings()).problems
    assert "no device node" in problem.reason


def test_excluded_domains_and_devices_are_not_queried(host):
    driver = FakeDriver()
    assert driver.discover(host, SensorSettings(exclude=(ADDRESS,))).excluded == {ADDRESS}
    assert driver.requests == 0
    found = driver.discover(host, SensorSettings(exclude=(f"{ADDRESS}/npu",)))
    assert (found.probes, found.excluded) == ((), {f"{ADDRESS}/npu"})


def test_a_host_without_an_npu_has_no_family(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="has the driver amdxdna"):
        FakeDriver().discover(Roots(sysfs=str(tmp_path)), SensorSettings())


@pytest.mark.parametrize(
    ("records", "reading"),
    [
        ([], NpuReading(None, None)),
        ([sensor(b"Total Power", 5, b"mW", -3, 0)], NpuReading(0.005, None)),
        ([sensor(b"Total Power", 5, b"W", 0, 0)], NpuReading(5.0, None)),
        ([sensor(b"Total Power", 5, b"W", 100, 0)], NpuReading(None, None)),
        ([sensor(b"Temperature", 47, b"C", 0, 2)], NpuReading(None, None)),
        ([sensor(b"Column 0", 100, b"%", 0, 1), sensor(b"Column 1", 0, b"%", 0, 1)], NpuReading(None, 0.5)),
    ],
)
def test_records_are_read_by_type_and_exponent(records, reading):
    raw = b"".join(map(bytes, records))
    assert parse_sensors(raw) == reading
    assert parse_sensors(raw + b"\x01" * 167) == reading, "a part of a record is no record"


def test_the_method_of_power_is_an_average(host):
    assert channel(only(host, FakeDriver()), "npu").method == "average"
