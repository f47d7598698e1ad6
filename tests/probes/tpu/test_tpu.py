import math
import sys

import grpc
import pytest

from fake_tpu import BUSY, TOTAL, USED, FakeTpu
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Reason, Rejection, Roots
from probes.settings import SensorSettings
from probes.tpu import discover
from probes.tpu.discovery import DEFAULT_PORT, PORTS_VARIABLE, _ports
from trees import write

FIRST, SECOND_CHIP = "0000:00:04.0", "0000:00:05.0"
SECOND = 1_000_000_000


@pytest.fixture
def sysfs(tmp_path):
    """Two TPU v5e beside a network card."""
    for address, vendor, model in ((FIRST, 0x1AE0, 0x63), (SECOND_CHIP, 0x1AE0, 0x63), ("0000:00:06.0", 0x1AE0, 0x42)):
        write(tmp_path / f"sys/bus/pci/devices/{address}/vendor", hex(vendor))
        write(tmp_path / f"sys/bus/pci/devices/{address}/device", hex(model))
    return tmp_path / "sys"


@pytest.fixture
def runtime(monkeypatch):
    server = FakeTpu()
    server.values = {BUSY: {0: 12.5, 1: 75.0}, USED: {0: 5 << 30, 1: 6 << 30}, TOTAL: {0: 16 << 30, 1: 16 << 30}}
    monkeypatch.setenv(PORTS_VARIABLE, str(server.port))
    yield server
    server.stop()


@pytest.fixture
def search(sysfs):
    found = []

    def run(**settings):
        found.append(discover(Roots(str(sysfs)), SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


@pytest.mark.usefixtures("runtime")
def test_each_chip_has_its_load_and_its_memory(search):
    (probe,) = search().probes
    assert [(c.path, c.metric) for c in probe.channels[:3]] == [
        (f"{FIRST}/card", "utilization_ratio"),
        (f"{FIRST}/memory", "memory_used_bytes"),
        (f"{FIRST}/memory", "memory_total_bytes"),
    ]
    assert {c.device.name for c in probe.channels} == {"TPU v5e"}
    assert probe.read(SECOND) == [0.125, 5 << 30, 16 << 30, 0.75, 6 << 30, 16 << 30]
    assert probe.taken_ns[0] == SECOND


def test_without_a_program_on_the_tpu_there_is_nothing_new_and_no_error(search, runtime):
    (probe,) = search().probes
    runtime.stop()
    assert all(map(math.isnan, probe.read(SECOND)))
    assert probe.taken_ns is None


def test_a_chip_that_the_runtime_does_not_use_has_no_value(search, runtime):
    (probe,) = search().probes
    runtime.values = {BUSY: {1: 75.0}}
    values = probe.read(SECOND)
    assert values[3] == 0.75
    assert sum(map(math.isnan, values)) == 5


def test_several_runtimes_are_asked(search, runtime, monkeypatch):
    other = FakeTpu()
    runtime.values, other.values = {BUSY: {0: 12.5}}, {BUSY: {1: 75.0}}
    monkeypatch.setenv(PORTS_VARIABLE, f"{runtime.port},{other.port}")
    assert search().probes[0].read(SECOND)[::3] == [0.125, 0.75]
    other.stop()


def test_the_runtime_is_asked_once_a_second(search, runtime):
    (probe,) = search().probes
    probe.read(SECOND)
    runtime.values = {BUSY: {0: 50.0}}
    assert all(map(math.isnan, probe.read(SECOND + SECOND // 2)))
    assert probe.read(2 * SECOND)[0] == 0.5


def test_an_impossible_load_is_rejected(search, runtime):
    (probe,) = search().probes
    runtime.values = {BUSY: {0: 250.0}}
    assert math.isnan(probe.read(SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]


def test_a_refusal_and_a_damaged_reply_are_read_errors(search, runtime):
    (probe,) = search().probes
    runtime.status = grpc.StatusCode.NOT_FOUND
    with pytest.raises(ReadError, match="no such metric"):
        probe.read(SECOND)
    runtime.status, runtime.replies = None, {BUSY: b"\xff" * 12}
    with pytest.raises(ReadError, match="damaged"):
        probe.read(3 * SECOND)


@pytest.mark.usefixtures("runtime")
def test_the_devices_have_no_power_and_the_price_remains(search):
    found = search()
    assert not {c.metric for probe in found.probes for c in probe.channels} & {"power_watts", "energy_joules"}
    assert [problem.device.device.id for problem in found.problems] == [FIRST, SECOND_CHIP]
    assert "Google shows no power" in found.problems[0].reason
    assert "--price-per-hour" in found.problems[0].remedy


def test_without_grpc_the_extra_is_named(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    problem = search().problems[-1]
    assert problem.remedy == "pip install 'inferometer[tpu]'"


@pytest.mark.usefixtures("runtime")
def test_both_cores_of_an_older_chip_are_devices(search, sysfs):
    for address in (FIRST, SECOND_CHIP):
        write(sysfs / f"bus/pci/devices/{address}/device", "0x0027")
    assert list(dict.fromkeys(c.device.id for c in search().probes[0].channels)) == [
        FIRST,
        f"{FIRST}-1",
        SECOND_CHIP,
        f"{SECOND_CHIP}-1",
    ]


@pytest.mark.parametrize(
    ("text", "ports"),
    [("", [DEFAULT_PORT]), ("8431,8432", [8431, 8432]), ("x, 0, 99999", [DEFAULT_PORT]), (" 9000 ", [9000])],
)
def test_the_ports_are_those_of_the_runtime(text, ports):
    assert _ports(text) == ports


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(("entry", "left"), [(FIRST, 3), ("tpu", 0), (f"{FIRST}/memory", 4)])
def test_an_excluded_device_or_domain_is_not_read(search, entry, left):
    found = search(exclude=(entry,))
    assert sum(len(probe.channels) for probe in found.probes) == left
    assert found.excluded == {entry}


def test_a_host_without_a_tpu_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no Google TPU"):
        discover(Roots(str(tmp_path)))
