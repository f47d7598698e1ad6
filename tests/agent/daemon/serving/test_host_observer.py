from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from agent.config.serving import ServingConfig
from agent.daemon.serving.host_observer import HostObserver
from probes.cpu.utilization import TICK_SECONDS
from probes.model import Roots
from probes.nvml.library import GpuProcesses

if TYPE_CHECKING:
    from pathlib import Path

HOST_PIDS = "pid:[4026531836]"
SERVER = ServingConfig("chat", "http://127.0.0.1:1/metrics", "vllm")


@dataclass
class Gpu:
    """A GPU that reports one process, and records the moments since which it was asked."""

    gpu: str = "GPU-1"
    since: list[int] = field(default_factory=list)

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        self.since.append(since_us)
        return GpuProcesses(frozenset({7}), {7: 0.5})


def stat(proc: Path, busy: int) -> None:
    lines = (f"cpu{n} {busy} 0 0 1000 0 0 0 0 0 0" for n in range(2))
    (proc / "stat").write_text("\n".join(("cpu 0 0 0 0 0 0 0 0 0 0", *lines, "intr 0")))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    namespace = tmp_path / f"{os.getpid()}/ns"
    namespace.mkdir(parents=True)
    (namespace / "pid").symlink_to(HOST_PIDS)
    stat(tmp_path, 100)
    return tmp_path


def test_the_busy_time_is_that_since_the_last_call(proc: Path) -> None:
    observer = HostObserver(Roots(procfs=str(proc)), [SERVER], ())
    assert observer.host(1).busy_seconds is None
    stat(proc, 130)
    found = observer.host(2)
    assert found.busy_seconds == pytest.approx(60 * TICK_SECONDS)
    assert found.processors == 2
    assert observer.servers() == {"chat": None}


def test_the_users_of_a_gpu_are_those_since_the_last_call(proc: Path) -> None:
    gpu = Gpu()
    observer = HostObserver(Roots(procfs=str(proc)), [SERVER], [gpu])
    for moment in (10, 20, 30):
        users = observer.host(moment).gpus["GPU-1"]
    assert users.shares == {7: 0.5}
    assert gpu.since == [10, 10, 20]


def test_a_gpu_is_not_asked_if_its_process_numbers_are_not_those_of_this_process(proc: Path) -> None:
    link = proc / f"{os.getpid()}/ns/pid"
    link.unlink()
    link.symlink_to("pid:[4026532000]")
    gpu = Gpu()
    assert HostObserver(Roots(procfs=str(proc)), [SERVER], [gpu]).host(1).gpus == {}
    assert gpu.since == []


def test_an_unreadable_stat_leaves_the_busy_time_unknown(proc: Path) -> None:
    (proc / "stat").unlink()
    observer = HostObserver(Roots(procfs=str(proc)), [SERVER], ())
    assert [observer.host(n).busy_seconds for n in (1, 2)] == [None, None]
