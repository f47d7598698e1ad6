"""The accelerators as dcgm-exporter shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.api.dcgm import DcgmView
from agent.api.metrics import Exporter, known_devices
from agent.sampling.probe_reader import ProbeHealth
from probes import hwmon
from probes.model import Channel, Device, Kind, Roots, Source
from store.records import Layout, Tick
from trees import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Key = tuple[str, str, str, str]
H100 = Device(
    "GPU-100", Kind.GPU, "NVIDIA H100 80GB HBM3", (("driver", "nvidia"), ("pci_address", "0000:af:00.0"), ("mig", ""))
)
POWER = Channel(H100, "board", "power_watts")
ENERGY = Channel(H100, "board", "energy_joules")
PARTS = (
    Channel(H100, "board-average", "power_watts", contained_in=(POWER.place,)),
    Channel(H100, "memory", "power_watts", contained_in=(POWER.place,)),
)
MODULE = Channel(H100, "module", "power_watts")
OTHERS = (
    Channel(H100, "board", "utilization_ratio"),
    Channel(H100, "memory", "memory_used_bytes"),
    Channel(H100, "core", "temperature_celsius"),
)
PACKAGE = Channel(Device("package-0", Kind.CPU), "package", "energy_joules")


def unknown(_: Key) -> tuple[float | None, float | None]:
    return None, None


def page(values: Mapping[Channel, float], watts: float | None = None, joules: float | None = None) -> str:
    devices = {channel.device.id: channel.device for channel in values}
    view = DcgmView(devices.values(), values, lambda _: (watts, joules), "node1")
    return view.page({channel.key: value for channel, value in values.items()})


def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def values(text: str) -> dict[str, float]:
    """Return the values by name; the parser appends `_total` to the name of a counter."""
    return {name.removeprefix("DCGM_FI_DEV_").removesuffix("_total"): value for name, _, value in samples(text)}


def discovered(tree: str) -> list[Channel]:
    found = hwmon.discover(Roots(sysfs=str(FIXTURES / "trees" / tree / "sys")))
    return [channel for probe in found.probes for channel in probe.channels]


def test_the_page_has_the_names_units_labels_and_number_formats_of_dcgm_exporter():
    given = dict(zip((POWER, ENERGY, *OTHERS), (401.25, 1234.5678, 0.934, 34.0 * 2**30, 61.0), strict=True))
    labels = (
        '{gpu="0",UUID="GPU-100",pci_bus_id="00000000:AF:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",'
        'Hostname="node1"}'
    )
    assert page(given).splitlines() == [
        "# HELP DCGM_FI_DEV_GPU_TEMP Temperature (C).",
        "# TYPE DCGM_FI_DEV_GPU_TEMP gauge",
        f"DCGM_FI_DEV_GPU_TEMP{labels} 61",
        "# HELP DCGM_FI_DEV_POWER_USAGE Power (W).",
        "# TYPE DCGM_FI_DEV_POWER_USAGE gauge",
        f"DCGM_FI_DEV_POWER_USAGE{labels} 401.250000",
        "# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Energy (mJ).",
        "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter",
        f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} 1234568",
        "# HELP DCGM_FI_DEV_GPU_UTIL Share of time in use (%).",
        "# TYPE DCGM_FI_DEV_GPU_UTIL gauge",
        f"DCGM_FI_DEV_GPU_UTIL{labels} 93",
        "# HELP DCGM_FI_DEV_FB_USED Memory in use (MiB).",
        "# TYPE DCGM_FI_DEV_FB_USED gauge",
        f"DCGM_FI_DEV_FB_USED{labels} 34816",
    ]


def test_a_host_without_an_accelerator_has_an_empty_page():
    assert page({PACKAGE: 5.0}) == ""


def test_accelerators_are_numbered_and_processors_are_left_out():
    second = replace(POWER, device=replace(H100, id="GPU-200"))
    shown = samples(page({PACKAGE: 5.0, POWER: 1.0, second: 2.0}))
    assert [(labels["gpu"], labels["UUID"], value) for _, labels, value in shown] == [
        ("0", "GPU-100", 1.0),
        ("1", "GPU-200", 2.0),
    ]


def test_power_and_energy_are_those_of_the_whole_accelerator():
    assert values(page({PARTS[0]: 300.0, PARTS[1]: 50.0, MODULE: 900.0, POWER: 400.0}, joules=7.0)) == {
        "POWER_USAGE": 400.0,
        "TOTAL_ENERGY_CONSUMPTION": 7000.0,
    }


def test_the_power_of_a_module_with_a_processor_is_not_that_of_its_accelerator():
    assert page({MODULE: 900.0}, joules=7.0) == ""


def test_an_estimated_power_is_left_out():
    assert page({replace(POWER, source=Source.ESTIMATED): 100.0}, joules=7.0) == ""


def test_an_accelerator_with_only_a_counter_shows_the_mean_power_of_the_counter():
    assert values(page({ENERGY: 20.0}, watts=35.5, joules=1.0)) == {
        "POWER_USAGE": 35.5,
        "TOTAL_ENERGY_CONSUMPTION": 20_000.0,
    }


def test_integrated_energy_never_replaces_a_counter_without_a_value():
    view = DcgmView([H100], [POWER, ENERGY], lambda _: (1.0, 2.0), "node1")
    assert values(view.page({POWER.key: 30.0})) == {"POWER_USAGE": 30.0}


def test_nothing_is_derived_from_a_channel_without_a_value():
    for channel in (POWER, ENERGY):
        assert DcgmView([H100], [channel], lambda _: (1.0, 2.0), "node1").page({}) == ""


def test_label_values_are_escaped():
    odd = replace(POWER, device=replace(H100, name='a "b" \\ c\nd'))
    ((_, labels, _),) = samples(page({odd: 1.0}))
    assert labels["modelName"] == 'a "b" \\ c\nd'


@pytest.mark.parametrize(
    ("tree", "shown"),
    [
        ("amd_instinct", {"power_watts": ["0000:05:00.0", "0000:26:00.0"]}),
        ("intel_arc_xe", {"energy_joules": ["0000:03:00.0"]}),
        ("intel_arc_i915", {"energy_joules": ["0000:03:00.0"]}),
        ("gaudi2", {"power_watts": ["0000:19:00.0", "0000:b3:00.0"]}),
        ("tenstorrent", {"power_watts": ["0000:02:00.0", "0000:ae:00.0"]}),
        ("altera_dfl", {"power_watts": ["0000:65:00.0"]}),
        ("amd_strix_apu_npu", {"power_watts": ["0000:c5:00.1"]}),  # the NPU; the power of the APU covers the processor
        ("grace_hopper", {}),
        ("dgx_spark", {}),
        ("jetson_orin", {}),
        ("amd_energy", {}),
    ],
)
def test_only_the_sensors_of_whole_accelerators_give_power_and_energy(tree: str, shown: Mapping[str, Sequence[str]]):
    channels = discovered(tree)
    asked: dict[str, list[str]] = {}

    def record(key: Key) -> tuple[float, float]:
        asked.setdefault(key[2], []).append(key[0])
        return 1.0, 2.0

    view = DcgmView(known_devices([Layout(1, "hwmon", tuple(channels))]), channels, record, "node1")
    text = view.page({channel.key: 5.0 for channel in channels})
    assert asked == shown
    energetic = [labels["UUID"] for name, labels, _ in samples(text) if "ENERGY" in name]
    assert energetic == next(iter(shown.values()), [])
    assert [labels["UUID"] for name, labels, _ in samples(text) if "POWER" in name] == energetic


def test_an_amd_gpu_has_the_name_and_the_driver_of_its_kernel_driver():
    channels = discovered("amd_instinct")
    view = DcgmView(known_devices([Layout(1, "hwmon", tuple(channels))]), channels, unknown, "node1")
    (_, labels, _), *_ = samples(view.page({channel.key: 5.0 for channel in channels}))
    assert labels == {
        "gpu": "0",
        "UUID": "0000:05:00.0",
        "pci_bus_id": "00000000:05:00.0",
        "device": "amdgpu0",
        "modelName": "AMD Instinct MI300X OAM",
        "Hostname": "node1",
    }


def test_the_exporter_leaves_out_stale_values():
    now_ns = 1_700_000_000 * 10**9
    for age_ns, shown in ((0, {"POWER_USAGE": 30.0}), (11 * 10**9, {})):
        state = ProbeHealth("gpu", 1.0, latest=Tick(1, now_ns - age_ns, now_ns - age_ns, (30.0,)))
        exporter = Exporter([Layout(1, "gpu", (POWER,))], [state], lambda: 0, lambda: now_ns, "1.2.3", process=False)
        assert values(exporter.dcgm_page()) == shown
