"""Student's t, compared with printed tables and with values of another method."""

from __future__ import annotations

import itertools

import pytest

from agent.energy.student import t_beyond, t_quantile

# Two-sided 95 % points of Student's t as printed in statistical tables, three decimals.
PRINTED = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 20: 2.086, 29: 2.045, 30: 2.042}
PRINTED |= {40: 2.021, 60: 2.000, 80: 1.990, 100: 1.984, 120: 1.980, 1000: 1.962}
# The same to ten decimals, by inverting the incomplete beta function with 30 digits.
EXACT = {1: 12.7062047362, 2: 4.3026527297, 3: 3.1824463053, 4: 2.7764451052, 9: 2.2621571628, 30: 2.0422724563}
EXACT |= {99: 1.9842169516, 100: 1.9839715185, 120: 1.9799304051, 1000: 1.9623390808, 10**6: 1.9599663568}


@pytest.mark.parametrize(("degrees", "printed"), PRINTED.items())
def test_the_quantile_is_the_one_of_the_tables(degrees: int, printed: float) -> None:
    assert round(t_quantile(degrees), 3) == printed


@pytest.mark.parametrize(("degrees", "exact"), EXACT.items())
def test_the_quantile_is_exact_on_both_sides_of_the_change_of_method(degrees: int, exact: float) -> None:
    assert t_quantile(degrees) == pytest.approx(exact, abs=1e-9)


def test_the_quantile_falls_towards_the_normal_one() -> None:
    quantiles = [t_quantile(degrees) for degrees in range(1, 250)]
    assert all(later < earlier for earlier, later in itertools.pairwise(quantiles))
    assert quantiles[-1] > 1.959963984540054


def test_zero_degrees_of_freedom_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="at least 1 degree of freedom, not 0"):
        t_quantile(0)


def test_the_probability_beyond_a_quantile_is_5_percent() -> None:
    for degrees in (1, 2, 3, 10, 99):
        assert t_beyond(-t_quantile(degrees), degrees) == pytest.approx(0.05, abs=1e-9)


def test_zero_degrees_of_freedom_have_no_probability() -> None:
    with pytest.raises(ValueError, match="at least 1 degree of freedom, not 0"):
        t_beyond(1.0, 0)
