"""The cycles of a sampling thread, on a simulated clock with simulated waits, so that every count is exact."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.realtime import Realtime
from agent.sampling.probe_reader import SLOW_READS, ProbeReader
from agent.sampling.thread import LATE_NS, Wakeup
from probes.errors import DeviceLostError
from simulated_reads import MS, Host, Probe, beats
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Sequence


@given(
    st.integers(100_000, 100 * MS),
    st.lists(st.integers(0, 250 * MS), min_size=2, max_size=40),
    st.lists(st.integers(0, 250 * MS), max_size=40),
)
def test_every_scheduled_read_is_made_or_missed_and_every_late_one_is_counted(
    period_ns: int, takes_ns: list[int], overslept: list[int]
) -> None:
    host = Host(overslept=overslept)
    began_ns = host.now_ns
    probe = Probe(host, lambda number: takes_ns[number])
    made, (state,), _ = beats(host, probe, period_ns=period_ns, stop_after=len(takes_ns))
    made.run()
    slots = [(start - began_ns) // period_ns for start in probe.starts]
    assert slots[0] == 0
    assert all(before < after for before, after in pairwise(slots))
    assert state.ticks == len(takes_ns)
    assert state.ticks + state.missed == slots[-1] + 1
    late = [start for start in probe.starts if (start - began_ns) % period_ns > min(period_ns // 2, LATE_NS)]
    assert state.late == len(late)


@given(st.lists(st.integers(0, 3 * MS), min_size=2, max_size=30), st.integers(0, 2 * MS))
def test_probes_of_one_group_miss_the_same_reads(takes_ns: list[int], other_ns: int) -> None:
    host = Host()
    first, second = Probe(host, lambda number: takes_ns[number]), Probe(host, lambda _: other_ns, name="memory")
    made, states, _ = beats(host, first, second, period_ns=4 * MS, stop_after=len(takes_ns))
    made.run()
    assert len(first.starts) - len(second.starts) == 1  # the stop came during the read of the first one
    assert states[0].missed == states[1].missed


def test_reads_are_on_absolute_deadlines_however_long_they_take() -> None:
    host = Host(overslept=[0, 2 * MS, 0, 9 * MS])
    began_ns = host.now_ns
    probe = Probe(host, lambda _: 15 * MS)
    made, (state,), _ = beats(host, probe, period_ns=40 * MS, stop_after=6)
    made.run()
    late = [start - began_ns - number * 40 * MS for number, start in enumerate(probe.starts)]
    assert late == [0, 0, 2 * MS, 0, 9 * MS, 0]
    assert (state.missed, state.late) == (0, 2)


def test_tick_times_are_whole_microseconds_around_the_read() -> None:
    host = Host(now_ns=1_000_001)
    made, _, queue = beats(host, Probe(host, lambda _: 5_000), stop_after=1)
    made.run()
    assert (queue[0].start_ns, queue[0].end_ns) == (1_000_000, 1_006_000)


def test_a_time_of_whole_microseconds_is_not_rounded() -> None:
    host = Host(now_ns=7_000_000)
    made, _, queue = beats(host, Probe(host, lambda _: 5_000), stop_after=1)
    made.run()
    assert (queue[0].start_ns, queue[0].end_ns) == (7_000_000, 7_005_000)


def test_a_repeatedly_slow_probe_moves_and_the_others_retain_their_schedule() -> None:
    host, apart = Host(), list[ProbeReader]()
    quick, slow = Probe(host), Probe(host, lambda _: 60 * MS, name="hwmon/slow")

    def hand_over(reader: ProbeReader) -> None:
        apart.append(reader)
        made.remove(reader)

    made, states, _ = beats(host, quick, slow, period_ns=200 * MS, stop_after=20, slow=hand_over)
    made.run()
    assert [reader.probe for reader in made.readers] == [quick]
    assert [reader.probe for reader in apart] == [slow]
    assert (len(slow.starts), states[0].ticks, states[0].missed) == (SLOW_READS, 20, 0)


def test_slow_reads_are_counted_for_each_probe_and_not_for_their_thread() -> None:
    host, apart = Host(), list[ProbeReader]()
    often = Probe(host, lambda number: 60 * MS if number < SLOW_READS - 1 else 0, name="hwmon/often")
    once = Probe(host, lambda number: 60 * MS if number == SLOW_READS - 1 else 0, name="hwmon/once")
    made, _, _ = beats(host, Probe(host), often, once, period_ns=500 * MS, stop_after=20, slow=apart.append)
    made.run()
    assert apart == []


def test_an_occasionally_slow_probe_does_not_move() -> None:
    host, apart = Host(), list[ProbeReader]()
    slow = Probe(host, lambda number: 0 if number % SLOW_READS == 0 else 60 * MS, name="hwmon/slow")
    made, _, _ = beats(host, Probe(host), slow, period_ns=200 * MS, stop_after=20, slow=apart.append)
    made.run()
    assert apart == []
    assert len(made.readers) == 2


def test_probes_that_are_slow_only_in_total_stay_together() -> None:
    host, apart = Host(), list[ProbeReader]()
    probes = [Probe(host, lambda _: 3 * MS, name=f"hwmon/{number}") for number in range(9)]
    made, _, _ = beats(host, *probes, period_ns=20 * MS, stop_after=20, slow=apart.append)
    made.run()
    assert apart == []


def test_a_probe_in_its_own_thread_may_be_slow() -> None:
    host, apart = Host(), list[ProbeReader]()
    slow = Probe(host, lambda _: 900 * MS)
    made, (state,), _ = beats(host, slow, period_ns=200 * MS, stop_after=10, slow=apart.append)
    made.run()
    assert apart == []
    assert (state.ticks, state.missed) == (10, 9 * 3 + 4)


def test_a_lost_device_is_not_read_again_and_the_others_are() -> None:
    host = Host()
    gone = Probe(host, name="hwmon/gone")
    made, states, _ = beats(host, Probe(host), gone, stop_after=10)

    def vanish(_at_ns: int) -> Sequence[float]:
        gone.starts.append(0)
        raise DeviceLostError("fell off the bus")

    gone.read = vanish
    made.run()
    assert (len(gone.starts), states[1].lost, states[0].ticks) == (1, True, 10)


def test_after_a_suspension_nothing_is_read_and_every_scheduled_read_is_a_failure() -> None:
    host, reported = Host(), []
    first, second = Probe(host), Probe(host, name="memory")
    made, states, queue = beats(host, first, second, suspended=lambda: len(first.starts) == 3)
    host.during = {9: made.ask_to_stop}
    made.on_cycle = reported.append
    made.run()
    assert (len(first.starts), len(second.starts), len(queue)) == (3, 2, 5)
    assert states[1].failed == states[0].failed + 1 > 3
    assert not any(state.up or state.lost for state in states)
    assert len(reported) == 2 + states[1].failed


def test_the_thread_ends_when_every_probe_is_lost() -> None:
    host = Host()
    probe = Probe(host)
    made, (state,), queue = beats(host, probe)

    def vanish(_at_ns: int) -> Sequence[float]:
        raise DeviceLostError("fell off the bus")

    probe.read = vanish
    made.run()
    assert state.lost
    assert not queue


def test_the_reader_that_delays_the_others_is_detected_after_a_second_and_a_period() -> None:
    host, release = Host(), threading.Event()
    first, stuck, last = (Probe(host, name=name) for name in ("rapl", "hwmon/stuck", "memory"))
    made, states, _ = beats(host, first, stuck, last, period_ns=10 * MS)
    read = stuck.read
    stuck.read = lambda at_ns: release.wait(60) and read(at_ns)
    made.start()
    await_true(lambda: states[1].reading_since_ns)
    assert made.stuck_reader(host.now_ns + 900 * MS) is None
    assert made.stuck_reader(host.now_ns + 1_100 * MS).probe is stuck
    made.ask_to_stop()
    assert [reader.probe for reader in made.join(0.01)] == [stuck]
    release.set()
    assert made.join(10.0) == ()
    assert (len(first.starts), len(stuck.starts), last.starts) == (1, 1, [])


def test_groups_of_different_periods_share_a_thread_with_their_own_deadlines() -> None:
    host = Host()
    quick, slow = Probe(host), Probe(host, name="memory")
    made, _, _ = beats(host, quick, slow, period_ns=10 * MS, stop_after=11)
    second = made.readers[1]
    made.remove(second)
    second.periods_ns = (40 * MS, 40 * MS)
    made.add(second)
    made.run()
    assert [after - before for before, after in pairwise(quick.starts)] == [10 * MS] * 10
    assert [after - before for before, after in pairwise(slow.starts)] == [40 * MS] * 2


def test_the_thread_determines_its_own_scheduling() -> None:
    host, threads = Host(), list[threading.Thread]()
    got = Realtime("fifo", 1, 3, "")

    def enter() -> Realtime:
        threads.append(threading.current_thread())
        return got

    made, _, _ = beats(host, Probe(host), stop_after=1, enter=enter)
    made.start()
    assert made.join(10.0) == ()
    assert made.realtime is got
    assert threads[0] is not threading.current_thread()


def test_a_set_ends_the_wait_in_progress_or_the_next_one() -> None:
    wakeup = Wakeup()
    waiting = threading.Thread(target=wakeup.wait, args=(60.0,))
    waiting.start()
    wakeup.set()
    waiting.join(10)
    assert not waiting.is_alive()
    wakeup.set()
    wakeup.set()
    before = time.monotonic()
    wakeup.wait(60.0)
    assert time.monotonic() - before < 10


def test_a_wait_without_a_set_lasts_its_full_time() -> None:
    wakeup = Wakeup()
    for seconds in (0.002, 0.02):
        before = time.monotonic()
        wakeup.wait(seconds)
        assert time.monotonic() - before >= seconds
