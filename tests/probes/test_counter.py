import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counter_simulator import LIMIT, MODULUS, CounterSimulator
from probes.counter import Counter, shortest_wrap_seconds
from probes.model import Channel, Device, Kind, Reason
from probes.plausibility import SENTINELS

SECOND = 1_000_000_000


def read(counter, *readings):
    """Advance by (raw, seconds) and return the results."""
    return [counter.advance(raw, round(seconds * SECOND)) for raw, seconds in readings]


def limited(modulus=0, most=100.0, refresh=0.001):
    return Counter(modulus, most, refresh)


def test_the_first_reading_is_the_total():
    counter = Counter(1000)
    assert counter.advance(700, 0) is None
    assert counter.total == 700


def test_a_fall_within_a_declared_range_is_a_wrap():
    counter = Counter(1000)
    assert read(counter, (990, 0), (20, 1)) == [None, None]
    assert counter.total == 1020


def test_a_wrap_exactly_at_the_range_counts_the_step_to_zero():
    counter = Counter(1000)
    assert read(counter, (999, 0), (0, 1)) == [None, None]
    assert counter.total == 1000


def test_a_fall_without_a_range_is_a_reset_and_counting_continues_from_there():
    counter = Counter()
    assert read(counter, (990, 0), (20, 1)) == [None, Reason.RESET]
    assert counter.total == 990
    assert read(counter, (25, 2)) == [None]
    assert counter.total == 995


def test_a_fall_that_would_mean_an_impossible_growth_is_a_reset():
    counter = limited(1_000_000)
    assert read(counter, (900_000, 0), (10, 1)) == [None, Reason.RESET]
    assert counter.total == 900_000


def test_a_wrap_within_the_possible_growth_is_counted():
    counter = limited(1_000_000)
    assert read(counter, (999_950, 0), (10, 1)) == [None, None]
    assert counter.total == 1_000_010


def test_a_reading_above_its_range_that_falls_is_a_reset():
    assert read(Counter(100), (500, 0), (10, 1)) == [None, Reason.RESET]


@pytest.mark.parametrize("modulus", [0, 1_000_000])
def test_a_step_back_is_rejected_and_nothing_is_counted_twice_when_the_counter_catches_up(modulus):
    counter = limited(modulus)
    assert read(counter, (50_000, 0), (49_999, 0.1), (50_000, 0.2), (50_003, 0.3)) == [
        None,
        Reason.BACKWARD,
        None,
        None,
    ]
    assert counter.total == 50_003


def test_a_counter_that_stays_lower_was_reset_and_counting_continues_from_there():
    counter = limited(1_000_000)
    answers = read(counter, (50_000, 0), (40_000, 1), (40_010, 1.4), (40_020, 1.5), (40_030, 2))
    assert answers == [None, Reason.BACKWARD, Reason.BACKWARD, Reason.RESET, None]
    assert counter.total == 50_010


def test_an_unchanged_counter_is_accepted():
    counter = limited(1_000_000)
    assert read(counter, (500, 0), (500, 1), (500, 100), (501, 200)) == [None] * 4
    assert counter.total == 501


def test_growth_above_the_limit_is_impossible_and_the_total_continues():
    counter = limited()
    assert read(counter, (500, 0), (90_000, 1), (520, 2)) == [None, Reason.IMPOSSIBLE, None]
    assert counter.total == 520


def test_a_jump_that_stays_is_a_reset_and_never_energy():
    counter = limited()
    assert read(counter, (500, 0), (90_000, 1), (90_010, 2), (90_020, 3)) == [
        None,
        Reason.IMPOSSIBLE,
        Reason.RESET,
        None,
    ]
    assert counter.total == 510


def test_time_alone_does_not_make_a_jump_plausible():
    counter = limited()
    answers = read(counter, (500, 0), (700, 1), (700, 1.2), (701, 1.4), (702, 1.6), (703, 1.8))
    assert answers == [None, *[Reason.IMPOSSIBLE] * 3, Reason.RESET, None]
    assert counter.total == 501


def test_a_late_reading_costs_one_sample_and_no_energy():
    counter = limited()
    assert read(counter, (500, 0), (503, 0.001), (503, 0.13), (503, 0.131)) == [None, Reason.IMPOSSIBLE, None, None]
    assert counter.total == 503


