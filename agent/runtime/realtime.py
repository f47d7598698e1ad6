"""Requests punctual scheduling for a sampling thread: a real-time priority and a CPU of its own."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

PRIORITY = 2
"""The second lowest priority of SCHED_FIFO: above ordinary threads, below other real-time threads."""
SWITCH_SECONDS = 5e-4
"""The switch interval of the interpreter, 5 ms by default.

A request for the interpreter costs both threads a switch: at 30 us, two busy threads did little else. A thread that
reads files releases the interpreter with every file, so its reads rarely depend on this.
"""
FAVORED_NICE = -10
"""The nice value of the recorder's thread: it is scheduled early, and shares the CPU like any other."""
RTTIME_SECONDS = 0.2
"""The CPU time without a wait after which the kernel sends SIGXCPU to the real-time thread."""
GC_THRESHOLD = 100_000
"""The number of new objects that starts a garbage collection; Python's default is 700."""
MIN_CPUS = 4
"""On fewer CPUs, a pinned thread would delay others, or be delayed, more than pinning gains."""


@dataclass(frozen=True, slots=True)
class Realtime:
    """The scheduling of the sampling thread: `cpu` is the one it is pinned to, None if it is not pinned.

    `policy` is `fifo` or `other` (the default policy, with priority 0). `reason` names what was refused and why; empty
    if everything was granted.
    """

    policy: Literal["fifo", "other"]
    priority: int
    cpu: int | None
    reason: str


NORMAL = Realtime("other", 0, None, "not asked for")
TURNED_OFF = Realtime("other", 0, None, "turned off by the setting sampling.realtime")
LIMIT_EXCEEDED_REASON = f"real-time scheduling ended: {RTTIME_SECONDS:g} s of processor time without a wait"
LIMIT_EXCEEDED = Realtime("other", 0, None, LIMIT_EXCEEDED_REASON)


def ordinary() -> Realtime:
    """Leave the calling thread as it is."""
    return NORMAL


