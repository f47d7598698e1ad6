"""One pipeline serves the daemon, `measure` and `profile`: one CPU budget, and probes that are always closed."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from agent.config import Config
from agent.daemon import service
from agent.profiling.context import ProfileRequest
from agent.profiling.plan import MeasurementPlan
from agent.profiling.run import UnsupportedWorkloadError
from agent.profiling.run import run as run_profile
from agent.runtime.clock import Timebase
from agent.runtime.cpu_budget import CpuBudget
from agent.runtime.signals import SignalRequests
from agent.sampling.downsampling import Downsampler
from agent.sampling.pipeline import assembled
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.onnx.spec import OnnxSpec
from command import call
from probes.model import Roots
from trees import FIXTURES
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SYSFS, PROCFS, NO_DRIVER = FIXTURES / "trees/intel_server_2s/sys", FIXTURES / "proc/epyc_two_packages", "/nowhere"
ROOTS = Roots(str(SYSFS), str(PROCFS), NO_DRIVER)
SWIFT = MeasurementPlan("custom", 0.2, 0.1, 3, 0.1, 3)


class Budgets:
    """Creates CPU budgets, and records the metered threads with their scheduling policies."""

    def __init__(self) -> None:
        self.made: list[CpuBudget] = []
        self.threads: dict[str, int] = {}

    def __call__(self, share: float) -> CpuBudget:
        budget = NotingBudget(share)
        budget.threads = self.threads
        self.made.append(budget)
        return budget

    @property
    def complete(self) -> bool:
        return "recorder" in self.threads and any(name.startswith("sampling-") for name in self.threads)


class NotingBudget(CpuBudget):
    threads: dict[str, int]

    def charge(self, cpu_ns: int) -> None:
        self.threads[threading.current_thread().name] = os.sched_getscheduler(0)
        super().charge(cpu_ns)


class Silent:
    def step(self, _done: int, _total: int | None, _doing: str) -> None:
        pass

    def note(self, _text: str) -> None:
        pass


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> Budgets:
    made = Budgets()
    monkeypatch.setattr("agent.sampling.pipeline.CpuBudget", made)
    return made


def measure(home: Path, _budgets: Budgets) -> None:
    paths = ("--path.sysfs", SYSFS, "--path.procfs", PROCFS, "--path.nvml-library", NO_DRIVER)
    call(home, "measure", "--duration", 1.2, "--cpu-budget", 0.03, "--no-realtime", *paths)


def profile(home: Path, _budgets: Budgets) -> None:
    config = Config(database=str(home / "store.db"), roots=ROOTS, cpu_budget=0.03, realtime=False)
    request = ProfileRequest(OnnxSpec(home / "nowhere.onnx"), EngineSpec(), {"batch": (1,)}, SWIFT, None)
    with pytest.raises(UnsupportedWorkloadError):
        run_profile(request, config, Silent(), SignalRequests())


def daemon(home: Path, budgets: Budgets) -> None:
    def stop() -> None:
        await_true(lambda: budgets.complete)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    service.run(lambda: Config(database=str(home / "store.db"), roots=ROOTS, cpu_budget=0.03, listen="127.0.0.1:0"))
    stopper.join()


@pytest.mark.parametrize("caller", [measure, profile, daemon])
def test_sampler_and_recorder_share_one_cpu_budget(
    tmp_path: Path, budgets: Budgets, caller: Callable[[Path, Budgets], None]
) -> None:
    caller(tmp_path, budgets)
    (budget,) = budgets.made
    assert budget.share == 0.03
    assert budgets.complete
    assert set(budgets.threads.values()) == {os.SCHED_OTHER}


def test_the_probes_are_closed_if_the_store_refuses_the_recording() -> None:
    def refuse(_named: object) -> list[object]:
        opened.append(open_files())
        raise OSError("disk full")

    opened, before = list[int](), open_files()
    with (
        pytest.raises(OSError, match="disk full"),
        assembled(Config(roots=ROOTS), Timebase.now(), refuse, lambda _: Downsampler(())),  # type: ignore[arg-type]
    ):
        pass
    assert opened[0] > before == open_files()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a path object for each costs more than it is worth
