"""One-sided limits of a share, against published values and the sum of the distribution."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.profiling.analysis.binomial import lower_limit, trials_without_miss, upper_limit


@pytest.mark.parametrize(
    ("successes", "trials", "limit"),
    [
        (0, 20, 0.0),
        (1, 10, 0.0051),  # tables of the one-sided 95 % limits of Clopper and Pearson
        (5, 10, 0.2224),
        (8, 10, 0.4931),
        (10, 10, 0.7411),
        (19, 20, 0.7839),
    ],
)
def test_lower_limits_are_those_of_the_tables(successes: int, trials: int, limit: float) -> None:
    assert lower_limit(successes, trials) == pytest.approx(limit, abs=5e-5)


def test_without_a_miss_the_limit_is_the_root_of_five_percent() -> None:
    for trials in (1, 29, 299, 100_000):
        assert lower_limit(trials, trials) == pytest.approx(0.05 ** (1 / trials), rel=1e-12)


def test_the_upper_limit_of_no_success_follows_the_rule_of_three() -> None:
    assert upper_limit(0, 1000) == pytest.approx(3 / 1000, rel=0.01)
    assert upper_limit(1, 20) == pytest.approx(1 - lower_limit(19, 20))


@given(st.integers(1, 300).flatmap(lambda trials: st.tuples(st.integers(1, trials), st.just(trials))))
def test_at_the_limit_as_many_successes_or_more_have_five_percent(counts: tuple[int, int]) -> None:
    successes, trials = counts
    share = lower_limit(successes, trials)
    tail = sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(successes, trials + 1))
    assert tail == pytest.approx(0.05, rel=1e-8)
    assert share < successes / trials


def test_many_trials_have_a_limit_close_to_that_of_the_normal_distribution() -> None:
    share, trials = 0.99, 1_000_000
    normal = share - 1.6448536 * (share * (1 - share) / trials) ** 0.5
    assert lower_limit(round(share * trials), trials) == pytest.approx(normal, abs=2e-6)


def test_the_fewest_trials_that_can_show_a_share() -> None:
    assert [trials_without_miss(share) for share in (0.9, 0.95, 0.99)] == [29, 59, 299]


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_without_trials_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        lower_limit(successes, trials)
