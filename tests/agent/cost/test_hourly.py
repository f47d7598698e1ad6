"""An hour of a machine costs its fixed part and the energy of its measured power curve."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cost.hourly import HourlyModel

LINEAR = HourlyModel(1.1986, 0.12, 1.54, ((0.0, 210.0), (1.0, 870.0)), 4890.0)
CURVED = HourlyModel(1.0, 0.5, 1.2, ((0.0, 100.0), (0.25, 300.0), (1.0, 600.0)), 10.0)


@pytest.mark.parametrize(
    ("utilization", "watts"), [(0, 100), (0.125, 200), (0.25, 300), (0.5, 400), (0.625, 450), (1, 600)]
)
def test_power_is_linear_between_measured_loads(utilization, watts):
    assert CURVED.watts(utilization) == pytest.approx(watts)


def test_the_worked_example_costs_its_known_price_a_million_tokens():
    assert 1e6 * LINEAR.per_unit(1) == pytest.approx(0.077, abs=0.0005)
    assert 1e6 * LINEAR.per_unit(0.1) == pytest.approx(0.71, abs=0.005)


def test_an_hour_is_the_fixed_part_and_the_energy_with_its_overhead():
    assert CURVED.energy_per_hour(0.5) == pytest.approx(0.5 * 1.2 * 0.4)
    assert CURVED.per_hour(0.5) == pytest.approx(1.24)
    assert CURVED.per_unit(0.5) == pytest.approx(1.24 / (3600 * 10 * 0.5))


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_unit_of_work_is_cheaper_at_a_higher_utilization(one, other):
    low, high = sorted((one, other))
    assert LINEAR.per_unit(high) <= LINEAR.per_unit(low) * (1 + 1e-12)


@pytest.mark.parametrize("utilization", [-0.1, 1.1, math.nan])
def test_a_utilization_outside_0_to_1_is_refused(utilization):
    with pytest.raises(ValueError, match="utilization"):
        LINEAR.watts(utilization)
    with pytest.raises(ValueError, match="utilization"):
        LINEAR.per_unit(utilization)


def test_no_work_has_no_cost_for_a_unit():
    with pytest.raises(ValueError, match="more than 0"):
        LINEAR.per_unit(0)


@pytest.mark.parametrize(
    "wrong",
    [
        (-1, 0.1, 1, ((0, 1), (1, 2)), 1),
        (1, math.nan, 1, ((0, 1), (1, 2)), 1),
        (1, 0.1, 0.9, ((0, 1), (1, 2)), 1),
        (1, 0.1, 1, ((0, -1), (1, 2)), 1),
        (1, 0.1, 1, ((0, 1), (1, 2)), 0),
        (1, 0.1, 1, ((0.1, 1), (1, 2)), 1),
        (1, 0.1, 1, ((0, 1), (0.9, 2)), 1),
        (1, 0.1, 1, ((0, 1), (0.5, 2), (0.5, 3), (1, 2)), 1),
        (1, 0.1, 1, (), 1),
    ],
)
def test_an_impossible_machine_is_refused(wrong):
    with pytest.raises(ValueError, match=r"negative|must be|does not rise"):
        HourlyModel(*wrong)
