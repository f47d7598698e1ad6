import math

import pytest

from probes.busy_time import BusyTime
from probes.model import Reason

SECOND = 1_000_000_000


def shares(time, *readings):
    return [time.advance(raw, round(at * SECOND)) for raw, at in readings]


def test_the_first_window_has_no_share():
    assert all(map(math.isnan, shares(BusyTime(1000, 1.0), (5, 0), (105, 0.5))))


def test_the_share_of_a_window_stays_until_the_next_one_has_passed():
    found = shares(BusyTime(1_000_000, 1.0), (0, 0), (250_000, 1), (900_000, 1.5), (1_250_000, 2))
    assert found[1:] == [0.25, 0.25, 1.0]


def test_idle_time_is_the_rest_of_the_busy_share():
    assert shares(BusyTime(1000, 0.1, counts_idle=True), (0, 0), (75, 0.1))[1] == pytest.approx(0.25)


def test_a_busy_time_a_little_longer_than_the_window_is_a_share_of_one():
    assert shares(BusyTime(1000, 0.1), (0, 0), (105, 0.1))[1] == 1.0


def test_a_busy_time_far_longer_than_the_window_is_impossible_and_the_next_window_counts():
    found = shares(BusyTime(1000, 0.1), (0, 0), (1000, 0.1), (1050, 0.2))
    assert found[1:] == [Reason.IMPOSSIBLE, 0.5]


def test_a_counter_that_starts_again_has_no_share_in_its_first_window():
    found = shares(BusyTime(1000, 0.1), (500, 0), (550, 0.1), (3, 0.2), (53, 0.3))
    assert found[1:] == [0.5, Reason.RESET, 0.5]


@pytest.mark.parametrize("raw", [-1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF])
def test_all_bits_set_is_no_reading_and_does_not_affect_the_window(raw):
    found = shares(BusyTime(1000, 0.1), (0, 0), (raw, 0.05), (50, 0.1))
    assert found[1:] == [Reason.SENTINEL, 0.5]


def test_idle_time_starts_a_new_window_after_the_device_slept():
    time = BusyTime(1000, 0.1, counts_idle=True)
    shares(time, (0, 0), (50, 0.1))
    time.pause()
    assert math.isnan(time.advance(50, 60 * SECOND))
    assert time.advance(100, 60 * SECOND + SECOND // 10) == 0.5


def test_busy_time_continues_while_the_device_sleeps():
    time = BusyTime(1000, 0.1)
    shares(time, (0, 0), (50, 0.1))
    time.pause()
    assert time.advance(1050, round(2.1 * SECOND)) == 0.5


def test_two_reads_at_one_moment_do_not_divide_by_zero():
    assert all(map(math.isnan, shares(BusyTime(1000, 0.0), (0, 1), (10, 1))))
