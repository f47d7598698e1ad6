"""Asks the kernel for what keeps a sampling thread in time: real-time scheduling and a processor to stay on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

PRIORITY = 1
"""The lowest of SCHED_FIFO: before every ordinary thread, behind whatever else on the host is real-time."""
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
    """Give the calling thread what the host allows, and return what that is; never raises.

    No other thread or process is touched: what the thread starts is ordinary again (SCHED_RESET_ON_FORK), and what
    other threads start keeps all processors. The last one allowed is taken, as the first serve most interrupts.
    """
    reasons = []
    policy: Literal["fifo", "other"] = "fifo"
    try:
        kernel.sched_setscheduler(0, kernel.SCHED_FIFO | kernel.SCHED_RESET_ON_FORK, kernel.sched_param(PRIORITY))
    except OSError as error:
        policy = "other"
        reasons.append(f"no real-time scheduling: {error.strerror} (root, CAP_SYS_NICE or LimitRTPRIO= allow it)")
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
    return Realtime(policy, PRIORITY if policy == "fifo" else 0, cpu, "; ".join(reasons))
