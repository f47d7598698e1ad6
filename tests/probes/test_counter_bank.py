import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counter_simulator import LIMIT, MODULUS, SECOND
from probes.counter import Counter
from probes.counter_bank import CounterBank
from probes.model import Reason, Rejection

ONES = (1, 1, 1, 1)


def counters():
    return [
        Counter(MODULUS, LIMIT, 0.001, all_ones=MODULUS - 61),
        Counter(0, LIMIT, 0.001),
        Counter(MODULUS),
        Counter(),
    ]


READINGS = st.one_of(st.none(), st.just(-1), st.just(MODULUS - 61), st.integers(0, MODULUS - 1))
STEPS = st.integers(0, int(2 * LIMIT))


def test_counters_within_their_limits_return_their_totals():
    bank, rejections = CounterBank(counters(), ONES), []
    assert bank.advance([5, 6, 7, 8], 0, rejections) == [5, 6, 7, 8]
    assert bank.advance([6, 8, 10, 12], SECOND, rejections) == [6, 8, 10, 12]
    assert bank.advance([7, 8, 9, 13], 2 * SECOND, rejections) == [7, 8, 9 + MODULUS, 13]
    assert rejections == []


def test_a_rejected_reading_does_not_affect_other_counters():
    bank, rejections = CounterBank(counters(), ONES), []
    bank.advance([5, 6, 7, 8], 0, rejections)
    first, second, third, fourth = bank.advance([0xFFFFFFFF, None, 8, 1], SECOND, rejections)
    assert third == 8
    assert all(map(math.isnan, (first, second, fourth)))
    assert rejections == [Rejection(0, Reason.SENTINEL), Rejection(3, Reason.RESET)]
    assert bank.advance([6, 7, 9, 2], 2 * SECOND, rejections) == [6, 7, 9, 9]


def test_totals_are_converted_to_the_unit_of_their_channels():
    bank = CounterBank(counters()[:2], (1e6, 1e3))
    assert bank.advance([5_000_000, 6], 0, []) == [5.0, 0.006]
    assert bank.advance([5_000_001, 7], SECOND, []) == [5.000001, 0.007]


def test_a_probe_without_counters_has_an_empty_bank():
    bank = CounterBank([], [])
    assert bank.advance([], 0, []) == bank.advance([], 1, []) == []


@given(st.lists(st.tuples(st.lists(STEPS | READINGS, min_size=4, max_size=4), st.integers(-1, 90), st.booleans())))
def test_the_bank_returns_the_values_of_its_separate_counters(ticks):
    alone, bank = counters(), CounterBank(counters(), ONES)
    raws, now = [0, 0, 0, 0], 0
    for changes, seconds, steady in ticks:
        now += seconds * SECOND
        readings = [
            (raw + min(change or 0, 2**31)) if steady else change for raw, change in zip(raws, changes, strict=True)
        ]
        raws = [reading if reading and reading >= 0 else raw for reading, raw in zip(readings, raws, strict=True)]
        expected, reasons, rejections = [], [], []
        for position, (counter, reading) in enumerate(zip(alone, readings, strict=True)):
            reason = None if reading is None else counter.advance(reading, now)
            reasons += [Rejection(position, reason)] if reason else []
            expected.append(math.nan if reason or reading is None else counter.total)
        assert bank.advance(readings, now, rejections) == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
        assert rejections == reasons
