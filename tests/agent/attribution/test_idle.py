from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agent.attribution.idle import IdleEstimator, IdlePower
from agent.energy.bounds import Energy

SECOND = 10**9


def minute(estimator: IdleEstimator, watts: float, *, drained: bool, at: int = 0) -> None:
    for n in range(1, 13):
        estimator.add(Energy(watts * 5, watts * 4.9, watts * 5.1), 5.0, (at + 5 * n) * SECOND, drained=drained)


def test_idle_power_is_unknown_before_the_first_minute() -> None:
    assert IdleEstimator().power == IdlePower(0.0, 0.0, math.inf)


def test_idle_power_is_bounded_by_the_lowest_minute_before_a_drained_one() -> None:
    estimator = IdleEstimator()
    for watts in (300, 200, 250):
        minute(estimator, watts, drained=False)
    power = estimator.power
    assert (power.watts, power.lower, power.at_ns) == (0, 0, None)
    assert math.isclose(power.upper, 204)


def test_idle_power_is_the_mean_of_drained_minutes_with_the_date_of_the_last() -> None:
    estimator = IdleEstimator()
    for at, watts in enumerate((100, 102)):
        minute(estimator, watts, drained=True, at=60 * at)
    minute(estimator, 300, drained=False, at=120)
    power = estimator.power
    assert power.at_ns == 120 * SECOND
    assert math.isclose(power.watts, 100)  # the mean is 101, but the device drew 100 W in a minute
    assert power.lower < 98.1
    assert power.upper > 104


def test_a_minute_with_any_work_is_not_drained() -> None:
    estimator = IdleEstimator()
    for n in range(12):
        estimator.add(Energy(500, 500, 500), 5.0, n, drained=n != 6)
    assert estimator.power.at_ns is None


def test_an_interrupted_minute_does_not_count() -> None:
    estimator = IdleEstimator()
    for n in range(11):
        estimator.add(Energy(500, 500, 500), 5.0, n, drained=True)
    estimator.interrupt()
    estimator.add(Energy(500, 500, 500), 5.0, 12, drained=True)
    assert estimator.power == IdlePower(0.0, 0.0, math.inf)


@given(st.lists(st.floats(1, 500), min_size=1, max_size=15))
def test_the_bounds_contain_the_power_of_every_counted_drained_minute(watts: list[float]) -> None:
    estimator = IdleEstimator()
    for each in watts:
        minute(estimator, each, drained=True)
    power = estimator.power
    assert all(power.lower <= each * (1 + 1e-9) for each in watts[-10:])
    assert all(each * (1 - 1e-9) <= power.upper for each in watts[-10:])
    assert 0 <= power.lower <= power.watts <= power.upper