def test_a_jump_never_becomes_energy_even_if_the_power_limit_could_explain_it_later():
    counter = Counter(0, 260e6, 0.001)
    for number in range(200):
        counter.advance(50_000 * number + (30_000_000 if number >= 50 else 0), number * SECOND // 100)
    lost = 50_000 * 51  # from the last reading before the jump to half a second after it
    assert counter.total == 50_000 * 199 - lost


def test_a_late_reading_after_a_jump_does_not_make_it_energy():
    counter = limited(most=260.0)
    answers = read(counter, (500, 0), (530, 0.01), (530, 0.02), (530, 0.19), (540, 0.191), (545, 0.7))
    assert answers == [None, *[Reason.IMPOSSIBLE] * 4, Reason.RESET]
    assert counter.total == 500


def test_a_jump_shorter_than_half_a_second_costs_no_energy():
    counter = limited()
    answers = read(counter, (500, 0), (900, 0.1), (901, 0.2), (902, 0.3), (503, 0.4), (504, 0.5))
    assert answers == [None, *[Reason.IMPOSSIBLE] * 3, None, None]
    assert counter.total == 504


def test_a_counter_that_stutters_catches_up():
    counter = limited()
    answers = read(counter, (500, 0), (490, 0.1), (491, 0.2), (495, 0.3), (501, 0.4), (502, 0.5))
    assert answers == [None, *[Reason.BACKWARD] * 3, None, None]
    assert counter.total == 502


def test_a_late_reading_of_a_device_above_its_power_limit_loses_no_energy():
    counter = Counter(0, 4 * 65e6, 0.001)
    answers = []
    for number in range(1400):
        if not 800 < number <= 840:  # the reader was delayed by 20 ms at the 800th reading
            milliseconds = number // 2 + (20 if number == 800 else 0)
            answers.append(counter.advance(80_000 * milliseconds, number * SECOND // 2000))
    assert [answer for answer in answers if answer] == [Reason.IMPOSSIBLE]
    assert counter.total == 80_000 * 699


@pytest.mark.parametrize("late_ms", [1, 5, 20, 100, 400])
def test_two_late_readings_in_a_row_lose_no_energy(late_ms):
    counter = Counter(0, 4 * 65e6, 0.001)
    now = 0
    for read_at in (0.0, 0.5 + 20, 21.0 + late_ms, 21.5 + late_ms, 22.0 + late_ms):
        counter.advance(int(60_000 * read_at), now)
        now = round(read_at * 1e6) + 500_000
    assert counter.total == int(60_000 * read_at)


def test_a_refresh_just_before_the_reading_is_not_impossible():
    counter = limited(refresh=0.1)
    assert read(counter, (500, 0), (509, 0.0001)) == [None, None]


def test_contradictory_readings_are_rejected_until_two_agree():
    counter = limited(most=10.0)
    answers = read(counter, (500, 0), (90_000, 1), (70_000, 2), (40_000, 3), (40_005, 4))
    assert answers == [None, *[Reason.IMPOSSIBLE] * 3, Reason.RESET]
    assert counter.total == 500


def test_no_energy_is_counted_for_an_interval_longer_than_the_shortest_wrap():
    counter = limited(1000)
    assert read(counter, (500, 0), (600, 10), (610, 11)) == [None, Reason.WRAP_UNKNOWN, None]
    assert counter.total == 510


def test_a_counter_that_does_not_wrap_allows_any_pause():
    counter = limited()
    assert read(counter, (500, 0), (600, 1e6)) == [None, None]
    assert counter.total == 600


@pytest.mark.parametrize("sentinel", [*sorted(SENTINELS), -1, 262_143_328_850])
def test_all_ones_is_rejected_and_does_not_change_the_counter(sentinel):
    counter = Counter(262_143_328_911, 2e9, 0.001, all_ones=262_143_328_850)
    assert read(counter, (5_000_000, 0), (sentinel, 1), (6_000_000, 2)) == [None, Reason.SENTINEL, None]
    assert counter.total == 6_000_000


def test_a_sentinel_as_first_reading_is_not_a_baseline():
    counter = Counter()
    assert read(counter, (0xFFFFFFFF, 0), (7, 1)) == [Reason.SENTINEL, None]
    assert counter.total == 7


def test_a_clock_that_steps_back_does_not_turn_a_jump_into_energy():
    counter = limited(refresh=0.1)
    assert read(counter, (500, 10), (501, 5), (90_000, 6)) == [None, None, Reason.IMPOSSIBLE]
    assert counter.total == 501


@pytest.mark.parametrize(
    ("kind", "limit", "wraps_at", "seconds"),
    [
        (Kind.CPU, 0.0, 65_532.0, 32.766),
        (Kind.CPU, 800.0, 262_144.0, 327.68),
        (Kind.BOARD, 0.0, 262_144.0, 13.1072),
        (Kind.HOST, 0.0, 0.0, math.inf),
    ],
)
def test_the_shortest_wrap_follows_from_the_power_limit_or_the_kind_of_device(kind, limit, wraps_at, seconds):
    channel = Channel(Device("x", kind), "package", "energy_joules", max_plausible=limit, wraps_at=wraps_at)
    assert shortest_wrap_seconds(channel) == pytest.approx(seconds)


@given(start=st.integers(0, MODULUS - 1), steps=st.lists(st.integers(0, MODULUS - 1), max_size=50))
def test_no_unit_is_lost_over_any_number_of_wraps(start, steps):
    counter = Counter(MODULUS)
    raw = start
    counter.advance(raw, 0)
    for number, step in enumerate(steps, 1):
        raw = (raw + step) % MODULUS
        assert counter.advance(raw, number * SECOND) is None
    assert counter.total == start + sum(steps)


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(CounterSimulator.EVENTS), max_size=60))
@settings(max_examples=200)
def test_no_unit_is_lost_or_invented_in_any_sequence(chance, events):
    simulator = CounterSimulator(Counter(MODULUS, LIMIT, CounterSimulator.REFRESH_SECONDS), chance)
    for event in events:
        simulator.apply_event(event)
        assert simulator.counter.total == simulator.counted


@pytest.mark.system
def test_a_million_readings_of_wraps_resets_faults_and_pauses_lose_no_unit():
    chance = random.Random(20_261_125)
    simulator = CounterSimulator(Counter(MODULUS, LIMIT, CounterSimulator.REFRESH_SECONDS), chance)
    for event in chance.choices(CounterSimulator.EVENTS, k=970_000):
        simulator.apply_event(event)
    assert simulator.counter.total == simulator.counted
    assert simulator.answers.total() > 1_000_000
    assert simulator.wraps > 100_000
    assert set(simulator.answers) == {None, *Reason} - {Reason.READ_ERROR, Reason.DEVICE_LOST}
