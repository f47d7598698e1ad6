"""How close the means of a run are known while it is on, from samples that come in late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from agent.profiling.analysis.precision import half_width
from agent.profiling.stopping import AROUND_NS, StoppingRule
from simulated import constant
from synthetic_run import PACKAGE, idle, power_steps, read, repeats

if TYPE_CHECKING:
    from store.records import Series

POWER = power_steps((90, 8), (100, 2), (110, 30))
WINDOWS = [idle("idle_unloaded", 1, 3), *repeats((6, 8, 10, 12))]


@dataclass
class Store:
    """Hands out series, from the `late`th question on; before it the samples end at 7 s."""

    power: object = POWER
    late: int = 0
    waited: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def read(self, start_ns: int, end_ns: int, metrics: frozenset[str]) -> tuple[Series, ...]:
        assert "energy_joules" in metrics
        self.asked.append((start_ns, end_ns))
        return (read(PACKAGE, self.power, 14 if len(self.asked) > self.late else 7),)

    def wait(self) -> None:
        self.waited += 1


def test_the_half_width_belongs_to_the_energy_of_the_repeats() -> None:
    store = Store()
    found = StoppingRule(store.read, store.wait, ["inference"])(WINDOWS)
    assert found == {"batch=1": pytest.approx(half_width([18, 20, 22]))}
    assert store.waited == 1
    assert store.asked[0] == (WINDOWS[1].start_ns - AROUND_NS, WINDOWS[1].end_ns + AROUND_NS)


def test_each_repeat_is_read_once() -> None:
    store = Store()
    rule = StoppingRule(store.read, store.wait, ["inference"])
    assert rule(WINDOWS[:3]) == {"batch=1": pytest.approx(half_width([18, 20]))}
    assert rule(WINDOWS) == {"batch=1": pytest.approx(half_width([18, 20, 22]))}
    assert len(store.asked) == 3


def test_samples_that_are_not_stored_yet_are_waited_for() -> None:
    store = Store(late=2)
    found = StoppingRule(store.read, store.wait, ["inference"])(WINDOWS[:3])
    assert found == {"batch=1": pytest.approx(half_width([18, 20]))}
    assert len(store.asked) == 4


def test_a_repeat_whose_samples_never_come_is_left_out() -> None:
    store = Store(late=1)
    found = StoppingRule(store.read, store.wait, ["inference"], longest_wait_seconds=0.0)(WINDOWS)
    assert found == {"batch=1": pytest.approx(half_width([20, 22]))}


def test_without_sensors_the_half_width_belongs_to_the_rate() -> None:
    rule = StoppingRule(lambda _start, _end, _metrics: (), lambda: None, ["inference"])
    uneven = repeats((6, 8, 10, 13))
    assert rule(uneven) == {"batch=1": pytest.approx(half_width([5, 5, 10 / 3]))}


def test_the_half_width_of_one_or_of_an_incomplete_repeat_is_unknown() -> None:
    store = Store(constant(100.0))
    rule = StoppingRule(store.read, store.wait, ["inference", "other"])
    assert rule(WINDOWS) == {"batch=1": None}
    assert StoppingRule(store.read, store.wait, ["inference"])(WINDOWS[:2]) == {"batch=1": None}
