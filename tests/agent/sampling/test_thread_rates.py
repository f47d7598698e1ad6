"""The high rate around the edges of a window, and the CPU budget that limits every rate."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.cpu_budget import BURST_SECONDS, CpuBudget
from simulated_reads import MS, Host, Probe, beats

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    assert used_ns <= share * passed_ns + BURST_SECONDS * 1e9 + 2 * cost_ns
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


def test_reads_that_wait_for_a_second_use_the_reserved_part_of_the_budget() -> None:
    """An edge of seconds must not stop the reads of all other sensors, whose gaps would make the window invalid."""
    host = Host()
    gauge, counter = Probe(host, name="hwmon"), Probe(host, lambda _: 6 * MS)
    budget = CpuBudget(0.05, host.clock)
    budget.meter = lambda: SpentCpu(budget, [counter], 6 * MS)  # type: ignore[method-assign]
    made, _, _ = beats(host, counter, gauge, period_ns=100 * MS, high_ns=20 * MS, stop_after=200, budget=budget)
    second = made.readers[1]
    made.remove(second)
    second.periods_ns = (100 * MS, 100 * MS)
    made.add(second)
    made.high_rate_until(host.now_ns + 60_000 * MS)
    made.run()
    assert max(after - before for before, after in pairwise(gauge.starts)) < 1_300 * MS
    assert host.now_ns - gauge.starts[-1] < 1_300 * MS


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
    assert budget.pause_ns(reserved=True) == round(BURST_SECONDS / 0.1 * 1e9)


def test_reads_missed_after_a_pause_for_the_budget_are_missed_and_not_throttled() -> None:
    host = Host()
    budget, pauses_ns = CpuBudget(0.05, host.clock), [5 * MS]
    budget.pause_ns = lambda **_: pauses_ns.pop() if pauses_ns else 0  # type: ignore[method-assign]
    probe = Probe(host, lambda number: 35 * MS if number == 1 else 0)
    made, (state,), _ = beats(host, probe, period_ns=10 * MS, stop_after=4, budget=budget)
    made.run()
    assert (state.missed, state.throttled) == (2, 0)
