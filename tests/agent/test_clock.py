from __future__ import annotations

import time

from agent.clock import Timebase

SECOND_NS = 1_000_000_000


class Clocks:
    """A wall clock that is always 1000 s ahead of a monotonic one; reading the wall clock takes `waits` in turn."""

    def __init__(self, *waits_ns: int) -> None:
        self._waits_ns = list(waits_ns)
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        return self._now_ns

    def wall_ns(self) -> int:
        wait_ns = self._waits_ns.pop(0) if self._waits_ns else SECOND_NS
        self._now_ns += wait_ns  # the thread waited for a processor after it had read the clock
        return self._now_ns - wait_ns + 1000 * SECOND_NS


def test_the_offset_is_of_the_try_in_which_both_clocks_were_read_together() -> None:
    clocks = Clocks(SECOND_NS, SECOND_NS, 20, SECOND_NS, SECOND_NS)
    found = Timebase.now(clocks.wall_ns, clocks.monotonic_ns)
    assert abs(found.offset_ns - 1000 * SECOND_NS) <= 20


def test_now_is_the_wall_clock_s_now() -> None:
    before = time.time_ns()
    found = Timebase.now().now_ns()
    assert before - 1_000_000 <= found <= time.time_ns() + 1_000_000


def test_a_wall_clock_that_is_set_moves_no_moment_and_is_noticed() -> None:
    now = Timebase.now()
    assert abs(now.behind_ns()) < SECOND_NS / 10
    before_it_was_set = Timebase(now.offset_ns - 3600 * SECOND_NS)
    assert before_it_was_set.unix_ns(5) == before_it_was_set.offset_ns + 5
    assert abs(before_it_was_set.behind_ns() - 3600 * SECOND_NS) < SECOND_NS
    assert Timebase(now.offset_ns + 3600 * SECOND_NS).behind_ns() < 0
