from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon.supervision import clock_step_ns
from agent.runtime.clock import SuspendDetector, Timebase

SECOND_NS = 1_000_000_000


class Clocks:
    """A wall clock 1000 s ahead of a monotonic one, on a host suspended for a minute; readings take `waits` in turn."""

    def __init__(self, *waits_ns: int) -> None:
        self._waits_ns = list(waits_ns)
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        return self._now_ns

    def boot_ns(self) -> int:
        return self._now_ns + 60 * SECOND_NS

    def wall_ns(self) -> int:
        wait_ns = self._waits_ns.pop(0) if self._waits_ns else SECOND_NS
        self._now_ns += wait_ns  # the thread waited for a CPU after it had read the clock
        return self._now_ns - wait_ns + 1000 * SECOND_NS


def test_the_offset_comes_from_the_try_with_the_least_time_between_the_clocks() -> None:
    clocks = Clocks(SECOND_NS, SECOND_NS, 20, SECOND_NS, SECOND_NS)
    found = Timebase.now(clocks.wall_ns, clocks.monotonic_ns, clocks.boot_ns)
    assert abs(found.offset_ns - 1000 * SECOND_NS) <= 20
    assert abs(found.suspended_ns - 60 * SECOND_NS) <= 20


def test_now_equals_the_wall_clock() -> None:
    before = time.time_ns()
    found = Timebase.now().now_ns()
    assert before - 1_000_000 <= found <= time.time_ns() + 1_000_000


def test_a_step_of_the_wall_clock_moves_no_time_and_is_detected() -> None:
    now = Timebase.now()
    assert abs(now.wall_clock_offset_ns()) < SECOND_NS / 10
    before_it_was_set = Timebase(now.offset_ns - 3600 * SECOND_NS)
    assert before_it_was_set.unix_ns(5) == before_it_was_set.offset_ns + 5
    assert abs(before_it_was_set.wall_clock_offset_ns() - 3600 * SECOND_NS) < SECOND_NS
    assert Timebase(now.offset_ns + 3600 * SECOND_NS).wall_clock_offset_ns() < 0


def test_boot_time_does_not_depend_on_the_wall_clock() -> None:
    early, late = Timebase(7 * SECOND_NS, 2 * SECOND_NS), Timebase(-900 * SECOND_NS, 2 * SECOND_NS)
    assert early.boot_ns(early.unix_ns(5)) == late.boot_ns(late.unix_ns(5)) == 5 + 2 * SECOND_NS


def test_a_suspension_is_reported_once() -> None:
    woken, slept_ns = [], [3 * SECOND_NS]
    awake = SuspendDetector(Timebase(0, 3 * SECOND_NS), lambda: woken.append(1), lambda: slept_ns[0], lambda: 0)
    assert not awake.suspended()
    slept_ns[0] += SECOND_NS
    assert awake.suspended()
    assert awake.suspended()
    assert woken == [1]


def test_a_wait_for_a_cpu_between_two_clocks_is_not_a_suspension() -> None:
    moments = iter((0, 60 * SECOND_NS))  # a minute passed between the readings of the two clocks
    assert not SuspendDetector(Timebase(0), pytest.fail, lambda: next(moments), lambda: next(moments)).suspended()


@dataclass
class Host:
    """A host whose clocks the test sets, and a service that checks them once a second, as the daemon does.

    `read_at` are the moments of every read on CLOCK_MONOTONIC, `stamped` the Unix times they got, one list a recording.
    """

    monotonic_ns: int = 0
    set_by_ns: int = 0
    slept_ns: int = 0
    read_at: list[list[int]] = field(default_factory=list)
    stamped: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin()

    def timebase(self) -> Timebase:
        return Timebase.now(
            lambda: self.monotonic_ns + self.set_by_ns + self.slept_ns,
            lambda: self.monotonic_ns,
            lambda: self.monotonic_ns + self.slept_ns,
        )

    def begin(self) -> None:
        self.base = self.timebase()
        self.awake = SuspendDetector(
            self.base, self.begin, lambda: self.monotonic_ns + self.slept_ns, lambda: self.monotonic_ns
        )
        self.read_at.append([])
        self.stamped.append([])

    def second(self, reads: int) -> None:
        for _ in range(reads):
            self.monotonic_ns += SECOND_NS // reads
            if self.awake.suspended():  # the next is read in a new recording
                continue
            self.read_at[-1].append(self.monotonic_ns)
            self.stamped[-1].append(self.base.unix_ns(self.monotonic_ns))
        if clock_step_ns(self.base, self.timebase()):
            self.begin()


changes = st.tuples(st.sampled_from(("set", "sleep", "nothing")), st.integers(-(10**18), 10**18), st.integers(1, 5))


@given(st.lists(changes, max_size=30))
def test_clock_steps_do_not_change_the_intervals_between_reads(
    history: list[tuple[str, int, int]],
) -> None:
    host = Host()
    for change, by_ns, reads in history:
        if change == "set":
            host.set_by_ns += by_ns
        if change == "sleep":
            host.slept_ns += abs(by_ns) + SECOND_NS
        host.second(reads)
    suspended = sum(change == "sleep" for change, _, _ in history)
    assert sum(map(len, host.stamped)) == sum(reads for _, _, reads in history) - suspended
    for read_at, stamped in zip(host.read_at, host.stamped, strict=True):
        distances = [after - before for before, after in pairwise(read_at)]
        assert [after - before for before, after in pairwise(stamped)] == distances
    if not clock_step_ns(host.base, host.timebase()):
        assert abs(host.base.unix_ns(0) - host.timebase().unix_ns(0)) <= SECOND_NS // 2
