"""Decisions during a run, from samples that come in late: unfinished points, and the end of an idle baseline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.profiling.analysis.precision import sequential_half_width
from agent.profiling.analysis.sequential import FEWEST_REPEATS
from agent.profiling.stopping import AROUND_NS, StoppingRule
from simulated import SECOND, Power, constant
from synthetic_run import PACKAGE, idle, power_steps, read, repeats, window

if TYPE_CHECKING:
    from store.records import Series, Window

WATTS = (100, 104, 98, 102, 100, 106, 96, 101, 103)
JOULES = [watts / 5 for watts in WATTS]
POWER = power_steps((50, 6), *((watts, 2) for watts in WATTS), (50, 60))
WINDOWS = [idle("idle_unloaded", 1, 3), *repeats(tuple(range(6, 26, 2)))]
ONE = "batch=1"
PHASES = ["inference"]
WIDTH = sequential_half_width(JOULES)
WIDE, NARROW = WIDTH * 1.001, WIDTH * 0.999


@dataclass
class Store:
    """Hands out series, from the `late`th question on; before it the samples end at 7 s."""

    power: Power = POWER
    late: int = 0
    until: float = 40
    waited: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def read(self, start_ns: int, end_ns: int, metrics: frozenset[str]) -> tuple[Series, ...]:
        assert "energy_joules" in metrics
        self.asked.append((start_ns, end_ns))
        return (read(PACKAGE, self.power, self.until if len(self.asked) > self.late else 7),)

    def wait(self) -> None:
        self.waited += 1


def rule_of(store: Store, tolerance: float, equivalence: float | None = None, wait: float = 5.0) -> StoppingRule:
    return StoppingRule(store.read, store.wait, PHASES, tolerance, equivalence, longest_wait_seconds=wait)


def test_a_point_is_finished_when_the_interval_of_its_energy_is_within_the_tolerance() -> None:
    assert rule_of(store := Store(), WIDE).unfinished(WINDOWS, [ONE]) == set()
    assert rule_of(Store(), NARROW).unfinished(WINDOWS, [ONE]) == {ONE}
    assert store.waited == 1
    assert store.asked[0] == (WINDOWS[1].start_ns - AROUND_NS, WINDOWS[1].end_ns + AROUND_NS)


def test_each_repeat_is_read_once() -> None:
    store = Store()
    rule = rule_of(store, WIDE)
    assert rule.unfinished(WINDOWS[:7], [ONE]) == {ONE}
    assert rule.unfinished(WINDOWS, [ONE]) == set()
    assert len(store.asked) == len(JOULES)


def test_many_repeats_are_checked_seldom() -> None:
    store = Store(until=70)
    rule = rule_of(store, 1e-9)
    many = repeats(tuple(range(6, 58, 2)))
    for count in range(10, 26):
        assert rule.unfinished(many[:count], [ONE]) == {ONE}
    assert store.waited == len([10, 12, 15, 18, 22])
    rule.unfinished(many, [ONE, "batch=8"])
    assert store.waited == len([10, 12, 15, 18, 22, 25])


def test_samples_that_are_not_stored_yet_are_waited_for() -> None:
    store = Store(late=2)
    assert rule_of(store, WIDE).unfinished(WINDOWS, [ONE]) == set()
    assert len(store.asked) == len(JOULES) + 2


def test_a_repeat_whose_samples_never_come_is_left_out() -> None:
    left = sequential_half_width(JOULES[1:])
    assert rule_of(Store(late=1), left * 1.001, wait=0.0).unfinished(WINDOWS, [ONE]) == set()
    assert rule_of(Store(late=1), left * 0.999, wait=0.0).unfinished(WINDOWS, [ONE]) == {ONE}


def test_without_sensors_the_interval_is_that_of_the_rate() -> None:
    uneven = repeats((6, 8, 10, 12, 14, 16, 18, 20, 23))
    width = sequential_half_width([5, 5, 5, 5, 5, 5, 5, 10 / 3])
    for tolerance, unfinished in ((width * 1.001, set()), (width * 0.999, {ONE})):
        rule = StoppingRule(lambda _start, _end, _metrics: (), lambda: None, PHASES, tolerance)
        assert rule.unfinished(uneven, [ONE]) == unfinished


def test_a_point_with_few_or_incomplete_repeats_or_no_window_is_unfinished() -> None:
    store = Store(constant(100.0))
    assert StoppingRule(store.read, store.wait, ["inference", "other"], 0.5).unfinished(WINDOWS, [ONE]) == {ONE}
    assert rule_of(store, 0.5).unfinished(WINDOWS[:2], [ONE]) == {ONE}
    assert rule_of(store, 0.5).unfinished(WINDOWS[:FEWEST_REPEATS], [ONE]) == {ONE}
    assert rule_of(store, 0.5).unfinished(WINDOWS, [ONE, "batch=8"]) == {"batch=8"}


def two_points(ratio: float) -> list[Window]:
    """Return windows of two points whose energies change together from repeat to repeat."""
    edges = (6.0, 8.0, 10.0, 12.0, 14.0, 16.0)
    pairs = enumerate(pairwise(edges), 1)
    found = []
    for number, (start, end) in pairs:
        middle = start + (end - start) / (1 + ratio)
        found += [window(number, start, middle), window(number, middle, end, point="batch=8")]
    return found


def test_a_point_that_equals_the_best_one_needs_no_further_repeat() -> None:
    uneven = Power(((8, 50), (2, 60), (2, 80), (2, 40), (9, 90)))
    rule = rule_of(Store(uneven, until=20), 0.01, equivalence=0.05)
    assert rule.unfinished(two_points(1.02), [ONE, "batch=8"]) == {ONE}
    assert rule.equivalent == {"batch=8": ONE}
    apart = rule_of(Store(uneven, until=20), 0.01, equivalence=0.05)
    assert apart.unfinished(two_points(1.5), [ONE, "batch=8"]) == {ONE, "batch=8"}
    assert apart.equivalent == {}


def test_an_equivalent_point_is_the_best_one_of_no_other() -> None:
    uneven = Power(((8, 50), (2, 60), (2, 80), (2, 40), (9, 90)))
    rule = rule_of(Store(uneven, until=20), 0.01, equivalence=0.05)
    rule.equivalent = {ONE: "batch=8"}
    assert rule.unfinished(two_points(1.02), ["batch=8"]) == {"batch=8"}
    assert rule.equivalent == {ONE: "batch=8"}


def test_idle_power_is_known_once_the_interval_of_its_parts_is_narrow() -> None:
    store = Store(constant(50.0), until=9)
    assert rule_of(store, 0.02).is_idle_known(2 * SECOND, 5 * SECOND, 0.5)
    restless = Store(Power(tuple((0.5, 40 + 20 * (number % 3)) for number in range(40))), until=9)
    assert not rule_of(restless, 0.02).is_idle_known(2 * SECOND, 5 * SECOND, 0.5)


def test_idle_power_is_not_known_from_few_parts_or_from_parts_without_samples() -> None:
    store = Store(constant(50.0), until=9)
    assert not rule_of(store, 0.02).is_idle_known(2 * SECOND, round(3.9 * SECOND), 0.5)
    assert not rule_of(replace(store, until=3), 0.02).is_idle_known(2 * SECOND, 5 * SECOND, 0.5)


def test_without_sensors_four_parts_of_idle_time_suffice() -> None:
    rule = StoppingRule(lambda _start, _end, _metrics: (), lambda: None, PHASES, 0.02)
    assert rule.is_idle_known(2 * SECOND, 4 * SECOND, 0.5)
    assert not rule.is_idle_known(2 * SECOND, round(3.9 * SECOND), 0.5)
