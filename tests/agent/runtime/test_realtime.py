from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from agent.runtime.realtime import (
    FAVORED_NICE,
    NORMAL,
    RTTIME_SECONDS,
    SWITCH_SECONDS,
    Realtime,
    RealtimeLimit,
    acquire_realtime,
    demote,
    low_latency,
    ordinary,
    raise_priority,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class Kernel:
    """Acts as a host with `cpus` CPUs that permits or refuses real-time scheduling, and records the requests."""

    cpus: int = 8
    allows: bool = True
    pins: bool = True
    asked: list[object] = field(default_factory=list)
    SCHED_FIFO = 1
    SCHED_OTHER = 0
    SCHED_RESET_ON_FORK = 0x40000000

    def sched_param(self, sched_priority: int) -> object:
        return sched_priority

    def sched_setscheduler(self, pid: int, policy: int, param: object, /) -> None:
        if not self.allows:
            raise PermissionError(1, "Operation not permitted")
        self.asked.append((pid, policy, param))

    def sched_getaffinity(self, _pid: int, /) -> set[int]:
        return set(range(self.cpus))

    def sched_setaffinity(self, pid: int, mask: Iterable[int], /) -> None:
        if not self.pins:
            raise OSError(22, "Invalid argument")
        self.asked.append((pid, set(mask)))


def test_a_host_that_permits_it_grants_a_low_real_time_priority_and_a_cpu() -> None:
    kernel = Kernel()
    assert acquire_realtime(kernel) == Realtime("fifo", 2, 7, "")
    assert kernel.asked == [(0, 1 | 0x40000000, 2), (0, {7})]


def test_the_thread_is_not_pinned_on_a_host_with_few_cpus() -> None:
    kernel = Kernel(cpus=3)
    assert acquire_realtime(kernel) == Realtime("fifo", 2, None, "no CPU of its own: the process may use only 3")
    assert len(kernel.asked) == 1


def test_a_refusal_is_reported_and_is_not_an_error() -> None:
    got = acquire_realtime(Kernel(allows=False, pins=False))
    assert (got.policy, got.priority, got.cpu) == ("other", 0, None)
    assert got.reason == (
        "no real-time scheduling: Operation not permitted (root, CAP_SYS_NICE or LimitRTPRIO= allow it); "
        "no CPU of its own: Invalid argument"
    )


def test_an_unchanged_thread_reports_why() -> None:
    assert ordinary() is NORMAL


def test_only_the_requesting_thread_changes_and_not_its_children() -> None:
    seen: dict[str, object] = {}

    def ask() -> None:
        seen["got"] = acquire_realtime()
        seen["policy"] = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
        line = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
        seen["child"] = subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()

    before = os.sched_getaffinity(0)
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    got = seen["got"]
    assert isinstance(got, Realtime)
    assert seen["policy"] == (os.SCHED_FIFO if got.policy == "fifo" else os.SCHED_OTHER)  # not every user may
    assert seen["child"] == str(os.SCHED_OTHER)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert os.sched_getaffinity(0) == before


def test_the_recorder_gets_a_low_nice_value_and_stays_in_the_default_policy() -> None:
    seen: dict[str, int] = {}

    def take() -> None:
        raise_priority()
        seen["nice"] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        seen["policy"] = os.sched_getscheduler(0)

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert seen["nice"] == (FAVORED_NICE if os.geteuid() == 0 else before)
    assert seen["policy"] == os.SCHED_OTHER
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_real_time_thread_returns_to_the_default_policy() -> None:
    kernel = Kernel()
    assert demote(77, kernel)
    assert kernel.asked == [(77, 0 | 0x40000000, 0)]
    assert not demote(77, Kernel(allows=False))


def rttime() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_RTTIME)


def test_the_real_time_limit_applies_inside_the_block_and_children_do_not_inherit_it() -> None:
    before, limit = rttime(), RealtimeLimit()
    line = [sys.executable, "-c", "import resource; print(resource.getrlimit(resource.RLIMIT_RTTIME))"]
    handler = signal.getsignal(signal.SIGXCPU)
    with limit.bounding(lambda: None):
        assert rttime() == (200_000, before[1])
        with limit.lifted():
            child = subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
        assert rttime() == (200_000, before[1])
        with limit.bounding(lambda: None):
            assert rttime() == (200_000, before[1])
    assert child == str(before)
    assert rttime() == before
    assert signal.getsignal(signal.SIGXCPU) == handler
    with limit.lifted():
        assert rttime() == before


def test_reaching_the_real_time_limit_does_not_end_the_process() -> None:
    reached: list[bool] = []
    with RealtimeLimit().bounding(lambda: reached.append(True)):
        os.kill(os.getpid(), signal.SIGXCPU)
        assert reached == [True]


def test_the_limit_of_total_cpu_time_still_ends_the_process() -> None:
    program = """if True:
        import resource, time
        from agent.runtime.realtime import RealtimeLimit
        resource.setrlimit(resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))
        with RealtimeLimit().bounding(lambda: print("taken for ours", flush=True)):
            while True:
                pass
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (-signal.SIGXCPU, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may request real-time scheduling here")
def test_the_kernel_limit_demotes_a_real_time_thread_that_never_waits() -> None:
    limit, over, seen = RealtimeLimit(), threading.Event(), list[int]()

    def spin() -> None:
        if acquire_realtime().policy != "fifo":
            over.set()
            seen.append(os.SCHED_OTHER)
            return
        while not over.is_set():
            pass
        seen.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)

    thread = threading.Thread(target=spin)

    def exceeded() -> None:
        assert demote(thread.native_id or 0)
        over.set()

    with limit.bounding(exceeded):
        thread.start()
        while thread.is_alive():
            thread.join(2 * RTTIME_SECONDS)  # the thread waits when this one runs, which restarts its time
    assert seen == [os.SCHED_OTHER]


def test_the_switch_interval_is_shorter_inside_the_block_only() -> None:
    before, threshold = sys.getswitchinterval(), gc.get_threshold()
    with low_latency():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold()[0] > 50_000
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS, rel=0.3)
        with low_latency():
            pass
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS, rel=0.3)
    assert sys.getswitchinterval() == pytest.approx(before, rel=0.05)
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == threshold
