"""Undoes what hardware counters do: they wrap, start again, stutter and jump; docs/sensor-faults.md has every answer.

No answer guesses: what may be energy and may be a fault is refused with its reason, and no energy is counted for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from probes.model import Reason
from probes.plausibility import SENTINELS, max_watts

if TYPE_CHECKING:
    from probes.model import Channel

NEVER = -1
"""No reading of a counter: where none is to be told apart."""
RESET_CONFIRMATION_NS = 500_000_000
"""So long a counter must stay on a level it stepped to before the step counts as a reset."""
_UNKNOWN_REFRESH_NS = 1_000_000_000


def shortest_wrap_seconds(channel: Channel) -> float:
    """Return the time in which a counter can wrap at the power believed at most; infinite if it does not wrap."""
    return channel.wraps_at / max_watts(channel) if channel.wraps_at else math.inf


class Counter:
    """Turns the raw readings of one hardware counter into a total that never falls; exact, in the counter's integers.

    `total` is always `raw + offset`, where `raw` is the last reading that was believed, made at `at_ns`. Below
    `shortest_wrap_ns` between two readings it cannot have wrapped more than once.

    `modulus` is the count at which the hardware starts again from 0, 0 if it does not wrap. `max_per_second` is the
    fastest growth that is believed, 0 if any is: `PLAUSIBLE_LIMIT_FACTOR` times what can go on for long. A new value
    may show a refresh of the sensor later than it was counted, so `refresh_seconds` (0: unknown, taken as one second)
    more are granted to every step, and so is one step of `resolution` (its smallest step, in the counter's unit).
    `all_ones` is what a register of nothing but ones reads as, where a driver scales it.
    """

    __slots__ = (
        "_candidate",
        "_candidate_ns",
        "_candidate_since_ns",
        "_confirmed",
        "_modulus",
        "_most",
        "_slack_ns",
        "at_ns",
        "offset",
        "raw",
        "sentinels",
        "shortest_wrap_ns",
    )

    def __init__(
        self,
        modulus: int = 0,
        max_per_second: float = 0.0,
        refresh_seconds: float = 0.0,
        *,
        all_ones: int = NEVER,
        resolution: float = 0.0,
    ) -> None:
        self._modulus = modulus
        self._most = max_per_second / 1e9 or math.inf
        # A step of the resolution takes its time at the fastest growth, so it is granted as time, as the refresh is.
        self._slack_ns = (round(refresh_seconds * 1e9) or _UNKNOWN_REFRESH_NS) + math.ceil(resolution / self._most)
        self.shortest_wrap_ns = modulus / self._most - self._slack_ns if modulus and max_per_second else math.inf
        self.sentinels = SENTINELS | {all_ones}
        self.raw = NEVER
        self.at_ns = 0
        self.offset = 0
        self._candidate = NEVER
        self._candidate_ns = self._candidate_since_ns = 0
        self._confirmed = False

    @property
    def max_per_ns(self) -> float:
        """The fastest growth that is believed, infinite if any is."""
        return self._most

    @property
    def total(self) -> int:
        """Everything counted: the first reading's own value, and all that was believed since."""
        return self.raw + self.offset

    def advance(self, raw: int, at_ns: int) -> Reason | None:
        """Take the reading `raw` made at `at_ns` (any monotonic clock) into `total`; return why not, if it is refused.

        The first reading sets `total` to it, so a counter that never wraps keeps its own value. After RESET and
        WRAP_UNKNOWN counting goes on from `raw`; after every other reason the reading leaves no trace in `total`.
        """
        if raw < 0 or raw in self.sentinels:
            return Reason.SENTINEL
        if self.raw < 0:
            self.raw, self.at_ns = raw, at_ns
            return None
        if at_ns - self.at_ns >= self.shortest_wrap_ns:
            return self._restart(raw, at_ns, Reason.WRAP_UNKNOWN)
        return self._validate(raw, at_ns)

    def _validate(self, raw: int, at_ns: int) -> Reason | None:
        """Judge a reading by the last one that was believed, and by the one that was refused after it if one was."""
        # A reading made much later than its time stamp is refused; the next then shows growth that its own time
        # explains. Once a level was confirmed that it does not explain, no passing time makes it energy.
        if not self._is_above_confirmed(raw) and self._fits(self.raw, self.at_ns, raw, at_ns):
            self._count(raw, at_ns)
            return None
        stays = self._candidate >= 0 and self._fits(self._candidate, self._candidate_ns, raw, at_ns)
        if not stays and raw < self.raw and self._within(raw, at_ns - self.at_ns):
            return self._restart(raw, at_ns, Reason.RESET)  # as far as it can have come from 0
        if not stays:
            self._candidate_since_ns = at_ns
        elif at_ns - self._candidate_since_ns >= RESET_CONFIRMATION_NS:
            return self._restart(raw, at_ns, Reason.RESET)
        self._candidate, self._candidate_ns, self._confirmed = raw, at_ns, self._confirmed or stays
        return Reason.BACKWARD if raw < self.raw else Reason.IMPOSSIBLE

    def _is_above_confirmed(self, raw: int) -> bool:
        """Tell whether a reading goes on from a level that the counter jumped up to and was seen on twice."""
        return self._confirmed and self.raw <= self._candidate <= raw

    def _fits(self, raw: int, at_ns: int, later: int, later_ns: int) -> bool:
        """Tell whether a counter can have grown from one reading to the other, by a wrap if by none it cannot."""
        step = later - raw
        if step < 0 and raw <= self._modulus:
            step += self._modulus
        return step >= 0 and self._within(step, later_ns - at_ns)

    def _within(self, step: int, elapsed_ns: int) -> bool:
        return step <= self._most * (max(elapsed_ns, 0) + self._slack_ns)

    def _count(self, raw: int, at_ns: int) -> None:
        if raw < self.raw:
            self.offset += self._modulus
        self.raw, self.at_ns = raw, at_ns
        self._clear_candidate()

    def _restart(self, raw: int, at_ns: int, reason: Reason) -> Reason:
        self.offset += self.raw - raw
        self.raw, self.at_ns = raw, at_ns
        self._clear_candidate()
        return reason

    def _clear_candidate(self) -> None:
        self._candidate, self._confirmed = NEVER, False
