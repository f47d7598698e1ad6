"""Asks the kernel for what keeps a sampling thread in time: real-time scheduling and a processor to stay on."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PRIORITY = 2
"""The lowest of SCHED_FIFO but one: before every ordinary thread, behind whatever else on the host is real-time."""
SWITCH_SECONDS = 3e-5
"""How long a thread waits before it asks for the interpreter: longer than the kernel needs to begin and end a wait.

A shorter wait is over before it has begun. A real-time thread would then ask without a pause, and keep the processor
from the very thread that is to let go of the interpreter: with 10 us a run of 7 s took 36 s, all of it in the kernel.
"""
UNCOLLECTED = 100_000
"""After how many objects more than before the garbage collector is called; Python's own number is 700."""
FEWEST_CPUS = 4
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


def ordinary() -> Realtime:
    """Leave the calling thread as it is."""
    return NORMAL


class Kernel(Protocol):
    """The part of the module `os` that is needed here; 0 stands for the calling thread."""

    SCHED_FIFO: int
    SCHED_RESET_ON_FORK: int

    def sched_param(self, sched_priority: int) -> os.sched_param: ...  # noqa: D102  named in sched(7)
    def sched_setscheduler(self, pid: int, policy: int, param: os.sched_param, /) -> None: ...  # noqa: D102  same
    def sched_getaffinity(self, pid: int, /) -> set[int]: ...  # noqa: D102  same
    def sched_setaffinity(self, pid: int, mask: Iterable[int], /) -> None: ...  # noqa: D102  same


def obtain(kernel: Kernel = os) -> Realtime:
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
        if len(allowed) >= FEWEST_CPUS:
            kernel.sched_setaffinity(0, {max(allowed)})
            cpu = max(allowed)
        else:
            reasons.append(f"no processor of its own: of {len(allowed)}, none can be spared")
    except OSError as error:
        reasons.append(f"no processor of its own: {error.strerror}")
    return Realtime("other" if got else "fifo", 0 if got else PRIORITY, cpu, "; ".join(reasons))


def keep_up(kernel: Kernel = os) -> None:
    """Let the calling thread, which takes the ticks, not be held up where the one that reads them is not.

    While it works it holds the interpreter's lock, which the reading thread waits for: so it comes right behind it.
    """
    _scheduled(kernel, PRIORITY - 1)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from what is in memory already, which takes it 30 ms, and from what comes and goes.

    It is called by the number of objects that came and did not go again. A second of ticks at 1 kHz is some ten
    thousand, which all go by themselves, and to look at them each time costs beats.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(UNCOLLECTED, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def prompt() -> Iterator[None]:
    """Let a thread whose beat is due wait no longer than 50 us for another one of this process, not 5 ms.

    It gives the interpreter away with every file it reads, and may have to wait so long each time to have it back. Nor
    is it to wait for the garbage collector. Threads that run at the same time pay with many switches, so the service,
    which has other ways, does without.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        with uncollected():
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
