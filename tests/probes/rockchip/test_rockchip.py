import pytest

from hwmon_readings import readings
from probes.errors import ProbeUnavailableError
from probes.model import Roots
from probes.rockchip import discover, parse_load
from probes.settings import SensorSettings
from trees import copy_tree

NPU = "fdab0000.npu"


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (b"NPU load:  Core0: 45%, Core1: 32%, Core2:  0%,\n", pytest.approx(77 / 300)),
        (b"NPU load:  0%\n", 0.0),
        (b"NPU load:  100%", 1.0),
        (b"NPU load:  101%", None),
        (b"NPU load:\n", None),
        (b"45%", None),
        (b"NPU load: -5%", None),
        (b"NPU load:  Core0: 45%, Core1: N/A,", None),
        (b"", None),
    ],
)
def test_the_load_is_the_mean_of_the_cores(text, load):
    assert parse_load(text) == load


def test_load_and_clock_are_read_and_no_power_is_invented(tmp_path):
    roots = Roots(sysfs=str(copy_tree("rockchip", tmp_path / "tree")))
    (probe,) = discover(roots).probes
    assert readings(probe) == {
        (NPU, "npu", "utilization_ratio"): pytest.approx(77 / 300),
        (NPU, "npu", "frequency_hertz"): 1e9,
    }
    assert dict(probe.channels[0].device.attributes) == {"driver": "RKNPU driver: v0.9.8"}
    probe.close()


def test_a_load_that_cannot_be_read_is_a_problem_and_the_clock_remains(tmp_path):
    sysfs = copy_tree("rockchip", tmp_path / "tree")
    (sysfs / "kernel/debug/rknpu/load").unlink()
    result = discover(Roots(sysfs=str(sysfs)))
    assert [channel.metric for channel in result.probes[0].channels] == ["frequency_hertz"]
    assert "run as root" in result.problems[0].remedy
    result.probes[0].close()


def test_excluded_sensors_are_not_read(tmp_path):
    roots = Roots(sysfs=str(copy_tree("rockchip", tmp_path / "tree")))
    assert discover(roots, SensorSettings(exclude=(f"{NPU}/npu",))).probes == ()
    assert discover(roots, SensorSettings(exclude=(NPU,))).excluded == {NPU}


def test_a_host_without_an_npu_has_no_family(tmp_path):
    with pytest.raises(ProbeUnavailableError):
        discover(Roots(sysfs=str(tmp_path)))
