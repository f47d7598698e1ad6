from hypothesis import given
from hypothesis import strategies as st

from probes.counter import Counter

SECOND = 1_000_000_000


def test_the_first_reading_is_the_total():
    counter = Counter(1000)
    assert counter.advance(700, 0)
    assert counter.total == 700


def test_a_fall_within_a_declared_range_is_a_wrap():
    counter = Counter(1000)
    counter.advance(990, 0)
    assert counter.advance(20, SECOND)
    assert counter.total == 1020


def test_a_fall_without_a_range_is_a_reset_and_counting_goes_on_from_there():
    counter = Counter()
    counter.advance(990, 0)
    assert not counter.advance(20, SECOND)
    assert counter.total == 990
    assert counter.advance(25, 2 * SECOND)
    assert counter.total == 995


def test_a_fall_that_would_mean_an_impossible_growth_is_a_reset():
    counter = Counter(1_000_000, most_units_per_second=100)
    counter.advance(900_000, 0)
    assert not counter.advance(10, SECOND)
    assert counter.total == 900_000


def test_a_wrap_within_the_possible_growth_is_counted():
    counter = Counter(1_000_000, most_units_per_second=100)
    counter.advance(999_950, 0)
    assert counter.advance(10, SECOND)
    assert counter.total == 1_000_010


def test_a_reading_above_its_range_that_falls_is_a_reset():
    counter = Counter(100)
    counter.advance(500, 0)
    assert not counter.advance(10, SECOND)


@given(
    start=st.integers(0, 999_999),
    steps=st.lists(st.integers(0, 999_999), max_size=50),
)
def test_no_unit_is_lost_over_any_number_of_wraps(start, steps):
    counter = Counter(1_000_000)
    raw = start
    counter.advance(raw, 0)
    for number, step in enumerate(steps, 1):
        raw = (raw + step) % 1_000_000
        assert counter.advance(raw, number * SECOND)
    assert counter.total == start + sum(steps)
