from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import integers
from store.codec.integers import Cursor, Integers

WIDE = st.integers(-(2**62), 2**62)
STEADY = st.tuples(WIDE, st.integers(-(10**6), 10**6), st.lists(st.integers(0, 3), max_size=700)).map(
    lambda drawn: [drawn[0] + place * drawn[1] + extra for place, extra in enumerate(drawn[2])]
)


@given(values=st.one_of(st.lists(WIDE), STEADY))
def test_all_integers_are_preserved(values):
    packed = Integers(Cursor(integers.pack(values)), len(values))
    assert packed.part(0, len(values)) == values
    assert [packed[place] for place in range(len(packed))] == values


@given(values=STEADY, ends=st.tuples(st.integers(0, 700), st.integers(0, 700)))
def test_a_part_of_the_integers_can_be_unpacked(values, ends):
    start, stop = sorted(min(end, len(values)) for end in ends)
    assert Integers(Cursor(integers.pack(values)), len(values)).part(start, stop) == values[start:stop]


@given(values=st.lists(st.integers()))
def test_numbers_of_any_size_can_be_read_in_sequence(values):
    cursor = Cursor(b"".join(map(integers.number, values)))
    assert [cursor.number() for _ in values] == values
    assert cursor.at == len(cursor.packed)


@given(plain=st.one_of(st.binary(max_size=600), st.lists(st.sampled_from((0, 1, 7)), max_size=600).map(bytes)))
def test_packed_bytes_are_never_much_longer_than_the_original(plain):
    packed = integers.compress_bytes(plain)
    assert Cursor(packed).compressed_bytes() == plain
    assert len(packed) <= len(plain) + 3


@pytest.mark.parametrize(
    ("values", "most_bytes"),
    [
        ([7] * 300, 3),
        (list(range(5, 3000, 10)), 9),
        ([place * place for place in range(300)], 11),
        ([place % 2 for place in range(300)], 80),
        ([10**9 + 4096 * (place % 7) for place in range(300)], 120),
        ([0, 2**64 - 1], 15),
    ],
    ids=["constant", "a line", "a parabola", "two values", "few values far apart", "the widest"],
)
def test_regular_integers_pack_small(values, most_bytes):
    packed = integers.pack(values)
    assert Integers(Cursor(packed), len(values)).part(0, len(values)) == values
    assert len(packed) <= most_bytes
