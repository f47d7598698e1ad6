"""The offset of another host's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.sampling.remote.clock import DRIFT, EXCHANGES, ClockOffset

MS = 1_000_000
SECOND = 1000 * MS
HOUR = 3600 * SECOND


@given(
    st.lists(st.tuples(st.integers(0, 200 * MS), st.integers(0, 200 * MS)), min_size=1, max_size=100),
    st.integers(-HOUR, HOUR),
    st.floats(-DRIFT / 2, DRIFT / 2),
)
def test_the_offset_is_within_the_bounds_whatever_the_delays_and_the_drift_are(
    delays: list[tuple[int, int]], offset_ns: int, drift: float
) -> None:
    clock = ClockOffset()
    for number, (there, back) in enumerate(delays):
        sent, answered = number * SECOND, number * SECOND + there
        remote = answered + offset_ns + round(drift * answered)
        clock.add(sent, remote, answered + back)
        lowest, highest = clock.bounds_ns()
        assert lowest <= offset_ns + round(drift * (answered + back)) <= highest
        assert highest - lowest <= (there + back) * (1 + 2 * DRIFT) + 2


def test_an_exchange_of_a_short_delay_narrows_the_bounds_of_later_ones() -> None:
    clock = ClockOffset()
    clock.add(0, HOUR + MS, 2 * MS)
    clock.add(SECOND, SECOND + HOUR + 50 * MS, SECOND + 100 * MS)
    lowest, highest = clock.bounds_ns()
    assert highest - lowest <= 2 * MS + 2 * DRIFT * 1.1 * SECOND


def test_exchanges_that_contradict_one_another_start_again_with_the_last() -> None:
    clock = ClockOffset()
    clock.add(0, MS, 2 * MS)
    clock.add(SECOND, HOUR, SECOND + 2 * MS)
    assert clock.bounds_ns() == (HOUR - SECOND - 2 * MS - 2000, HOUR - SECOND + 2000)


def test_old_exchanges_are_forgotten() -> None:
    clock = ClockOffset()
    for number in range(EXCHANGES + 1):
        clock.add(number * SECOND, number * SECOND + (0 if number else MS), number * SECOND + 10 * MS)
    lowest, highest = clock.bounds_ns()
    assert 10 * MS <= highest - lowest <= 10.1 * MS
