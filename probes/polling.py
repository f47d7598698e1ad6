"""Reads probes repeatedly for a short time: file-only probes in one thread, every other probe in its own."""

from __future__ import annotations

import heapq
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from probes.model import Probe

INTERVAL_SHARE = 0.9
"""The part of a probe's shortest interval after which the next read may begin: reads on a schedule of that interval
have jitter, and every second one would otherwise be too early.
"""
MAX_READ_SHARE = 0.25
"""The largest share of the time for reads: of all files together, and of each driver."""
STUCK_SECONDS = 0.3
"""After a read of this length the remaining files continue in another thread."""
MAX_STUCK_THREADS = 4
"""The largest number of threads that hang in files; beyond it the remaining probes are not read."""
_POLL_SECONDS = 0.01
_END_SECONDS = 0.2
_LONGEST_SLEEP_SECONDS = 0.005
_LARGEST_DEBT_NS = 1_000_000


class PollTarget(Protocol):
    """One probe, which is read while another read is wanted."""

    @property
    def probe(self) -> Probe: ...  # noqa: D102  the probe itself

    @property
    def wanted(self) -> bool: ...  # noqa: D102  whether another read may show more

    def read(self) -> float:
        """Read once; return the seconds until another read is useful. Never raises."""

    def restart_time(self) -> None:
        """Restart the time limit of the probe: it elapsed while another probe was read."""


def read_all(targets: Sequence[PollTarget], seconds: float) -> dict[Probe, Callable[[], bool]]:
    """Read every probe until no further read is wanted, for at most `seconds`.

    Returns the probes whose read is still in progress, each with a function that returns whether it has ended.
    """
    of_files = [PollThread([watch for watch in targets if watch.probe.files_only])]
    of_drivers = [PollThread([watch]) for watch in targets if not watch.probe.files_only]
    deadline = time.monotonic() + seconds
    while any(poll_thread.alive for poll_thread in (*of_files, *of_drivers)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        stuck = [poll_thread for poll_thread in of_files if poll_thread.is_stuck]
        behind = [poll_thread for poll_thread in stuck if poll_thread.waiting]
        of_files += [
            PollThread(poll_thread.hand_over_waiting())
            for poll_thread in behind[: max(0, MAX_STUCK_THREADS + 1 - len(stuck))]
        ]
    return {probe: ended for poll_thread in (*of_files, *of_drivers) for probe, ended in poll_thread.end()}


class PollThread:
    """A thread that reads the probes of several targets, each when it is due."""

    def __init__(self, targets: Iterable[PollTarget]) -> None:
        self._due = [(0, number, watch) for number, watch in enumerate(targets)]
        self._reading: PollTarget | None = None
        self._since_ns = 0
        self._over = False
        self._thread = threading.Thread(target=self._run, name="poll_thread", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still reads."""
        return self._thread.is_alive() and not (self._over and self._reading is None)

    @property
    def is_stuck(self) -> bool:
        """Whether the current read is too long for the other targets to wait."""
        reading_for_ns = time.monotonic_ns() - self._since_ns
        return self.alive and self._reading is not None and reading_for_ns > STUCK_SECONDS * 1e9

    @property
    def waiting(self) -> bool:
        """Whether other targets wait for a read."""
        return bool(self._due)

    def hand_over_waiting(self) -> list[PollTarget]:
        """Return the waiting targets; this thread ends after its current read."""
        self._over = True
        taken, self._due = self._due, []
        for _, _, watch in taken:
            watch.restart_time()
        return [watch for _, _, watch in taken]

    def end(self) -> list[tuple[Probe, Callable[[], bool]]]:
        """Stop the thread. If its read hangs, return the probe with a function that returns whether it has ended."""
        self._over = True
        self._thread.join(_END_SECONDS)
        thread, watch = self._thread, self._reading
        return [(watch.probe, lambda: not thread.is_alive())] if thread.is_alive() and watch else []

    def _run(self) -> None:
        began_ns, busy_ns = time.monotonic_ns(), 0
        while self._due and not self._over:
            due_ns, number, watch = self._due[0]
            now_ns = time.monotonic_ns()
            owed_ns = round(busy_ns / MAX_READ_SHARE) - (now_ns - began_ns)
            if owed_ns > _LARGEST_DEBT_NS or now_ns < due_ns:
                time.sleep(min(max(owed_ns, due_ns - now_ns) / 1e9, _LONGEST_SLEEP_SECONDS))
                continue
            heapq.heappop(self._due)
            self._reading, self._since_ns = watch, now_ns
            again_seconds = watch.read()
            if self._over:
                return
            self._reading = None
            ended_ns = time.monotonic_ns()
            busy_ns += ended_ns - now_ns
            if watch.wanted:
                heapq.heappush(self._due, (ended_ns + round(again_seconds * 1e9), number, watch))
