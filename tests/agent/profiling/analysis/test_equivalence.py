"""Points that equal the best one within a margin."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agent.profiling.analysis.equivalence import equivalent_to_best


def series(level, count=20, spread=0.005, seed=0, common=()):
    source = random.Random(seed)
    return {
        repeat: level * source.gauss(1, spread) * (common[repeat - 1] if common else 1)
        for repeat in range(1, count + 1)
    }


def test_points_within_the_margin_are_equivalent_to_the_best_and_others_are_not():
    values = {"a": series(100), "b": series(101, seed=1), "c": series(108, seed=2)}
    assert equivalent_to_best(values, 0.05, least=True) == {"b": "a"}
    assert equivalent_to_best(values, 0.05, least=False) == {}
    assert equivalent_to_best(values, 0.2, least=False) == {"a": "c", "b": "c"}


def test_what_changes_from_repeat_to_repeat_affects_both_points_and_cancels():
    source = random.Random(3)
    common = [source.uniform(0.5, 2) for _ in range(20)]
    values = {"a": series(100, common=common), "b": series(101, seed=1, common=common)}
    assert equivalent_to_best(values, 0.03, least=True) == {"b": "a"}


def test_nothing_is_proved_by_few_or_uneven_repeats():
    few = {"a": series(100, 2), "b": series(100, 2, seed=1)}
    assert equivalent_to_best(few, 0.5, least=True) == {}
    assert equivalent_to_best({}, 0.5, least=True) == {}
    uneven = {"a": series(100, spread=0.2), "b": series(100, spread=0.2, seed=1)}
    assert equivalent_to_best(uneven, 0.02, least=True) == {}
    apart = {"a": series(100, 3), "b": {repeat + 10: value for repeat, value in series(100, 3).items()}}
    assert equivalent_to_best(apart, 0.5, least=True) == {}


@given(st.floats(1.2, 5.0), st.integers(0, 20))
def test_points_further_apart_than_the_margin_are_never_equivalent(ratio, seed):
    values = {"a": series(100, seed=seed), "b": series(100 * ratio, seed=seed + 100)}
    assert equivalent_to_best(values, 0.1, least=True) == {}


def test_points_at_the_margin_are_seldom_called_equivalent():
    wrong = sum(
        bool(equivalent_to_best({"a": series(100, seed=seed), "b": series(102, seed=seed + 1000)}, 0.02, least=True))
        for seed in range(200)
    )
    assert wrong <= 10
