"""Asks the kernel for what keeps a sampling thread in time: real-time scheduling and a processor to stay on."""

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
"""The lowest of SCHED_FIFO but one: before every ordinary thread, behind whatever else on the host is real-time."""
SWITCH_SECONDS = 5e-4
"""How long a thread waits before it asks another one for the interpreter, instead of Python's own 5 ms.

Each request costs both threads a switch, so threads that work at the same time must not ask often: with 30 us two of
them did little else. A thread that reads files gives the interpreter away with every file, so reads hardly need it.
"""
FAVORED_NICE = -10
"""The nice value of the thread that takes the ticks: it gets the processor early, and shares it like any other."""
RTTIME_SECONDS = 0.2
"""So much processor time without a wait the kernel grants the real-time thread before it sends SIGXCPU."""
GC_THRESHOLD = 100_000
"""After how many objects more than before the garbage collector is called; Python's own number is 700."""
MIN_CPUS = 4
"""With fewer, a thread that may not move would wait for others, or they for it, more often than it gains."""


@dataclass(frozen=True, slots=True)
class Realtime:
    """How the sampling thread is scheduled: `cpu` is the one it stays on, None where it moves as all do.

    `policy` is `fifo` or `other`, the kernel's ordinary one, which has no priority (0). `reason` says why something was
    not obtained, and is empty where nothing is missing.
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
        """Note those of the calling thread."""
        return cls(frozenset(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def restore(self, thread_id: int) -> None:
        """Give them to a thread, which another one may have started; a refusal leaves it as it is."""
        with suppress(OSError):
            if os.sched_getaffinity(thread_id) != self.cpus:
                os.sched_setaffinity(thread_id, self.cpus)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread_id, self.nice)


class Kernel(Protocol):
    """The part of the module `os` that is needed here; 0 stands for the calling thread."""

    SCHED_FIFO: int
    SCHED_OTHER: int
    SCHED_RESET_ON_FORK: int

    def sched_param(self, sched_priority: int) -> os.sched_param: ...  # noqa: D102  named in sched(7)
    def sched_setscheduler(self, pid: int, policy: int, param: os.sched_param, /) -> None: ...  # noqa: D102  same
    def sched_getaffinity(self, pid: int, /) -> set[int]: ...  # noqa: D102  same
    def sched_setaffinity(self, pid: int, mask: Iterable[int], /) -> None: ...  # noqa: D102  same


def acquire_realtime(kernel: Kernel = os) -> Realtime:
    """Give the calling thread, which reads sensors, what the host allows, and return what that is; never raises.

    No other thread or process is touched: what the thread starts is ordinary again (SCHED_RESET_ON_FORK), and what
    other threads start keeps all processors. The last one allowed is taken, as the first serve most interrupts.
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
            reasons.append(f"no processor of its own: of {len(allowed)}, none can be spared")
    except OSError as error:
        reasons.append(f"no processor of its own: {error.strerror}")
    return Realtime("other" if got else "fifo", 0 if got else PRIORITY, cpu, "; ".join(reasons))


def decline_realtime() -> Realtime:
    """Leave the calling thread as it is, as the user wants no real-time thread."""
    return TURNED_OFF


def raise_priority() -> None:
    """Let the calling thread, which takes the ticks, be served before ordinary threads; it stays an ordinary one.

    While it works it holds the interpreter's lock, which the thread that reads waits for. A user who may not ask for
    that goes without.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), FAVORED_NICE)


def demote(thread_id: int, kernel: Kernel = os) -> bool:
    """Make a thread of this process an ordinary one again; return whether it is."""
    try:
        kernel.sched_setscheduler(thread_id, kernel.SCHED_OTHER | kernel.SCHED_RESET_ON_FORK, kernel.sched_param(0))
    except OSError:  # it has ended
        return False
    return True


class RealtimeLimit:
    """Bounds the processor time that a real-time thread may use without a wait (RLIMIT_RTTIME).

    The loop's own budget comes first; this is for a loop that no longer obeys it. Only for the main thread. The limit
    is one of the whole process and would be inherited, so a child is started inside `lifted`.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    @contextmanager
    def bounding(self, exceeded: Callable[[], object]) -> Iterator[None]:
        """Set the limit inside the block, and call `exceeded` when it is reached."""
        if threading.current_thread() is not threading.main_thread() or self._before:
            yield
            return
        self._before = before = resource.getrlimit(resource.RLIMIT_RTTIME)
        default = signal.getsignal(signal.SIGXCPU)
        cpu_limit = resource.getrlimit(resource.RLIMIT_CPU)

        def reached(number: int, _frame: FrameType | None) -> None:
            if resource.getrlimit(resource.RLIMIT_CPU) != cpu_limit:  # the kernel raises it when it sends the signal
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
        """Set the limit inside the block to what it was before `bounding`: for the start of a child."""
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
    """Keep the garbage collector from what is in memory already, which takes it 30 ms, and from what comes and goes.

    It is called by the number of objects that came and did not go again. A second of ticks at 1 kHz is some ten
    thousand, which all go by themselves, and to look at them each time costs beats.
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
    """Let a thread whose reads are due wait no longer than half a millisecond for another one of this process, not 5.

    Nor is it to wait for the garbage collector. The service, which reads once a second, does without.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        with gc_frozen():
            yield
    finally:
        sys.setswitchinterval(before)


def _scheduled(kernel: Kernel, priority: int) -> str:
    """Ask for SCHED_FIFO; return why it was refused, or nothing."""
    try:
        kernel.sched_setscheduler(0, kernel.SCHED_FIFO | kernel.SCHED_RESET_ON_FORK, kernel.sched_param(priority))
    except OSError as error:
        return f"no real-time scheduling: {error.strerror} (root, CAP_SYS_NICE or LimitRTPRIO= allow it)"
    return ""
