"""Numbers for people: whole, short, and never better than they are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.render.tables import number, percent, plain, spread, table, wrapped


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
def test_a_printed_number_is_the_value_to_its_digits(value: float, digits: int) -> None:
    prefixes = {"p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    shown, _, unit = number(value, "J", digits).partition(" ")
    assert 1 <= float(shown) < 1000
    assert float(shown) * prefixes[unit.removesuffix("J")] == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ((2.0, 1.0, 3.0), "±50 %"),
        ((100.0, 95.0, 104.0), "±5.0 %"),
        ((2.0, 0.0, 4.0), "0 to 4.00"),
        ((0.00277, 0.0, 0.00737), "0 to 0.00737"),
        ((2.0, 1.9, 5.0), "1.90 to 5.00"),
        ((0.0, -1.0, 1.0), "-1.00 to 1.00"),
        ((-2.0, -3.0, -1.0), "±50 %"),
        ((2.0, 1.99999, 2.00001), "±0.1 %"),
        ((2.0, 2.0, 2.0), "±0 %"),
        ((2.0, 1.0, None), "1.00 or more"),
        ((2.0, None, 3.0), "up to 3.00"),
        ((2.0, None, None), ""),
    ],
)
def test_symmetric_bounds_are_a_percentage_and_others_have_both_ends(
    bounds: tuple[float, float | None, float | None], shown: str
) -> None:
    assert spread(*bounds) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0 %"),
        (1e-9, "< 0.1 %"),
        (0.0006, "0.1 %"),
        (0.0123, "1.2 %"),
        (0.0996, "10 %"),
        (0.985, "98 %"),
        (0.995, "99.5 %"),
        (0.9999, "> 99.9 %"),
        (1.0, "100 %"),
        (1.5, "150 %"),
    ],
)
def test_a_share_is_shown_as_0_or_100_percent_only_if_it_is(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.6271, "0.627"),
        (0.9996, "1.00"),
        (-4.0, "-4.00"),
        (1000.0, "1,000"),
        (1546.0, "1,550"),
        (123_456.0, "123,000"),
        (0.0000123, "0.0000123"),
        (0.0000012, "1.20e-06"),
    ],
)
def test_a_plain_number_has_three_digits_and_no_prefix(value: float | None, shown: str) -> None:
    assert plain(value) == shown


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_a_plain_number_is_the_value_to_three_digits(value: float) -> None:
    assert float(plain(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_plain_bounds_have_no_unit() -> None:
    assert spread(2.0, 0.0, 4.0) == "0 to 4.00"
    assert spread(2.0, 1.0, 3.0) == "±50 %"
    assert spread(2.0, None, 2500.0) == "up to 2,500"


def test_columns_are_as_wide_as_their_widest_cell_and_lines_have_no_trailing_space() -> None:
    shown = table(("NAME", "JOULES>", "WHY"), [("a", "1", "because"), ("longer", "12345678", "")])
    assert shown == "NAME      JOULES  WHY\na              1  because\nlonger  12345678"


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(("NAME", "JOULES>"), []) == "NAME  JOULES"


def test_a_table_wider_than_the_terminal_continues_below_with_its_first_column() -> None:
    columns, row = ("POINT", "FIRST>", "SECOND>", "THIRD"), ("a", "1", "22", "333")
    parts = ["POINT  FIRST  SECOND\na          1      22", "POINT  THIRD\na      333"]
    assert table(columns, [row], 20) == "\n\n".join(parts)
    assert table(columns, [row], 27) == "POINT  FIRST  SECOND  THIRD\na          1      22  333"


def test_a_column_that_is_wider_than_the_terminal_is_shown_whole() -> None:
    assert table(("A", "B"), [("1", "x" * 9)], 4) == "A  B\n1  xxxxxxxxx"


def test_a_cell_cannot_break_its_row() -> None:
    assert table(("A",), [("one\ntwo",)]) == "A\none\\ntwo"


def test_a_paragraph_is_indented_after_its_first_line_and_keeps_a_percentage_whole() -> None:
    assert wrapped("one two of 30 % only", 14, 4, "La") == "La  one two of\n    30 % only"
    assert wrapped("one two", 5, 2) == "one\n  two"
