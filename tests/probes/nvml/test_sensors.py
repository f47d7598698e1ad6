from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pynvml
import pytest

import fake_nvml
from fake_nvml import A100, A100_MIG, ENERGY, FIELDS, GB200, H100, T4, Gpu
from nvml_reading import GpuDiscovery, methods, only, values
from probes.nvml.sensors import PARTIAL_AVERAGE, PARTIAL_INSTANT
from trees import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPERATURE = "nvmlDeviceGetTemperature"


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def test_an_h100_reports_energy_power_by_scope_and_its_state(discover_gpus: GpuDiscovery) -> None:
    probe = only(
        discover_gpus(replace(H100, energy_joules=3805.25, watts=0, utilization_ratio=0.37, memory_bytes=(5, 9)))
    )
    assert values(probe) == {
        ("board", "energy_joules"): 3805.25,
        ("board", "power_watts"): 68.92,
        ("board-average", "power_watts"): 68.57,
        ("memory", "power_watts"): 32.98,
        ("board", "utilization_ratio"): 0.37,
        ("memory", "memory_used_bytes"): 5.0,
        ("memory", "memory_total_bytes"): 9.0,
        ("sm", "frequency_hertz"): 345e6,
        ("memory", "frequency_hertz"): 2619e6,
        ("core", "temperature_celsius"): 29.0,
        ("board", "throttle_reasons"): 1.0,
        ("board", "power_limit_watts"): 700.0,
    }
    assert methods(probe) == {"board": PARTIAL_INSTANT, "board-average": PARTIAL_AVERAGE, "memory": "average"}
    assert methods(probe, "energy_joules") == {"board": "counter"}
    assert not probe.rejections


@pytest.mark.parametrize(("gpu", "method"), [(A100, PARTIAL_INSTANT), (T4, "instant")], ids=["A100", "T4"])
def test_a_driver_without_an_average_gives_one_board_power(discover_gpus: GpuDiscovery, gpu: Gpu, method: str) -> None:
    probe = only(discover_gpus(gpu))
    assert methods(probe) == {"board": method}
    assert values(probe)["board", "power_watts"] == gpu.instant_watts


@pytest.mark.parametrize(("gpu", "aliased"), [(H100, True), (A100, True), (T4, False), (GB200[0], False)])
def test_the_method_states_a_power_that_covers_a_quarter_of_the_time(
    discover_gpus: GpuDiscovery, gpu: Gpu, *, aliased: bool
) -> None:
    aliases = {channel.key[1:3]: channel.aliased for channel in only(discover_gpus(gpu)).channels}
    assert aliases["board", "power_watts"] is aliased
    assert aliases.get(("board-average", "power_watts"), aliased) is aliased
    assert not aliases["board", "energy_joules"]


def test_a_driver_with_only_the_average_gives_it_as_board_power(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(H100, instant_watts=None)))
    assert methods(probe) == {"board": PARTIAL_AVERAGE, "memory": "average"}
    assert values(probe)["board", "power_watts"] == 68.57


@pytest.mark.parametrize(
    ("architecture", "pci_model", "method"),
    [
        pytest.param(6, 0x1EB8, "instant", id="turing"),
        pytest.param(7, 0x20B0, PARTIAL_INSTANT, id="ampere-ga100"),
        pytest.param(7, 0x2236, "average", id="ampere-ga102"),
        pytest.param(8, 0x26B9, "average", id="ada"),
        pytest.param(0xFFFFFFFF, 0x2236, "", id="unknown"),
    ],
)
def test_without_power_fields_the_chip_determines_the_method_of_its_power(
    discover_gpus: GpuDiscovery, architecture: int, pci_model: int, method: str
) -> None:
    gpu = Gpu("GPU-1", architecture=architecture, pci_model=pci_model, power_watts=51.5)
    for errors in ({}, {FIELDS: fake_nvml.FUNCTION_NOT_FOUND}):
        probe = only(discover_gpus(replace(gpu, errors=errors)))
        assert methods(probe) == {"board": method}
        assert values(probe)["board", "power_watts"] == 51.5


def test_a_gpu_split_by_mig_has_one_energy_and_no_utilization(discover_gpus: GpuDiscovery) -> None:
    # Even if the driver would answer.
    probe = only(discover_gpus(replace(A100_MIG, utilization_ratio=1.0)))
    metrics = [channel.metric for channel in probe.channels]
    assert metrics.count("energy_joules") == 1
    assert "utilization_ratio" not in metrics
    assert ("mig", "enabled") in probe.channels[0].device.attributes
    assert values(probe)["board", "power_watts"] == 67.03


def test_the_power_of_a_board_with_two_gpus_is_published_once_and_contains_both(discover_gpus: GpuDiscovery) -> None:
    found = discover_gpus(*GB200)
    first, second = found.probes
    module = {channel.domain: channel for channel in first.channels if channel.metric == "power_watts"}["module"]
    assert values(first)["module", "power_watts"] == 467.68
    assert module.contained_in == ()
    assert module.max_plausible == 4 * 2500.0
    assert ("module", "power_watts") not in values(second)
    for probe in found.probes:
        within = {
            channel.domain: channel.contained_in
            for channel in probe.channels
            if channel.metric in {"power_watts", "energy_joules"} and channel.domain != "module"
        }
        board, module_key = (probe.channels[0].device.id, "board"), (GB200[0].uuid, "module")
        assert within == {
            "board": (module_key,),
            "board-average": (board, module_key),
            "memory": ((board[0], "board-average"), board, module_key),
        }


