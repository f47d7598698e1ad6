from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import A100_MIG, BANDWIDTH, H100, SAMPLE, SM, TENSOR, Instance
from nvml_reading import GpuDiscovery, methods, only, refused, seldom
from probes.errors import DeviceLostError
from probes.model import Reason, TimedProbe
from probes.nvml.activity import BY_ACTIVITY, BY_SLICES, METHOD
from trees import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTED = replace(H100, activity={SM: 62.5, TENSOR: 40.0, BANDWIDTH: 100.25})
SHARES = {"sm", "tensor", "memory"}
SECOND = 10**9
FIRST = Instance("MIG-00000000-0000-0000-0000-000000000001", 1, 3, (1 << 30, 20 << 30), 75.0)
OTHER = Instance("MIG-00000000-0000-0000-0000-000000000002", 5, 4, (2 << 30, 20 << 30), 12.5)
SPLIT = replace(A100_MIG, instances=(FIRST, OTHER))


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def shares(probe, at_ns):
    read = zip(probe.channels, probe.read(at_ns), strict=True)
    return {channel.domain: value for channel, value in read if channel.method == METHOD}


def test_busy_shares_of_units_are_means_between_two_reads_half_a_second_apart(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(COUNTED))
    assert set(methods(probe, "utilization_ratio")) == SHARES
    first = shares(probe, 10 * SECOND)
    assert first.keys() == SHARES
    assert all(map(math.isnan, first.values()))
    fake_nvml.wait_for_samples()
    assert shares(probe, 10 * SECOND + SECOND // 2) == {"sm": 0.625, "tensor": 0.4, "memory": 1.0}
    assert not probe.rejections


def test_two_samples_are_at_least_200_ms_apart(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(COUNTED))
    probe.read(10 * SECOND)
    fake_nvml.take_calls(discover_gpus.library)
    assert isinstance(probe, TimedProbe)
    assert probe.taken_ns == (10 * SECOND, 10 * SECOND)
    assert all(map(math.isnan, shares(probe, 10 * SECOND + SECOND // 5 - 1).values()))
    assert probe.taken_ns is None
    assert fake_nvml.take_calls(discover_gpus.library) == []
    assert not probe.rejections


def test_the_probe_of_the_energy_takes_no_sample(discover_gpus: GpuDiscovery) -> None:
    probe = discover_gpus(COUNTED).probes[0]
    fake_nvml.take_calls(discover_gpus.library)
    probe.read(10 * SECOND)
    assert SAMPLE not in fake_nvml.take_calls(discover_gpus.library)
    assert probe.name == f"nvml/{H100.uuid}"


def test_the_samples_are_freed_when_the_probe_is_closed(discover_gpus: GpuDiscovery) -> None:
    library = discover_gpus.library
    before = fake_nvml.live_samples(library)
    probe = seldom(discover_gpus(COUNTED))
    assert fake_nvml.live_samples(library) == before + 2
    probe.close()
    probe.close()
    assert fake_nvml.live_samples(library) == before


@pytest.mark.parametrize("domains", [("sm", "tensor", "memory"), ("sm", "tensor"), ("sm",)])
def test_the_samples_of_excluded_shares_are_freed(discover_gpus: GpuDiscovery, domains: tuple[str, ...]) -> None:
    before = fake_nvml.live_samples(discover_gpus.library)
    found = discover_gpus(COUNTED, exclude=tuple(f"{H100.uuid}/{domain}" for domain in domains))
    left = {unit: share for unit, share in {"sm": 0.625, "tensor": 0.4, "memory": 1.0}.items() if unit not in domains}
    if left:
        probe = seldom(found)
        probe.read(10 * SECOND)
        fake_nvml.wait_for_samples()
        assert shares(probe, 11 * SECOND) == left
        probe.close()
    assert len(found.probes) == (2 if left else 1)
    assert fake_nvml.live_samples(discover_gpus.library) == before


def test_a_gpu_lost_during_discovery_leaves_no_sample(discover_gpus: GpuDiscovery) -> None:
    before = fake_nvml.live_samples(discover_gpus.library)
    found = discover_gpus(replace(COUNTED, errors={SAMPLE: fake_nvml.GPU_IS_LOST}))
    assert found.probes == ()
    assert fake_nvml.live_samples(discover_gpus.library) == before


@pytest.mark.parametrize("code", [fake_nvml.NO_PERMISSION, fake_nvml.UNKNOWN])
def test_a_driver_that_refuses_the_samples_has_no_shares(discover_gpus: GpuDiscovery, code: int) -> None:
    probe = only(discover_gpus(replace(COUNTED, errors={SAMPLE: code})))
    assert set(methods(probe, "utilization_ratio")) == {"board"}


def test_a_failed_sample_rejects_the_shares_and_the_next_one_covers_the_time_since_the_last_good_one(
    discover_gpus: GpuDiscovery,
) -> None:
    throttled = replace(COUNTED, power_capped_seconds=1.0)
    probe = seldom(discover_gpus(throttled))
    probe.read(10 * SECOND)
    discover_gpus.change(replace(throttled, errors={SAMPLE: fake_nvml.TIMEOUT}))
    assert all(map(math.isnan, shares(probe, 11 * SECOND).values()))
    assert refused(probe) == {(unit, "utilization_ratio"): Reason.READ_ERROR for unit in SHARES}
    discover_gpus.change(throttled)
    fake_nvml.wait_for_samples()
    assert shares(probe, 12 * SECOND)["sm"] == 0.625


def test_one_failed_metric_and_an_impossible_one_are_rejected_alone(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(replace(H100, activity={SM: 250.0, BANDWIDTH: 30.0})))
    probe.read(10 * SECOND)
    fake_nvml.wait_for_samples()
    read = shares(probe, 11 * SECOND)
    assert read["memory"] == 0.3
    assert math.isnan(read["sm"])
    assert math.isnan(read["tensor"])
    assert refused(probe) == {
        ("sm", "utilization_ratio"): Reason.IMPOSSIBLE,
        ("tensor", "utilization_ratio"): Reason.READ_ERROR,
    }


def test_a_lost_gpu_stops_its_probe_at_a_sample(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(COUNTED))
    discover_gpus.change(replace(COUNTED, errors={SAMPLE: fake_nvml.GPU_IS_LOST}))
    with pytest.raises(DeviceLostError):
        probe.read(10 * SECOND)


def test_a_suspended_gpu_is_not_sampled(discover_gpus: GpuDiscovery, tmp_path: Path) -> None:
    write(tmp_path / "bus/pci/devices/0000:53:00.0/power/runtime_status", "suspended")
    probe = seldom(discover_gpus(COUNTED))
    fake_nvml.take_calls(discover_gpus.library)
    probe.read(10 * SECOND)
    assert fake_nvml.take_calls(discover_gpus.library) == []


def test_each_part_of_a_split_gpu_is_a_domain_with_its_busy_share_and_memory(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(SPLIT))
    probe.read(10 * SECOND)
    fake_nvml.wait_for_samples()
    assert shares(probe, 11 * SECOND) == {FIRST.uuid: 0.75, OTHER.uuid: 0.125}
    read = dict(zip(((c.domain, c.metric) for c in probe.channels), probe.read(12 * SECOND), strict=True))
    assert read[FIRST.uuid, "memory_used_bytes"] == 1 << 30
    assert read[OTHER.uuid, "memory_total_bytes"] == 20 << 30
    attributes = dict(probe.channels[0].device.attributes)
    assert attributes["slices"] == f"{FIRST.uuid}: 3, {OTHER.uuid}: 4"
    assert attributes["attribution"] == BY_ACTIVITY
    assert not {"energy_joules", "power_watts"} & {channel.metric for channel in probe.channels}


def test_the_energy_of_a_split_gpu_without_performance_counters_can_be_shared_by_slices(
    discover_gpus: GpuDiscovery,
) -> None:
    parts = tuple(replace(each, activity=None) for each in SPLIT.instances)
    probe = seldom(discover_gpus(replace(SPLIT, instances=parts)))
    assert methods(probe, "utilization_ratio") == {}
    assert dict(probe.channels[0].device.attributes)["attribution"] == BY_SLICES


def test_parts_of_one_gpu_instance_share_its_counters(discover_gpus: GpuDiscovery) -> None:
    second = replace(FIRST, uuid="MIG-second", memory_bytes=None, slices=None)
    probe = seldom(discover_gpus(replace(A100_MIG, instances=(FIRST, second))))
    assert set(methods(probe, "utilization_ratio")) == {FIRST.uuid}
    assert dict(probe.channels[0].device.attributes)["slices"] == f"{FIRST.uuid}: 3"


def test_a_split_gpu_without_parts_has_no_attribution(discover_gpus: GpuDiscovery) -> None:
    assert "attribution" not in dict(only(discover_gpus(A100_MIG)).channels[0].device.attributes)
