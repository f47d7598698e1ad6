"""Who uses a GPU, as the real binding reads it from the fake driver."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import A100_MIG, BUSY, H100, PROGRAMS
from nvml_reading import Look, only
from probes.nvml.library import Tenants
from probes.nvml.probe import NvmlProbe
from trees import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED = replace(H100, programs=(10, 20, 30), busy_ratios={10: 0.75, 20: 0.2})


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    with Look(fake_nvml.build(tmp_path), tmp_path) as look:
        yield look


def tenants(look: Look, gpu: fake_nvml.Gpu, ago_seconds: float = 1.0) -> Tenants:
    probe = only(look(gpu))
    assert isinstance(probe, NvmlProbe)
    assert probe.gpu == gpu.uuid
    return probe.tenants(round((time.time() - ago_seconds) * 1e6))


def test_those_that_have_it_open_and_the_shares_of_those_that_kept_it_busy(look: Look) -> None:
    assert tenants(look, SHARED) == Tenants(frozenset({10, 20, 30}), {10: 0.75, 20: 0.2})


def test_a_gpu_of_nobody_says_so_in_each_of_the_ways_that_drivers_have(look: Look) -> None:
    nobody = Tenants(frozenset(), {})
    assert tenants(look, H100) == nobody
    assert tenants(look, replace(H100, errors={BUSY: fake_nvml.NOT_FOUND})) == nobody


def test_only_the_time_since_the_moment_counts(look: Look) -> None:
    assert tenants(look, SHARED, ago_seconds=-60).shares == {}


def test_a_gpu_that_is_split_tells_who_has_it_open_alone(look: Look) -> None:
    assert tenants(look, replace(A100_MIG, programs=(10, 20))) == Tenants(frozenset({10, 20}), None)


def test_a_share_above_the_whole_is_not_believed(look: Look) -> None:
    assert tenants(look, replace(SHARED, busy_ratios={10: 21474836.32})) == Tenants(frozenset({10, 20, 30}), None)


@pytest.mark.parametrize("code", [fake_nvml.NO_PERMISSION, fake_nvml.FUNCTION_NOT_FOUND, fake_nvml.GPU_IS_LOST])
def test_what_the_driver_refuses_is_not_known(look: Look, code: int) -> None:
    assert tenants(look, replace(SHARED, errors={BUSY: code, PROGRAMS: code})) == Tenants(None, None)


def test_a_gpu_that_sleeps_is_not_asked(look: Look, tmp_path: Path) -> None:
    status = write(tmp_path / "bus/pci/devices/0000:53:00.0/power/runtime_status", "active\n")
    probe = only(look(SHARED))
    assert isinstance(probe, NvmlProbe)
    status.write_text("suspended\n")
    fake_nvml.take_calls(look.library)
    assert probe.tenants(0) == Tenants(None, None)
    assert fake_nvml.take_calls(look.library) == []
