"""Every sensor is listed exactly once, whatever names drivers give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import fake_nvml
from agent.energy.counted_sensors import coverage
from probes import nvml, rapl, registry
from probes.identity import make_unique
from probes.model import Channel, Device, Kind, Roots
from probes.settings import SensorSettings
from trees import copy_tree, hwmon_chip, powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from probes.model import Problem, Rejection

PACKAGE = Device("package-0", Kind.CPU)
GPU = fake_nvml.Gpu("GPU-same", power_watts=60.0, bus_id="00000000:01:00.0", serial=None)
OTHER = fake_nvml.Gpu("GPU-same", power_watts=60.0, bus_id="00000000:02:00.0", serial=None)


class Still:
    """A probe with these channels, which never changes."""

    files_only = True

    def __init__(self, name: str, *channels: Channel) -> None:
        self.name = name
        self.channels = channels
        self.rejections: list[Rejection] = []

    def read(self, at_ns: int) -> list[float]:
        return [float(at_ns)] * len(self.channels)

    def close(self) -> None:
        """Close nothing: no file is open."""


def energy(domain: str = "package") -> Channel:
    return Channel(PACKAGE, domain, "energy_joules", method="counter")


def keys(probes: Sequence[Still]) -> list[tuple[str, str]]:
    return [channel.place for probe in probes for channel in probe.channels]


def gpus(tmp_path: Path, *answers: fake_nvml.Gpu) -> Iterator[tuple[list[Channel], tuple[Problem, ...]]]:
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, answers)
    found = nvml.discover(Roots(nvml_library=str(library), sysfs=str(tmp_path)))
    yield [channel for probe in found.probes for channel in probe.channels], found.problems
    for probe in found.probes:
        probe.close()


def test_unique_sensors_are_unchanged() -> None:
    probes = [Still("rapl", energy(), energy("dram")), Still("hwmon/a", Channel(PACKAGE, "package", "power_watts"))]
    assert make_unique(probes) == []
    assert keys(probes) == [("package-0", "package"), ("package-0", "dram"), ("package-0", "package")]


def test_two_sensors_of_one_driver_with_the_same_name_are_numbered_and_both_counted() -> None:
    probes = [Still("rapl", energy(), energy(), energy("package-2"))]
    problems = make_unique(probes)
    assert keys(probes) == [("package-0", "package"), ("package-0", "package-2"), ("package-0", "package-2-2")]
    assert [problem.is_unreadable for problem in problems] == [False, False]
    assert len(coverage(probes[0].channels).includes) == 3


def test_a_second_driver_of_a_quantity_is_listed_and_not_added() -> None:
    probes = [Still("rapl", energy()), Still("hwmon/amd_energy", energy())]
    (problem,) = make_unique(probes)
    assert keys(probes) == [("package-0", "package"), ("package-0", "package-2")]
    (counted,) = coverage(channel for probe in probes for channel in probe.channels).includes
    assert counted.domain == "package"
    assert "hwmon/amd_energy" in problem.reason
    assert problem.label == "note"


def test_two_probes_with_the_same_name_get_different_names() -> None:
    probes = [Still("nvml/GPU"), Still("nvml/GPU"), Still("nvml/GPU-2")]
    make_unique(probes)
    assert len({probe.name for probe in probes}) == 3


def test_two_zones_with_the_same_name_are_both_read_and_the_mapped_duplicate_is_not(tmp_path: Path) -> None:
    for zone in ("intel-rapl:0", "intel-rapl:1", "intel-rapl-mmio:0"):
        powercap_zone(tmp_path, zone, "package-0", 1_000_000)
    found = registry.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path), nvml_library="/nowhere"))
    assert keys(found.probes) == [("package-0", "package"), ("package-0", "package-2")]  # type: ignore[arg-type]
    assert [problem.is_unreadable for problem in found.problems] == [False]
    found.close()


def test_the_mapped_duplicate_replaces_an_unreadable_zone(tmp_path: Path) -> None:
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 1)
    powercap_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 2)
    (tmp_path / "devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj").write_text("N/A\n")
    found = rapl.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path)))
    assert (keys(found.probes), found.problems) == ([("package-0", "package")], ())  # type: ignore[arg-type]


def test_gpus_with_the_same_uuid_are_distinguished_by_their_bus_address(tmp_path: Path) -> None:
    for channels, problems in gpus(tmp_path, GPU, OTHER):
        assert {channel.device.id for channel in channels} == {"GPU-same@0000:01:00.0", "GPU-same@0000:02:00.0"}
        assert len(coverage(channels).includes) == 2
        assert [problem.label for problem in problems] == ["note", "note"]
    for swapped, _ in gpus(tmp_path, OTHER, GPU):
        assert {channel.device.id for channel in swapped} == {channel.device.id for channel in channels}


def test_a_uuid_of_zeros_gets_the_bus_address_and_needs_no_note(tmp_path: Path) -> None:
    zeros = fake_nvml.Gpu("GPU-00000000-0000-0000-0000-000000000000", bus_id="00000000:01:00.0")
    for channels, problems in gpus(tmp_path, zeros):
        assert {channel.device.id for channel in channels} == {f"{zeros.uuid}@0000:01:00.0"}
        assert problems == ()


def test_module_power_that_repeats_the_gpu_power_is_dropped(tmp_path: Path) -> None:
    ignoring = fake_nvml.Gpu("GPU-a", instant_watts=300.0, module_instant_watts=300.0, memory_instant_watts=300.0)
    for channels, _ in gpus(tmp_path, ignoring):
        assert {channel.domain for channel in channels if channel.metric == "power_watts"} == {"board"}
        (counted,) = coverage(channels).includes
        assert counted.metric == "energy_joules"


def test_module_power_that_differs_from_the_gpu_power_is_used(tmp_path: Path) -> None:
    for channels, _ in gpus(tmp_path, *fake_nvml.GB200):
        assert "module" in {channel.domain for channel in channels}


@pytest.mark.parametrize(
    ("table", "device", "is_apu"),
    [
        (bytes((0, 1, 3, 0)), 0x0001, True),
        (bytes((128, 0, 2, 4)), 0x0001, True),
        (b"", 0x150E, True),
        (bytes((120, 0, 1, 3)), 0x744C, False),
        (b"", 0x744C, False),
        (b"\x01", 0x744C, False),
    ],
)
def test_an_apu_without_its_voltage_is_identified_by_its_table_or_its_number(
    tmp_path: Path, table: bytes, device: int, is_apu: bool
) -> None:
    """The meter of an APU contains its processor, so RAPL's package is not added to it."""
    hwmon_chip(tmp_path, 0, "pci0000:00/0000:c4:00.0", {"name": "amdgpu", "power1_input": 10_000_000})
    home = tmp_path / "devices/pci0000:00/0000:c4:00.0"
    (home / "device").write_text(f"{device:#06x}\n")
    (home / "vendor").write_text("0x1002\n")
    if table:
        (home / "gpu_metrics").write_bytes(table)
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    found = registry.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path), nvml_library="/nowhere"))
    assert len(coverage(found.channels).includes) == (1 if is_apu else 2)
    found.close()


