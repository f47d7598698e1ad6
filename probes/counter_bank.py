"""Advances all counters of one probe together: one pass over plain lists as long as nothing is wrong with any."""

from __future__ import annotations

from itertools import repeat
from operator import add, le, mul, sub
from typing import TYPE_CHECKING, cast

from probes.counter import SENTINELS
from probes.model import Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.counter import Counter


class CounterBank:
    """Counters that are read in one go; what each of them makes of a reading is `Counter.advance`.

    Where every counter grew by what it may, there is nothing to judge, and all are taken as they are: about 0.2 us a
    counter, where judging takes 2 us. The result is the same.
    """

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters = tuple(counters)
        self._most = [counter.most_per_ns for counter in counters]
        self._shortest_wrap_ns = min((counter.shortest_wrap_ns for counter in counters), default=0.0)
        self._sentinels = SENTINELS.union(*(counter.sentinels for counter in counters))
        self._level = False
        self._raws: Sequence[int] = ()
        self._offsets: list[int] = []
        self._at_ns = 0

    def advance(self, raws: Sequence[int | None], at_ns: int, rejections: list[Rejection]) -> list[int | None]:
        """Return the totals after the readings `raws`, None for each that is refused; `rejections` gets the reasons.

        None in `raws` is a reading that gave nothing; its reason is the caller's to add.
        """
        if self._level and None not in raws:
            known = cast("Sequence[int]", raws)
            if self._grew(known, at_ns - self._at_ns):
                self._raws, self._at_ns = known, at_ns
                return list(map(add, known, self._offsets))
        return self._judge(raws, at_ns, rejections)

    def _grew(self, raws: Sequence[int], elapsed_ns: int) -> bool:
        """Tell whether each counter grew by no more than it may, leaving refreshes and wraps to closer judgement."""
        steps = list(map(sub, raws, self._raws))
        return (
            0 <= elapsed_ns < self._shortest_wrap_ns
            and min(steps, default=0) >= 0
            and all(map(le, steps, map(mul, self._most, repeat(elapsed_ns))))
            and self._sentinels.isdisjoint(raws)
        )

    def _judge(self, raws: Sequence[int | None], at_ns: int, rejections: list[Rejection]) -> list[int | None]:
        if self._level:
            for counter, last in zip(self._counters, self._raws, strict=True):
                counter.raw, counter.at_ns = last, self._at_ns
        totals: list[int | None] = []
        for position, (counter, raw) in enumerate(zip(self._counters, raws, strict=True)):
            if raw is None:
                totals.append(None)
            elif reason := counter.advance(raw, at_ns):
                rejections.append(Rejection(position, reason))
                totals.append(None)
            else:
                totals.append(counter.total)
        self._level = None not in totals
        self._raws = [counter.raw for counter in self._counters]
        self._offsets = [counter.offset for counter in self._counters]
        self._at_ns = at_ns
        return totals
