"""The cycles of a sampling thread, on a simulated clock with simulated waits, so that every count is exact."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.clock import Timebase
from agent.runtime.cpu_budget import BURST_SECONDS, CpuBudget
from agent.runtime.realtime import Realtime
from agent.sampling.probe_reader import SLOW_READS, ProbeHealth, ProbeReader
from agent.sampling.thread import LATE_NS, SamplingThread, Wakeup
from probes.errors import DeviceLostError
from probes.model import Channel, Device, Kind, Rejection
from store.records import Layout
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from store.records import Tick

MS = 1_000_000
CHANNEL = Channel(Device("package-0", Kind.CPU), "package", "energy_joules")


@dataclass
class Host:
    """A clock that moves only during waits and reads; a wait ends `overslept` nanoseconds late."""

    now_ns: int = 5_000_000_123
    overslept: list[int] = field(default_factory=list)
    waits: int = 0
    during: dict[int, Callable[[], None]] = field(default_factory=dict)

    def clock(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        """Act as the wakeup: let the time pass, and run the event of this wait half-way through it."""
        happening = self.during.pop(self.waits, None)
        late_ns = self.overslept[self.waits] if self.waits < len(self.overslept) else 0
        self.waits += 1
        if happening:
            self.now_ns += round(seconds * 1e9 / 2)
            happening()
        else:
            self.now_ns += round(seconds * 1e9) + late_ns

    def set(self) -> None:
        pass


class Probe:
    """A read takes `takes_ns` of its number; the start of each is recorded."""

    channels = (CHANNEL,)
    files_only = True

    def __init__(self, host: Host, takes_ns: Callable[[int], int] = lambda _: 0, name: str = "rapl") -> None:
        self.name = name
        self.rejections: list[Rejection] = []
        self.starts: list[int] = []
        self._host = host
        self._takes_ns = takes_ns

    def read(self, at_ns: int) -> Sequence[float]:
        self.starts.append(at_ns)
        self._host.now_ns += self._takes_ns(len(self.starts) - 1)
        return (1.0,)

    def close(self) -> None:
        pass


def beats(
    host: Host, *probes: Probe, period_ns: int = MS, high_ns: int | None = None, stop_after: int = 10, **more
) -> tuple[SamplingThread, list[ProbeHealth], deque[Tick]]:
    """A sampling thread that ends after a number of reads of its first probe."""
    queue: deque[Tick] = deque()
    periods_ns = (period_ns, high_ns or period_ns)
    states = [ProbeHealth(probe.name, period_ns / 1e9) for probe in probes]
    readers = [
        ProbeReader(
            Layout(n, probe.name, probe.channels), probe, state, Timebase(0), queue, 10_000, periods_ns, host.clock
        )
        for n, (probe, state) in enumerate(zip(probes, states, strict=True))
    ]
    made = SamplingThread("test", readers, clock=host.clock, wakeup=host, **more)
    read, first = probes[0].read, probes[0]

    def counted(at_ns: int) -> Sequence[float]:
        values = read(at_ns)
        if len(first.starts) >= stop_after:
            made.ask_to_stop()
        return values

    probes[0].read = counted
    return made, states, queue


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


def test_the_high_rate_begins_with_an_immediate_read_and_ends_at_its_time() -> None:
    host = Host()
    probe = Probe(host)
    made, (state,), _ = beats(host, probe, period_ns=100 * MS, high_ns=MS, stop_after=9)
    host.during = {1: lambda: made.high_rate_until(host.now_ns + round(2.5 * MS))}
    made.run()
    steps = [(after - before) / MS for before, after in pairwise(probe.starts)]
    assert steps == [100.0, 50.0, 1.0, 1.0, 1.0, 100.0, 100.0, 100.0]
    assert (state.missed, state.late) == (0, 0)


def test_a_later_call_extends_or_shortens_the_high_rate() -> None:
    host = Host()
    probe = Probe(host)
    made, _, _ = beats(host, probe, period_ns=100 * MS, high_ns=10 * MS, stop_after=8)
    host.during = {
        0: lambda: made.high_rate_until(host.now_ns + 15 * MS),
        2: lambda: made.high_rate_until(host.now_ns + 1_000 * MS),
        6: lambda: made.high_rate_until(host.now_ns + 1 * MS),
    }
    made.run()
    steps = [(after - before) / MS for before, after in pairwise(probe.starts)]
    assert steps[:2] == [50.0, 10.0]
    assert 10.0 in steps[2:5]
    assert steps[-1] == 100.0


def test_a_high_rate_equal_to_the_base_rate_changes_nothing() -> None:
    host = Host()
    probe = Probe(host)
    made, _, _ = beats(host, probe, period_ns=100 * MS, stop_after=3)
    host.during = {0: lambda: made.high_rate_until(host.now_ns + 1_000 * MS)}
    made.run()
    assert [after - before for before, after in pairwise(probe.starts)] == [100 * MS, 100 * MS]


def test_reads_missed_before_the_high_rate_are_counted_at_the_base_rate() -> None:
    host = Host()

    def takes_ns(number: int) -> int:
        if number == 1:
            made.high_rate_until(host.now_ns + 1_000 * MS)
        return 35 * MS if number == 1 else 0

    probe = Probe(host, takes_ns)
    made, (state,), _ = beats(host, probe, period_ns=10 * MS, high_ns=MS, stop_after=4)
    made.run()
    assert [after - before for before, after in pairwise(probe.starts)] == [10 * MS, 35 * MS, MS]
    assert state.missed == 2


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
    host, told = Host(), []
    first, second = Probe(host), Probe(host, name="memory")
    made, states, queue = beats(host, first, second, suspended=lambda: len(first.starts) == 3)
    host.during = {9: made.ask_to_stop}
    made.on_cycle = told.append
    made.run()
    assert (len(first.starts), len(second.starts), len(queue)) == (3, 2, 5)
    assert states[1].failed == states[0].failed + 1 > 3
    assert not any(state.up or state.lost for state in states)
    assert len(told) == 2 + states[1].failed


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


class SpentCpu:
    """A budget meter whose thread uses `share` of the time that passes on the simulated clock while it reads."""

    def __init__(self, budget: CpuBudget, probes: Sequence[Probe], cost_ns: int) -> None:
        self._budget, self._probes, self._cost_ns, self._seen = budget, probes, cost_ns, 0

    def charge(self) -> None:
        reads = sum(len(probe.starts) for probe in self._probes)
        self._budget.charge((reads - self._seen) * self._cost_ns)
        self._seen = reads


@given(st.integers(100_000, 20 * MS), st.integers(1, 50), st.sampled_from([0.01, 0.05, 0.3]))
def test_reads_never_use_more_than_the_budget_and_its_burst(cost_ns: int, period_ms: int, share: float) -> None:
    host = Host()
    probe = Probe(host, lambda _: cost_ns)
    budget = CpuBudget(share, host.clock)
    budget.meter = lambda: SpentCpu(budget, [probe], cost_ns)  # type: ignore[method-assign]
    made, (state,), _ = beats(host, probe, period_ns=period_ms * MS, stop_after=60, budget=budget)
    began_ns = host.now_ns
    made.run()
    used_ns, passed_ns = len(probe.starts) * cost_ns, host.now_ns - began_ns
    assert used_ns <= share * passed_ns + 0.03e9 + 2 * cost_ns
    assert state.ticks + state.missed + state.throttled == (probe.starts[-1] - began_ns) // (period_ms * MS) + 1
    assert bool(budget.spans) == bool(state.throttled) or not state.throttled


def test_a_part_of_the_budget_is_reserved_for_reads_at_the_high_rate() -> None:
    host = Host()
    gauge, counter = Probe(host, lambda _: 20 * MS, name="hwmon"), Probe(host, lambda _: MS)
    budget = CpuBudget(0.01, host.clock)
    budget.meter = lambda: SpentCpu(budget, [gauge], 20 * MS)  # type: ignore[method-assign]
    made, states, _ = beats(host, counter, gauge, period_ns=100 * MS, high_ns=5 * MS, stop_after=200, budget=budget)
    second = made.readers[1]
    made.remove(second)
    second.periods_ns = (100 * MS, 100 * MS)
    made.add(second)
    made.high_rate_until(host.now_ns + 10_000 * MS)
    made.run()
    assert len(gauge.starts) <= 4
    assert states[1].throttled > 0
    assert states[0].throttled == 0


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


class CountingProbe(Probe):
    """A probe that can read only its counters."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.kinds: list[str] = []

    def read(self, at_ns: int) -> Sequence[float]:
        self.kinds.append("whole")
        return super().read(at_ns)

    def read_counters(self, at_ns: int) -> Sequence[float]:
        self.kinds.append("counters")
        return super().read(at_ns)


