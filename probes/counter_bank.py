"""Advances all counters of one probe together: one pass over plain lists as long as nothing is wrong with any."""

from __future__ import annotations

import math
from itertools import repeat
from operator import add, le, mul, sub, truediv
from typing import TYPE_CHECKING, cast

from probes.model import Rejection
from probes.plausibility import SENTINELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.counter import Counter


class CounterBank:
    """Counters that are read in one go, and what to divide their totals by to have the unit of their channels.

    What each makes of a reading is `Counter.advance`. Where every counter grew by no more than it may, there is nothing
    to judge, and all are taken as they are, at a sixth of the time and with the same result.
    """

    def __init__(self, counters: Sequence[Counter], divisors: Sequence[float]) -> None:
        self._counters = tuple(counters)
        self._divisors = tuple(divisors)
        self._most = [counter.max_per_ns for counter in counters]
        self._least = min(self._most, default=0.0)
        self._shortest_wrap_ns = min((counter.shortest_wrap_ns for counter in counters), default=0.0)
        self._sentinels = SENTINELS.union(*(counter.sentinels for counter in counters))
        self._all_accepted = False  # whether all were accepted at the last reading, `raws` at `at_ns`
        self._raws: Sequence[int] = ()
        self._offsets: list[int] = []
        self._at_ns = 0

    def advance(self, raws: Sequence[int | None], at_ns: int, rejections: list[Rejection]) -> list[float]:
        """Return the totals after the readings `raws`, NaN for each that is refused; `rejections` gets the reasons.

        None in `raws` is a reading that gave nothing; its reason is the caller's to add.
        """
        if not self._counters:
            return []
        if self._all_accepted and None not in raws:
            known = cast("Sequence[int]", raws)
            if self._grew(known, at_ns - self._at_ns):
                self._raws, self._at_ns = known, at_ns
                return list(map(truediv, map(add, known, self._offsets), self._divisors))
        return self._validate(raws, at_ns, rejections)

    def _grew(self, raws: Sequence[int], elapsed_ns: int) -> bool:
        """Tell whether each counter grew by no more than it may, leaving refreshes and wraps to closer judgement."""
        steps = list(map(sub, raws, self._raws))
        return (
            0 <= elapsed_ns < self._shortest_wrap_ns
            and min(steps) >= 0
            # Mostly none grew by more than the smallest of them may, and then they need not be compared one by one.
            and (
                max(steps) <= self._least * elapsed_ns
                or all(map(le, steps, map(mul, self._most, repeat(float(elapsed_ns)))))
            )
            and self._sentinels.isdisjoint(raws)
        )

    def _validate(self, raws: Sequence[int | None], at_ns: int, rejections: list[Rejection]) -> list[float]:
        if self._all_accepted:
            for counter, last in zip(self._counters, self._raws, strict=True):
                counter.raw, counter.at_ns = last, self._at_ns
        self._all_accepted = True
        values = []
        for position, (counter, raw, by) in enumerate(zip(self._counters, raws, self._divisors, strict=True)):
            reason = None if raw is None else counter.advance(raw, at_ns)
            if reason:
                rejections.append(Rejection(position, reason))
            accepted = raw is not None and reason is None
            self._all_accepted = self._all_accepted and accepted
            values.append(counter.total / by if accepted else math.nan)
        self._raws = [counter.raw for counter in self._counters]
        self._offsets = [counter.offset for counter in self._counters]
        self._at_ns = at_ns
        return values
