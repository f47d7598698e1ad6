import random

from hypothesis import given
from hypothesis import strategies as st

from counter_truth import LIMIT, MODULUS, SECOND, Truth
from probes.counter import Counter
from probes.counter_bank import CounterBank
from probes.model import Reason, Rejection


def counters():
    return [
        Counter(MODULUS, LIMIT, 0.001, all_ones=MODULUS - 61),
        Counter(0, LIMIT, 0.001),
        Counter(MODULUS),
        Counter(),
    ]


READINGS = st.one_of(st.none(), st.just(-1), st.just(MODULUS - 61), st.integers(0, MODULUS - 1))
STEPS = st.integers(0, int(2 * LIMIT))


def test_counters_that_grow_as_they_may_give_their_totals():
    bank, rejections = CounterBank(counters()), []
    assert bank.advance([5, 6, 7, 8], 0, rejections) == [5, 6, 7, 8]
    assert bank.advance([6, 8, 10, 12], SECOND, rejections) == [6, 8, 10, 12]
    assert bank.advance([7, 8, 9, 13], 2 * SECOND, rejections) == [7, 8, 9 + MODULUS, 13]
    assert rejections == []


def test_one_reading_that_is_refused_costs_no_other_counter_anything():
    bank, rejections = CounterBank(counters()), []
    bank.advance([5, 6, 7, 8], 0, rejections)
    assert bank.advance([0xFFFFFFFF, None, 8, 1], SECOND, rejections) == [None, None, 8, None]
    assert rejections == [Rejection(0, Reason.SENTINEL), Rejection(3, Reason.RESET)]
    assert bank.advance([6, 7, 9, 2], 2 * SECOND, rejections) == [6, 7, 9, 9]


def test_a_probe_without_counters_has_an_empty_bank():
    bank = CounterBank([])
    assert bank.advance([], 0, []) == bank.advance([], 1, []) == []


@given(st.lists(st.tuples(st.lists(STEPS | READINGS, min_size=4, max_size=4), st.integers(-1, 90), st.booleans())))
def test_together_they_give_what_each_gives_alone(ticks):
    alone, bank = counters(), CounterBank(counters())
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
            expected.append(None if reason or reading is None else counter.total)
        assert bank.advance(readings, now, rejections) == expected
        assert rejections == reasons


class One:
    """A bank of one counter, asked as a counter is."""

    def __init__(self):
        self._counter = Counter(MODULUS, LIMIT, Truth.REFRESH_SECONDS)
        self._bank = CounterBank([self._counter])
        self.total = self.raw = 0

    def advance(self, raw, at_ns):
        rejections = []
        (total,) = self._bank.advance([raw], at_ns, rejections)
        if total is not None:
            self.total = total
        if not rejections or rejections[0].reason in {Reason.RESET, Reason.WRAP_UNKNOWN}:
            self.raw = raw
        return rejections[0].reason if rejections else None


def test_the_short_way_loses_no_unit_either():
    chance = random.Random(7)
    truth = Truth(One(), chance)
    for event in chance.choices(Truth.EVENTS, k=50_000):
        truth.happen(event)
    assert truth.counter.total <= truth.counted
    truth.happen("beat")
    truth.happen("beat")
    assert truth.counter.total == truth.counted
