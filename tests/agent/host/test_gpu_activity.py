"""Users of the GPUs during a window: this program, others, or unknown."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from agent.host.activity import ActivityMonitor, cpu_usage_between
from agent.host.gpu_activity import GpuActivityMonitor, gpu_loads
from agent.host.records import GpuLoad
from nvml_reading import GpuDiscovery, only
from probes.model import Roots
from probes.nvml.library import GpuProcesses
from probes.nvml.probe import NvmlProbe
from proc_tree import write_process, write_stat
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

OURS = frozenset({10, 11})
HOST, CONTAINER = "pid:[4026531836]", "pid:[4026532801]"


def load(gpu_processes: GpuProcesses | None, ours: frozenset[int] | None = OURS, seconds: float = 10.0) -> GpuLoad:
    (found,) = gpu_loads({"GPU-a": gpu_processes}, ours, seconds)
    return found


def test_shares_are_added_for_this_program_and_others_and_other_programs_are_counted() -> None:
    reported = GpuProcesses(frozenset({10, 11, 20, 30}), {10: 0.5, 11: 0.25, 20: 0.125, 40: 0.0625})
    assert load(reported) == GpuLoad("GPU-a", 0.75, 0.1875, 2)


def test_all_use_of_a_gpu_without_the_run_belongs_to_others() -> None:
    assert load(GpuProcesses(frozenset({20}), {20: 0.9})) == GpuLoad("GPU-a", 0.0, 0.9, 1)


def test_a_missing_sample_means_idle_only_after_a_full_sampling_period() -> None:
    idle = GpuProcesses(frozenset(), {})
    assert load(idle, seconds=1.0) == GpuLoad("GPU-a", 0.0, 0.0, 0)
    assert load(idle, seconds=0.9) == GpuLoad("GPU-a", None, None, 0)


def test_unreported_use_is_unknown() -> None:
    assert load(GpuProcesses(frozenset({10, 20}), None)) == GpuLoad("GPU-a", None, None, 1)
    assert load(GpuProcesses(None, {20: 0.5})) == GpuLoad("GPU-a", 0.0, 0.5, None)
    nothing = GpuLoad("GPU-a", None, None, None)
    assert load(None) == nothing
    assert load(GpuProcesses(frozenset({20}), {20: 0.5}), ours=None) == nothing
    assert gpu_loads({}, OURS, 1.0) == ()


@dataclass
class Hanging:
    """A GPU whose driver does not answer until it is released."""

    gpu: str = "GPU-b"
    go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        self.asked += 1
        self.go.wait(60)
        return GpuProcesses(frozenset(), {since_us: 0.5})


@dataclass
class Prompt:
    """A GPU whose driver answers with the requested moment."""

    gpu: str = "GPU-a"

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        return GpuProcesses(frozenset(), {since_us: 1.0})


def test_a_hanging_driver_is_not_waited_for_and_not_queried_again_until_it_answers() -> None:
    hanging, reported = Hanging(), GpuProcesses(frozenset(), {7: 1.0})
    gpu_monitor = GpuActivityMonitor([Prompt(), hanging], within_seconds=2.0)
    assert gpu_monitor.snapshot(7) == {"GPU-a": reported, "GPU-b": None}
    assert gpu_monitor.snapshot(7) == {"GPU-a": None, "GPU-b": None}
    assert hanging.asked == 1
    hanging.go.set()
    gpu_monitor._within_seconds = 60.0
    await_true(lambda: gpu_monitor.snapshot(7)["GPU-b"])
    assert gpu_monitor.snapshot(7) == {"GPU-a": reported, "GPU-b": GpuProcesses(frozenset(), {7: 0.5})}


@dataclass
class Scanned(Prompt):
    """A GPU whose users are found by comparing two scans."""

    gpu: str = "GPU-c"
    scans_users: bool = True
    asked: list[int] = field(default_factory=list)

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        self.asked.append(since_us)
        return super().gpu_processes(since_us)


def test_only_gpus_that_compare_scans_are_queried_at_the_beginning() -> None:
    scanned, hanging = Scanned(), Hanging()
    GpuActivityMonitor([scanned, hanging], within_seconds=60).begin(5)
    assert (scanned.asked, hanging.asked) == ([5], 0)
    GpuActivityMonitor([hanging]).begin(5)
    assert hanging.asked == 0


def test_no_query_without_a_gpu() -> None:
    before = set(threading.enumerate())
    assert GpuActivityMonitor([]).snapshot(0) == {}
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("numbers", "loads"),
    [
        (HOST, (GpuLoad(fake_nvml.H100.uuid, 0.75, 0.2, 1),)),
        (CONTAINER, (GpuLoad(fake_nvml.H100.uuid, None, None, None),)),
    ],
)
def test_the_load_of_a_window_has_the_users_of_the_gpu_unless_the_driver_numbers_processes_differently(
    tmp_path: Path, numbers: str, loads: tuple[GpuLoad, ...]
) -> None:
    procfs = tmp_path / "proc"
    procfs.mkdir()
    write_stat(procfs, busy=100, idle=100)
    write_process(procfs, 10, 5, "11 ")
    write_process(procfs, 11, 5)
    (procfs / "10/ns").mkdir()
    (procfs / "10/ns/pid").symlink_to(numbers)
    shared = replace(fake_nvml.H100, programs=(11, 20), busy_ratios={11: 0.75, 20: 0.2})
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        probe = only(discover_gpus(shared))
        assert isinstance(probe, NvmlProbe)
        activity_monitor = ActivityMonitor(Roots(str(tmp_path / "sys"), str(procfs)), [probe], pid=10)
        before = activity_monitor.snapshot()
        assert before.gpus == {}
        write_stat(procfs, busy=104, idle=105)
        load = cpu_usage_between(before, activity_monitor.snapshot(before))
    assert load is not None
    assert load.gpus == loads
