"""Processes on a GPU, as the real binding reads them from the fake driver."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import A100_MIG, BUSY, H100, PROGRAMS
from nvml_reading import GpuDiscovery, only
from probes.nvml.library import GpuProcesses
from probes.nvml.probe import NvmlProbe
from trees import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED = replace(H100, programs=(10, 20, 30), busy_ratios={10: 0.75, 20: 0.2})


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def gpu_processes(discover_gpus: GpuDiscovery, gpu: fake_nvml.Gpu, ago_seconds: float = 1.0) -> GpuProcesses:
    probe = only(discover_gpus(gpu))
    assert isinstance(probe, NvmlProbe)
    assert probe.gpu == gpu.uuid
    return probe.gpu_processes(round((time.time() - ago_seconds) * 1e6))


def test_programs_and_shares_of_a_busy_gpu_are_reported(discover_gpus: GpuDiscovery) -> None:
    assert gpu_processes(discover_gpus, SHARED) == GpuProcesses(frozenset({10, 20, 30}), {10: 0.75, 20: 0.2})


def test_an_unused_gpu_is_recognized_in_every_form_of_the_driver_s_answer(discover_gpus: GpuDiscovery) -> None:
    nobody = GpuProcesses(frozenset(), {})
    assert gpu_processes(discover_gpus, H100) == nobody
    assert gpu_processes(discover_gpus, replace(H100, errors={BUSY: fake_nvml.NOT_FOUND})) == nobody


def test_only_the_time_since_the_given_moment_counts(discover_gpus: GpuDiscovery) -> None:
    assert gpu_processes(discover_gpus, SHARED, ago_seconds=-60).shares == {}


def test_a_split_gpu_reports_programs_without_shares(discover_gpus: GpuDiscovery) -> None:
    assert gpu_processes(discover_gpus, replace(A100_MIG, programs=(10, 20))) == GpuProcesses(frozenset({10, 20}), None)


def test_a_share_above_1_is_rejected(discover_gpus: GpuDiscovery) -> None:
    assert gpu_processes(discover_gpus, replace(SHARED, busy_ratios={10: 21474836.32})) == GpuProcesses(
        frozenset({10, 20, 30}), None
    )


@pytest.mark.parametrize("code", [fake_nvml.NO_PERMISSION, fake_nvml.FUNCTION_NOT_FOUND, fake_nvml.GPU_IS_LOST])
def test_a_refused_query_is_unknown(discover_gpus: GpuDiscovery, code: int) -> None:
    assert gpu_processes(discover_gpus, replace(SHARED, errors={BUSY: code, PROGRAMS: code})) == GpuProcesses(
        None, None
    )


def test_a_suspended_gpu_is_not_queried_for_processes(discover_gpus: GpuDiscovery, tmp_path: Path) -> None:
    status = write(tmp_path / "bus/pci/devices/0000:53:00.0/power/runtime_status", "active\n")
    probe = only(discover_gpus(SHARED))
    assert isinstance(probe, NvmlProbe)
    status.write_text("suspended\n")
    fake_nvml.take_calls(discover_gpus.library)
    assert probe.gpu_processes(0) == GpuProcesses(None, None)
    assert fake_nvml.take_calls(discover_gpus.library) == []
