from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import FIELDS, H100
from nvml_reading import GpuDiscovery, only, refused, seldom
from probes.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTED = replace(
    H100,
    power_capped_seconds=7015.662857,
    thermal_seconds=0.0,
    nvlink_bytes=(3 << 40, 5 << 40),
)
SECOND = 10**9


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def counted(probe, at_ns):
    read = zip(probe.channels, probe.read(at_ns), strict=True)
    return {c.domain: value for c, value in read if c.metric in {"throttled_seconds", "link_bytes"}}


def test_throttled_time_is_in_seconds_by_cause_and_the_bytes_of_links_by_direction(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(COUNTED))
    assert counted(probe, 10 * SECOND) == {
        "power-cap": 7015.662857,
        "thermal": 0.0,
        "nvlink-transmitted": float(3 << 40),
        "nvlink-received": float(5 << 40),
    }
    discover_gpus.change(replace(COUNTED, power_capped_seconds=7016.162857, thermal_seconds=0.25))
    grown = counted(probe, 11 * SECOND)
    assert (grown["power-cap"], grown["thermal"]) == (7016.162857, 0.25)
    assert not probe.rejections


def test_counters_of_a_kind_are_read_in_one_call_by_a_probe_of_their_own(discover_gpus: GpuDiscovery) -> None:
    often, probe = discover_gpus(COUNTED).probes
    fake_nvml.take_calls(discover_gpus.library)
    probe.read(10 * SECOND)
    assert fake_nvml.take_calls(discover_gpus.library) == [FIELDS] * 2
    often.read(10 * SECOND)
    assert fake_nvml.take_calls(discover_gpus.library).count(FIELDS) == 1


def test_counters_that_a_gpu_lacks_have_no_channel(discover_gpus: GpuDiscovery) -> None:
    assert counted(only(discover_gpus(H100)), 10 * SECOND) == {}
    probe = seldom(discover_gpus(replace(H100, thermal_seconds=1.5)))
    assert counted(probe, 10 * SECOND) == {"thermal": 1.5}


def test_more_throttled_time_than_time_is_impossible_and_a_restart_is_a_reset(discover_gpus: GpuDiscovery) -> None:
    probe = seldom(discover_gpus(COUNTED))
    counted(probe, 10 * SECOND)
    discover_gpus.change(replace(COUNTED, power_capped_seconds=7100.0))
    assert math.isnan(counted(probe, 11 * SECOND)["power-cap"])
    assert refused(probe) == {("power-cap", "throttled_seconds"): Reason.IMPOSSIBLE}
    discover_gpus.change(replace(COUNTED, power_capped_seconds=0.5))
    assert math.isnan(counted(probe, 12 * SECOND)["power-cap"])
    assert refused(probe) == {("power-cap", "throttled_seconds"): Reason.RESET}
    discover_gpus.change(replace(COUNTED, power_capped_seconds=0.75))
    assert counted(probe, 13 * SECOND)["power-cap"] == pytest.approx(7015.912857)


def test_fields_that_differ_between_drivers_or_wrap_too_fast_are_not_read(discover_gpus: GpuDiscovery) -> None:
    settings = {f"{FIELDS}:{number}:0": 5 for number in (197, 198, *range(251, 254), *range(269, 272))}
    assert counted(only(discover_gpus(replace(H100, raw=settings))), 10 * SECOND) == {}