def test_at_the_high_rate_only_counters_are_read_between_complete_reads_at_the_base_rate() -> None:
    host = Host()
    counting = CountingProbe(host)
    made, _, _ = beats(host, Probe(host), counting, period_ns=10 * MS, high_ns=2 * MS, stop_after=16)
    host.during = {1: lambda: made.high_rate_until(host.now_ns + 19 * MS)}
    made.run()
    kinds = "".join(kind[0] for kind in counting.kinds)
    assert kinds == "ww" + "cccc"[:2] + kinds[4:]
    assert kinds.count("c") >= 7
    assert "ccccc" not in kinds
    assert kinds.endswith("www")


def test_the_debt_of_a_budget_is_at_most_one_burst_so_that_pauses_are_bounded() -> None:
    host = Host()
    budget = CpuBudget(0.1, host.clock)
    budget.charge(60_000 * MS)
    assert budget.pause_ns(high_rate=True) == round(BURST_SECONDS / 0.1 * 1e9)


def test_reads_missed_after_a_pause_for_the_budget_are_missed_and_not_throttled() -> None:
    host = Host()
    budget, pauses_ns = CpuBudget(0.05, host.clock), [5 * MS]
    budget.pause_ns = lambda **_: pauses_ns.pop() if pauses_ns else 0  # type: ignore[method-assign]
    probe = Probe(host, lambda number: 35 * MS if number == 1 else 0)
    made, (state,), _ = beats(host, probe, period_ns=10 * MS, stop_after=4, budget=budget)
    made.run()
    assert (state.missed, state.throttled) == (2, 0)
