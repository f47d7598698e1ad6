from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from agent.energy.counted_sensors import coverage
from nvml_reading import GpuDiscovery, only, values
from probes import nvml, registry
from probes.errors import ProbeUnavailableError
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import copy_tree, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIN = fake_nvml.Gpu(
    "GPU-orin",
    name="Orin (nvgpu)",
    energy_joules=None,
    memory_bytes=None,
    utilization_ratio=None,
    sm_hertz=None,
    memory_hertz=None,
    celsius=None,
    throttle_reasons=None,
)
PLACE = "17000000.gpu"


def jetson(sysfs: Path, load: object = 437) -> Path:
    (sysfs / "firmware/devicetree/base").mkdir(parents=True, exist_ok=True)
    (sysfs / "firmware/devicetree/base/model").write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    return write(sysfs / f"class/devfreq/{PLACE}/device/load", load)


def without_driver(sysfs: Path) -> Roots:
    return Roots(str(sysfs), str(sysfs), str(sysfs / "nowhere.so"))


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def test_the_load_of_a_jetson_is_the_utilization_of_its_gpu_with_or_without_the_driver_library(
    discover_gpus: GpuDiscovery, tmp_path: Path
) -> None:
    jetson(tmp_path)
    found = discover_gpus(ORIN)
    (probe,) = found.probes
    assert values(probe) == {("board", "utilization_ratio"): 0.437}
    assert probe.channels[0].device.id == "GPU-orin"
    (problem,) = found.problems
    assert problem.device is not None
    (other,) = nvml.discover(without_driver(tmp_path)).probes
    assert other.read(1) == [0.437]
    device = other.channels[0].device
    assert (device.id, device.kind, device.name) == (PLACE, Kind.GPU, "NVIDIA Jetson Orin Nano Developer Kit")
    other.close()


def test_a_driver_that_shows_utilization_precedes_the_load_of_devfreq(
    discover_gpus: GpuDiscovery, tmp_path: Path
) -> None:
    jetson(tmp_path)
    (probe,) = discover_gpus(replace(ORIN, utilization_ratio=0.5)).probes
    assert values(probe) == {("board", "utilization_ratio"): 0.5}


def test_a_card_beside_a_devfreq_gpu_has_its_own_utilization(discover_gpus: GpuDiscovery, tmp_path: Path) -> None:
    jetson(tmp_path)
    probe = only(discover_gpus(replace(fake_nvml.H100, utilization_ratio=None)))
    assert ("board", "utilization_ratio") not in values(probe)


def test_an_impossible_load_is_rejected(tmp_path: Path) -> None:
    load = jetson(tmp_path)
    (probe,) = nvml.discover(without_driver(tmp_path)).probes
    write(load, 1001)
    assert math.isnan(probe.read(1)[0])
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]
    probe.close()


def test_a_load_that_is_no_number_is_a_problem_of_the_gpu(tmp_path: Path) -> None:
    jetson(tmp_path, "idle")
    found = nvml.discover(without_driver(tmp_path))
    (problem,) = found.problems
    assert found.probes == ()
    assert "idle" in problem.reason
    assert problem.device is not None
    assert problem.device.device.id == PLACE


def test_an_excluded_jetson_gpu_has_no_probe(tmp_path: Path) -> None:
    jetson(tmp_path)
    found = nvml.discover(without_driver(tmp_path), SensorSettings(exclude=(PLACE,)))
    assert (found.probes, found.excluded) == ((), {PLACE})


def test_two_devfreq_gpus_are_no_jetson(tmp_path: Path) -> None:
    jetson(tmp_path)
    write(tmp_path / "class/devfreq/18000000.gpu/device/load", 3)
    with pytest.raises(ProbeUnavailableError):
        nvml.discover(without_driver(tmp_path))


@pytest.mark.parametrize("tree", ["jetson_orin", "jetson_agx_orin"])
def test_the_gpu_of_a_jetson_without_the_driver_library_is_in_a_rail(tmp_path: Path, tree: str) -> None:
    sysfs = copy_tree(tree, tmp_path / "tree")
    jetson(sysfs)
    found = registry.discover(without_driver(sysfs), SensorSettings(estimates=False))
    assert not any(PLACE in words for words in coverage(found.channels).not_covered)
    found.close()
