from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import columns

NANS = st.sampled_from((0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001)).map(
    lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
)
ANY = st.one_of(st.floats(), NANS)
MICROJOULES = st.lists(st.integers(0, 10**14), max_size=30).map(lambda drawn: [each / 1e6 for each in drawn])
COUNTS = st.tuples(st.sampled_from((61035, 15258, 15300)), st.lists(st.integers(0, 2**36), max_size=30)).map(
    lambda drawn: [shown(count, drawn[0]) for count in drawn[1]]
)
RATIOS = st.lists(
    st.tuples(st.one_of(st.integers(0, 100), st.integers(0, 2**53)), st.integers(1, 6400)), max_size=30
).map(lambda drawn: [busy / passed for busy, passed in drawn])
HALVES = st.lists(st.one_of(st.integers(0, 2**40), st.integers(0, 2**70)), max_size=30).map(
    lambda drawn: [each / 2**20 for each in drawn]
)


def shown(count, unit):
    """Return the unwrapped joules of the kernel's powercap."""
    return (count // 2**32 * ((2**32 - 1) * unit // 1000) + count % 2**32 * unit // 1000) / 1e6


def bits(values):
    return [struct.pack("<d", value) for value in values]


def with_gaps(values):
    return st.lists(st.sampled_from((1, 1, 0)), min_size=len(values), max_size=len(values)).map(
        lambda given: [value if is_given else math.nan for value, is_given in zip(values, given, strict=True)]
    )


@settings(max_examples=150)
@given(
    values=st.one_of(
        st.lists(ANY, max_size=30),
        *(kind.flatmap(with_gaps) for kind in (MICROJOULES, COUNTS, RATIOS, HALVES)),
    ),
    ends=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_every_bit_is_preserved_in_all_values_and_in_any_part(values, ends):
    packed = columns.pack(values)
    assert bits(columns.unpack(packed, len(values))) == bits(values)
    start, stop = sorted(min(end, len(values)) for end in ends)
    assert bits(columns.unpack(packed, len(values), start, stop)) == bits(values[start:stop])


@pytest.mark.parametrize(
    ("values", "most_bytes"),
    [
        ([math.nan] * 300, 1),
        ([85_899_345_920.0] * 300, 8),
        ([shown(10**9 + 819_200 * place, 61035) for place in range(300)], 16),
        ([shown(2**32 - 10**7 + 819_200 * place, 15300) for place in range(300)], 16),
        ([(place * 7 % 100) / 100 for place in range(300)], 330),
        ([(place * 7 % 100) / (100 + place % 2) for place in range(300)], 450),
        ([45.0 + place // 50 for place in range(300)], 50),
        ([place / 3 for place in range(300)], 30),
    ],
    ids=["absent", "constant", "a counter", "one that wraps", "percent", "ticks of time", "a temperature", "thirds"],
)
def test_typical_sensor_values_pack_small(values, most_bytes):
    packed = columns.pack(values)
    assert bits(columns.unpack(packed, len(values))) == bits(values)
    assert len(packed) <= most_bytes


def test_incompressible_values_take_little_more_than_their_bytes():
    values = [math.sin(place) * 10.0**place for place in range(300)]
    assert len(columns.pack(values)) <= 8 * 300 + 32


def test_a_single_odd_value_does_not_affect_the_others():
    odd = [-0.0, 1.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308]
    for values in (odd, [1 / 3, 5e-324], [1 / 3, 2 / 3, 1e15 + 1 / 3]):
        assert bits(columns.unpack(columns.pack(values), len(values))) == bits(values)