@pytest.mark.parametrize("memory_bytes", [None, (1, 2)])
@pytest.mark.parametrize(("tree", "missing"), [("jetson_orin", False), ("jetson_agx_orin", False), ("", True)])
def test_the_gpu_of_a_jetson_is_in_a_rail_or_missing(
    tmp_path: Path, tree: str, missing: bool, memory_bytes: tuple[int, int] | None
) -> None:
    """Its driver shows no power, and sometimes nothing at all; the rails of the module contain it."""
    orin = fake_nvml.Gpu(
        "GPU-orin",
        name="Orin (nvgpu)",
        energy_joules=None,
        memory_bytes=memory_bytes,
        utilization_ratio=None,
        sm_hertz=None,
        memory_hertz=None,
        celsius=None,
        throttle_reasons=None,
    )
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [orin])
    sysfs = copy_tree(tree, tmp_path / "tree") if tree else tmp_path
    if not tree:
        powercap_zone(sysfs, "intel-rapl:0", "package-0", 1_000_000)
    found = registry.discover(Roots(str(sysfs), str(tmp_path), str(library)), SensorSettings(estimates=False))
    assert any("GPU-orin" in words for words in coverage(found.channels).not_covered) is missing
    (problem,) = (each for each in found.problems if "GPU-orin" in each.sensor)
    assert "/dev/nvidia" not in problem.remedy
    found.close()
