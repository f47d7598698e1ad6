"""A simulated hardware counter with every possible fault, and the count that its readings allow."""

from __future__ import annotations

from collections import Counter as Tally

from probes.model import Reason
from probes.plausibility import SENTINELS

MODULUS = 262_143_328_911
LIMIT = 4e9
"""Accepted units a second, four times the lasting rate: 65 seconds to a wrap."""
SECOND = 1_000_000_000


class CounterSimulator:
    """Moves the hardware and reads it through `counter`; `counted` is the correct count.

    It contains every unit, except those between two readings with a reset, a jump or an unknown number of wraps between
    them, which the answers name.
    """

    EVENTS = ("advance", "burst", "pause", "still", "sentinel", "missing", "stutter", "glitch", "reset", "jump", "gap")
    REFRESH_SECONDS = 0.001

    def __init__(self, counter, chance):
        self.counter = counter
        self.answers = Tally()
        self.wraps = 0
        self.counted = 0
        self._chance = chance
        self._now = self._accepted_at = 0
        self._raw = self._uncounted = chance.randrange(2**32 - 1)
        self._read(self._raw)

    def apply_event(self, event):
        getattr(self, f"_{event}")()

    def _most(self):
        """The largest accepted step to a reading made now."""
        return round(LIMIT * (self._now - self._accepted_at + round(self.REFRESH_SECONDS * SECOND)) / SECOND)

    def _grow(self, seconds, watts=LIMIT / 4):
        self._now += round(seconds * SECOND)
        self._move(int(self._chance.random() * seconds * watts))

    def _move(self, units):
        self._uncounted += units
        wrapped, self._raw = divmod(self._raw + units, MODULUS)
        self.wraps += wrapped

    def _read(self, raw):
        answer = self.counter.advance(raw, self._now)
        self.answers[answer] += 1
        if answer in {None, Reason.RESET, Reason.WRAP_UNKNOWN}:
            self.counted += 0 if answer else self._uncounted
            self._uncounted, self._accepted_at = 0, self._now
        return answer

    def _advance(self):
        self._grow(1)
        self._read(self._raw)

    def _burst(self):
        self._grow(1, LIMIT * 0.99)
        self._read(self._raw)

    def _pause(self):
        self._grow(self._chance.uniform(10, 60), LIMIT * 0.99)
        self._read(self._raw)

    def _still(self):
        self._now += SECOND
        self._read(self._raw)

    def _sentinel(self):
        self._grow(1)
        assert self._read(self._chance.choice((0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, -1))) is Reason.SENTINEL

    def _missing(self):
        self._grow(1)

    def _gap(self):
        """No read takes place for longer than the shortest wrap, or the monotonic clock jumps forward."""
        self._grow(MODULUS / LIMIT + self._chance.uniform(0, 1000), LIMIT * 0.99)
        assert self._read(self._raw) is Reason.WRAP_UNKNOWN

    def _stutter(self):
        """One reading is a little lower than its predecessor."""
        fallen = self.counter.raw - self._chance.randint(1, 1_000_000)
        self._now += SECOND
        if self._most() < min(fallen, MODULUS - 1_000_000) and fallen not in SENTINELS:
            assert self._read(fallen) is Reason.BACKWARD
            self._advance()

    def _glitch(self):
        """One reading is from another counter, too far ahead for any power."""
        self._grow(1)
        raw = self._implausible_reading()
        if raw > self.counter.raw:
            assert self._read(raw) is Reason.IMPOSSIBLE
            self._advance()

    def _reset(self):
        """The counter starts at 0 and counts a little before it is read."""
        self._grow(0.5)
        self._raw = 0
        self._grow(0.5)
        if self._raw < self.counter.raw and MODULUS - self.counter.raw + self._raw > self._most():
            assert self._read(self._raw) is Reason.RESET
            return
        self._raw = self.counter.raw  # indistinguishable from a wrap, so the reset does not happen here
        self._uncounted = 0
        self._read(self._raw)

    def _jump(self):
        """The counter continues from another level, which the second reading there confirms."""
        self._grow(1)
        raw = self._implausible_reading()
        if raw >= 0:
            self._raw = raw
            if self._read(raw) in {Reason.IMPOSSIBLE, Reason.BACKWARD}:
                self._advance()

    def _implausible_reading(self):
        """Return a reading that no growth from the last accepted one to the next read explains, -1 if there is none.

        A reading that growth explains would seem late. A reading slightly below the last one, which the counter passes
        by the next read, would seem a stutter.
        """
        nearest = MODULUS - int(2 * LIMIT)
        beyond = self._most() + int(LIMIT) + 1
        if beyond >= nearest:
            return -1
        raw = (self.counter.raw + self._chance.randint(beyond, nearest)) % MODULUS
        return -1 if raw in SENTINELS else raw