@dataclass(frozen=True, slots=True)
class InheritedScheduling:
    """The processors and the nice value of a thread, which every thread that it starts inherits."""

    cpus: frozenset[int]
    nice: int

    @classmethod
    def of_this_thread(cls) -> InheritedScheduling:
        """Return those of the calling thread."""
        return cls(frozenset(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def restore(self, thread_id: int) -> None:
        """Apply them to a thread that another thread may have started; a refusal has no effect."""
        with suppress(OSError):
            if os.sched_getaffinity(thread_id) != self.cpus:
                os.sched_setaffinity(thread_id, self.cpus)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread_id, self.nice)


class Kernel(Protocol):
    """The functions of the module `os` that are used here; 0 is the calling thread."""

    SCHED_FIFO: int
    SCHED_OTHER: int
    SCHED_RESET_ON_FORK: int

    def sched_param(self, sched_priority: int) -> os.sched_param: ...  # noqa: D102  named in sched(7)
    def sched_setscheduler(self, pid: int, policy: int, param: os.sched_param, /) -> None: ...  # noqa: D102  same
    def sched_getaffinity(self, pid: int, /) -> set[int]: ...  # noqa: D102  same
    def sched_setaffinity(self, pid: int, mask: Iterable[int], /) -> None: ...  # noqa: D102  same


def acquire_realtime(kernel: Kernel = os) -> Realtime:
    """Request real-time scheduling and a CPU for the calling thread; return what was granted. Never raises.

    Other threads and processes are unaffected: children of the thread are scheduled normally (SCHED_RESET_ON_FORK),
    and threads that others start may use all CPUs. It takes the last allowed CPU, as the first ones serve most
    interrupts.
    """
    reasons = []
    got = _scheduled(kernel, PRIORITY)
    if got:
        reasons.append(got)
    cpu = None
    try:
        allowed = kernel.sched_getaffinity(0)
        if len(allowed) >= MIN_CPUS:
            kernel.sched_setaffinity(0, {max(allowed)})
            cpu = max(allowed)
        else:
            reasons.append(f"no CPU of its own: the process may use only {len(allowed)}")
    except OSError as error:
        reasons.append(f"no CPU of its own: {error.strerror}")
    return Realtime("other" if got else "fifo", 0 if got else PRIORITY, cpu, "; ".join(reasons))


def decline_realtime() -> Realtime:
    """Leave the calling thread as it is: the user turned real-time scheduling off."""
    return TURNED_OFF


def raise_priority() -> None:
    """Lower the nice value of the calling thread, the recorder's, if the user may do that.

    It holds the interpreter's lock while it works, and the sampling threads wait for that lock.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), FAVORED_NICE)


def demote(thread_id: int, kernel: Kernel = os) -> bool:
    """Return a thread of this process to the default policy; return False if it has ended."""
    try:
        kernel.sched_setscheduler(thread_id, kernel.SCHED_OTHER | kernel.SCHED_RESET_ON_FORK, kernel.sched_param(0))
    except OSError:  # it has ended
        return False
    return True


class RealtimeLimit:
    """Limits the CPU time that a real-time thread may use without a wait (RLIMIT_RTTIME).

    It protects the host from a loop that ignores its CPU budget. Used by the main thread only. Children inherit the
    limit of the process, so start them inside `lifted`.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    @contextmanager
    def bounding(self, exceeded: Callable[[], object]) -> Iterator[None]:
        """Set the limit inside the block; reaching it calls `exceeded`."""
        if threading.current_thread() is not threading.main_thread() or self._before:
            yield
            return
        self._before = before = resource.getrlimit(resource.RLIMIT_RTTIME)
        default = signal.getsignal(signal.SIGXCPU)
        cpu_limit = resource.getrlimit(resource.RLIMIT_CPU)

        def reached(number: int, _frame: FrameType | None) -> None:
            if resource.getrlimit(resource.RLIMIT_CPU) != cpu_limit:  # the kernel raises it as it sends the signal
                signal.signal(number, default)
                os.kill(os.getpid(), number)
            else:
                exceeded()

        signal.signal(signal.SIGXCPU, reached)
        self._set(_at_most(round(RTTIME_SECONDS * 1e6), before[0]))
        try:
            yield
        finally:
            self._set(before[0])
            signal.signal(signal.SIGXCPU, default)
            self._before = None

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Restore the limit of before `bounding` inside the block, to start a child."""
        if self._before is None:
            yield
            return
        soft, _ = resource.getrlimit(resource.RLIMIT_RTTIME)
        self._set(self._before[0])
        try:
            yield
        finally:
            self._set(soft)

    @staticmethod
    def _set(soft: int) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))


REALTIME_LIMIT = RealtimeLimit()
"""The limit of this process."""


def _at_most(wanted: int, soft: int) -> int:
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Exclude all existing objects from garbage collection inside the block, and collect less often.

    A collection of all objects takes 30 ms. The number of objects that were allocated and not freed triggers it: a
    second of ticks at 1 kHz is some ten thousand objects, which need no collection, and each one would delay reads.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def low_latency() -> Iterator[None]:
    """Shorten the wait of a sampling thread for other threads of this process from 5 ms to 0.5 ms inside the block.

    Garbage collection is reduced as well. The service reads once a second and does not need this.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        with gc_frozen():
            yield
    finally:
        sys.setswitchinterval(before)


def _scheduled(kernel: Kernel, priority: int) -> str:
    """Request SCHED_FIFO; return the reason of a refusal, empty if it was granted."""
    try:
        kernel.sched_setscheduler(0, kernel.SCHED_FIFO | kernel.SCHED_RESET_ON_FORK, kernel.sched_param(priority))
    except OSError as error:
        return f"no real-time scheduling: {error.strerror} (root, CAP_SYS_NICE or LimitRTPRIO= allow it)"
    return ""