def test_a_gpu_soldered_beside_a_processor_states_its_module(discover_gpus: GpuDiscovery, tmp_path: Path) -> None:
    def modules(gpu: Gpu) -> set[tuple[str, str]]:
        probe = only(discover_gpus(gpu))
        energetic = (channel for channel in probe.channels if channel.metric in {"energy_joules", "power_watts"})
        return {key for channel in energetic for key in channel.contained_in if key[1] == "module"}

    hopper = replace(H100, name="NVIDIA GH200 480GB")
    assert modules(H100) == set()
    assert modules(hopper) == {("module", "module")}
    assert modules(replace(hopper, module_instant_watts=400.0)) == {(H100.uuid, "module")}
    write(tmp_path / "bus/pci/devices/0000:53:00.0/local_cpulist", "72-143")
    write(tmp_path / "devices/system/cpu/cpu72/topology/physical_package_id", 1)
    assert modules(H100) == set()
    assert modules(hopper) == {("module-1", "module")}
    assert modules(replace(hopper, module_instant_watts=400.0)) == {(H100.uuid, "module"), ("module-1", "module")}


@pytest.mark.parametrize("serials", [("1", "2"), (None, None), ("0", "0")], ids=["two", "none", "unwritten"])
def test_each_board_publishes_its_own_power(
    discover_gpus: GpuDiscovery, serials: tuple[str | None, str | None]
) -> None:
    found = discover_gpus(*(replace(gpu, serial=serial) for gpu, serial in zip(GB200, serials, strict=True)))
    assert [values(probe)["module", "power_watts"] for probe in found.probes] == [467.68, 461.20]


def test_the_limit_of_one_gpu_does_not_apply_to_its_board(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(GB200[0], module_limit_watts=None)))
    limits = {channel.domain: channel.max_plausible for channel in probe.channels if channel.metric == "power_watts"}
    assert (limits["board"], limits["module"]) == (4800.0, 0.0)


def test_a_gpu_beside_a_board_is_not_contained_in_it(discover_gpus: GpuDiscovery) -> None:
    _, beside = discover_gpus(GB200[0], replace(H100, serial=GB200[0].serial)).probes
    assert all(uuid == H100.uuid for channel in beside.channels for uuid, _ in channel.contained_in)


def test_all_channels_of_a_host_have_different_keys(discover_gpus: GpuDiscovery) -> None:
    found = discover_gpus(H100, A100, A100_MIG, T4, *GB200)
    keys = [channel.key for probe in found.probes for channel in probe.channels]
    assert len(found.probes) == 6
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("highest", "in_force", "limit"),
    [(700.0, 200.0, 2800.0), (None, 200.0, 800.0), (None, None, 0.0)],
    ids=["by the highest settable limit", "by the limit in force", "no limit known"],
)
def test_the_power_limit_determines_the_plausible_range(
    discover_gpus: GpuDiscovery, highest: float | None, in_force: float | None, limit: float
) -> None:
    probe = only(discover_gpus(replace(H100, highest_limit_watts=highest, limit_watts=in_force)))
    assert {channel.max_plausible for channel in probe.channels if channel.metric == "power_watts"} == {limit}
    assert values(probe)["board", "power_watts"] == 68.92


@pytest.mark.parametrize("code", [fake_nvml.NOT_SUPPORTED, fake_nvml.FUNCTION_NOT_FOUND, fake_nvml.NO_PERMISSION])
def test_a_missing_sensor_has_no_channel_and_is_not_queried_again(discover_gpus: GpuDiscovery, code: int) -> None:
    probe = only(discover_gpus(replace(H100, errors={ENERGY: code, f"{FIELDS}:185:0": code})))
    assert ("board", "energy_joules") not in values(probe)
    assert ("board-average", "power_watts") not in values(probe)
    fake_nvml.take_calls(discover_gpus.library)
    probe.read(1)
    assert ENERGY not in fake_nvml.take_calls(discover_gpus.library)


def test_a_sensor_that_fails_once_at_discovery_is_still_found(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(H100, errors={ENERGY: fake_nvml.TIMEOUT})))
    assert not probe.rejections
    discover_gpus.change(replace(H100, energy_joules=777.0, watts=0))
    assert values(probe)["board", "energy_joules"] == 777.0


@pytest.mark.parametrize(
    ("gone", "channel"),
    [
        (TEMPERATURE, ("core", "temperature_celsius")),
        ("nvmlDeviceGetCurrentClocksEventReasons", ("board", "throttle_reasons")),
    ],
)
def test_a_function_with_another_name_works_as_well(
    discover_gpus: GpuDiscovery, gone: str, channel: tuple[str, str]
) -> None:
    if gone == TEMPERATURE and not hasattr(pynvml, f"{TEMPERATURE}V"):
        pytest.skip("this release of the binding has only one name")
    gpu = replace(H100, throttle_reasons=29, errors={gone: fake_nvml.FUNCTION_NOT_FOUND})
    assert values(only(discover_gpus(gpu)))[channel] == 29.0
