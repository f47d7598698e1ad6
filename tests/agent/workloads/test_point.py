"""Points of a sweep: their order, their names, and their form in stored windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.point import decode_point, encode_point, point_name, points_of

VALUES = st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)


def test_a_sweep_is_the_product_of_its_values_in_declared_order():
    points = points_of({"batch": (1, 8), "precision": ("fp32", "int8")})
    assert [point_name(point) for point in points] == [
        "batch=1 precision=fp32",
        "batch=1 precision=int8",
        "batch=8 precision=fp32",
        "batch=8 precision=int8",
    ]


def test_a_name_shows_each_type_as_it_is_typed():
    assert point_name({"precision": "int8", "rate": 0.5, "cached": True}) == "precision=int8 rate=0.5 cached=true"


@given(st.dictionaries(st.text(min_size=1), VALUES, min_size=1))
def test_a_stored_point_keeps_its_parameters_their_types_and_their_order(point):
    found = decode_point(encode_point(point))
    assert list(found.items()) == list(point.items())
    assert list(map(type, found.values())) == list(map(type, point.values()))


@pytest.mark.parametrize("batch", [1, 8, 1 << 20])
def test_a_point_of_a_run_stored_by_the_first_version_is_read(batch):
    assert decode_point(f"batch={batch}") == {"batch": batch}
