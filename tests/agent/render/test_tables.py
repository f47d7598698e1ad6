"""Numbers for people: whole, short, and never better than they are."""

from __future__ import annotations

import math
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.render.tables import number, percent, show, spread


@pytest.mark.parametrize(
    ("value", "unit", "digits", "shown"),
    [
        (None, "J", 3, "-"),
        (math.nan, "J", 3, "-"),
        (math.inf, "J", 3, "inf J"),
        (0.0, "J", 3, "0 J"),
        (-0.0, "", 3, "0"),
        (0.00123, "J", 3, "1.23 mJ"),
        (-0.00123, "J", 3, "-1.23 mJ"),
        (999.4, "J", 3, "999 J"),
        (999.95, "J", 3, "1 kJ"),
        (999.95, "J", 4, "1 kJ"),
        (999.5, "J", 4, "999.5 J"),
        (-999.96, "J", 3, "-1 kJ"),
        (0.9996, "s", 3, "1 s"),
        (1000.0, "W", 3, "1 kW"),
        (2450.4, "", 3, "2.45 k"),
        (1e12, "J", 3, "1 TJ"),
        (1e-12, "J", 3, "1 pJ"),
        (1e15, "J", 3, "1e+15 J"),
        (1e-15, "J", 3, "1e-15 J"),
        (5e-324, "J", 3, "4.94066e-324 J"),
    ],
)
def test_a_number_has_a_prefix_and_three_digits(value: float | None, unit: str, digits: int, shown: str) -> None:
    assert number(value, unit, digits) == shown


@given(st.floats(min_value=1e-11, max_value=9e14), st.integers(3, 6))
def test_what_is_shown_is_the_number_to_its_digits(value: float, digits: int) -> None:
    prefixes = {"p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    shown, _, unit = number(value, "J", digits).partition(" ")
    assert 1 <= float(shown) < 1000
    assert float(shown) * prefixes[unit.removesuffix("J")] == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ((2.0, 1.0, 3.0), "±50 %"),
        ((100.0, 95.0, 104.0), "±5.0 %"),
        ((2.0, 0.0, 4.0), "0 J to 4 J"),
        ((0.00277, 0.0, 0.00737), "0 J to 7.37 mJ"),
        ((2.0, 1.9, 5.0), "1.9 J to 5 J"),
        ((0.0, -1.0, 1.0), "-1 J to 1 J"),
        ((-2.0, -3.0, -1.0), "±50 %"),
        ((2.0, 1.99999, 2.00001), "±0.1 %"),
        ((2.0, 2.0, 2.0), "±0 %"),
        ((2.0, 1.0, None), "1 J or more"),
        ((2.0, None, 3.0), "up to 3 J"),
        ((2.0, None, None), ""),
    ],
)
def test_bounds_are_a_share_where_that_says_it_and_both_ends_where_not(
    bounds: tuple[float, float | None, float | None], shown: str
) -> None:
    assert spread(*bounds, "J") == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "0 %"), (1e-9, "0.1 %"), (0.0123, "1.2 %"), (0.0996, "10 %"), (1.5, "150 %")]
)
def test_a_share_that_is_not_nothing_is_not_shown_as_nothing(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_where_they_end() -> None:
    stream = StringIO()
    show(("NAME", "JOULES>", "WHY"), [("a", "1", "because"), ("longer", "12345678", "")], stream)
    assert stream.getvalue() == "NAME      JOULES  WHY\na              1  because\nlonger  12345678\n"


def test_a_table_without_rows_is_its_headings() -> None:
    stream = StringIO()
    show(("NAME", "JOULES>"), [], stream)
    assert stream.getvalue() == "NAME  JOULES\n"
