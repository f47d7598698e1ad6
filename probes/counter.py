"""Corrects the faults of hardware counters: wraps, resets, stutters and jumps; docs/sensor-faults.md lists every case.

A reading that may be energy or a fault is rejected with its reason, and counts no energy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from probes.model import Reason
from probes.plausibility import SENTINELS, max_watts

if TYPE_CHECKING:
    from probes.model import Channel

NEVER = -1
"""Stands for no reading of a counter."""
RESET_CONFIRMATION_NS = 500_000_000
"""A counter that stays on a new level this long counts as reset."""
_UNKNOWN_REFRESH_NS = 1_000_000_000


def shortest_wrap_seconds(channel: Channel) -> float:
    """Return the shortest time until a counter at its highest plausible power wraps; infinite if it never does."""
    return channel.wraps_at / max_watts(channel) if channel.wraps_at else math.inf


class Counter:
    """Turns the raw readings of one hardware counter into a total that never falls, exact in the counter's integers.

    `total` is always `raw + offset`, where `raw` is the last accepted reading, made at `at_ns`. Between two readings
    less than `shortest_wrap_ns` apart, the counter wraps at most once.

    `modulus` is the count at which the hardware starts again from 0, or 0 if it does not wrap. `max_per_second` is the
    fastest plausible growth, or 0 for no limit: `PLAUSIBLE_LIMIT_FACTOR` times the sustained maximum. A refresh can
    appear late, so every step may exceed the limit by the growth of `refresh_seconds` (0: unknown, one second is
    assumed) and by one step of `resolution` (the smallest step, in the counter's unit). `all_ones` is the reading of a
    register with all bits set, if a driver scales it. `max_per_ns` is infinite without a limit.
    """

    __slots__ = (
        "_candidate",
        "_candidate_ns",
        "_candidate_since_ns",
        "_confirmed",
        "_modulus",
        "_slack_ns",
        "at_ns",
        "max_per_ns",
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
        self.max_per_ns = max_per_second / 1e9 or math.inf
        # One step of the resolution is expressed as time at the fastest growth, like the refresh.
        self._slack_ns = (round(refresh_seconds * 1e9) or _UNKNOWN_REFRESH_NS) + math.ceil(resolution / self.max_per_ns)
        self.shortest_wrap_ns = modulus / self.max_per_ns - self._slack_ns if modulus and max_per_second else math.inf
        self.sentinels = SENTINELS | {all_ones}
        self.raw = NEVER
        self.at_ns = 0
        self.offset = 0
        self._candidate = NEVER
        self._candidate_ns = self._candidate_since_ns = 0
        self._confirmed = False

    @property
    def total(self) -> int:
        """The first reading plus all accepted growth since."""
        return self.raw + self.offset

    def advance(self, raw: int, at_ns: int) -> Reason | None:
        """Add the reading `raw`, made at `at_ns` on any monotonic clock, to `total`; return the reason for a rejection.

        The first reading sets `total`, so a counter that never wraps shows its own value. After RESET and WRAP_UNKNOWN
        counting continues from `raw`. A reading rejected for another reason does not change `total`.
        """
        if raw < 0 or raw in self.sentinels:
            return Reason.SENTINEL
        if self.raw < 0:
            self.raw, self.at_ns = raw, at_ns
            return None
        if at_ns - self.at_ns >= self.shortest_wrap_ns:
            return self.restart(raw, at_ns, Reason.WRAP_UNKNOWN)
        return self._validate(raw, at_ns)

    def restart(self, raw: int, at_ns: int, reason: Reason = Reason.RESET) -> Reason:
        """Continue counting from `raw` without the growth since the last reading; return `reason`."""
        self.offset += self.raw - raw
        self.raw, self.at_ns = raw, at_ns
        self._clear_candidate()
        return reason

    def _validate(self, raw: int, at_ns: int) -> Reason | None:
        """Check a reading against the last accepted one, and against the rejected one after it if there is one."""
        # A reading made much later than its time stamp is rejected; the next one then shows growth that its own time
        # explains. A confirmed level that this growth does not explain never becomes energy, however much time passes.
        if not self._is_above_confirmed(raw) and self._fits(self.raw, self.at_ns, raw, at_ns):
            self._count(raw, at_ns)
            return None
        stays = self._candidate >= 0 and self._fits(self._candidate, self._candidate_ns, raw, at_ns)
        if not stays and raw < self.raw and self._within(raw, at_ns - self.at_ns):
            return self.restart(raw, at_ns, Reason.RESET)  # no more than it can have counted from 0
        if not stays:
            self._candidate_since_ns = at_ns
        elif at_ns - self._candidate_since_ns >= RESET_CONFIRMATION_NS:
            return self.restart(raw, at_ns, Reason.RESET)
        self._candidate, self._candidate_ns, self._confirmed = raw, at_ns, self._confirmed or stays
        return Reason.BACKWARD if raw < self.raw else Reason.IMPOSSIBLE

    def _is_above_confirmed(self, raw: int) -> bool:
        """Return whether a reading continues a level that the counter jumped to and that two readings confirmed."""
        return self._confirmed and self.raw <= self._candidate <= raw

    def _fits(self, raw: int, at_ns: int, later: int, later_ns: int) -> bool:
        """Return whether a counter can have grown from one reading to the other, with at most one wrap."""
        step = later - raw
        if step < 0 and raw <= self._modulus:
            step += self._modulus
        return step >= 0 and self._within(step, later_ns - at_ns)

    def _within(self, step: int, elapsed_ns: int) -> bool:
        return step <= self.max_per_ns * (max(elapsed_ns, 0) + self._slack_ns)

    def _count(self, raw: int, at_ns: int) -> None:
        if raw < self.raw:
            self.offset += self._modulus
        self.raw, self.at_ns = raw, at_ns
        self._clear_candidate()

    def _clear_candidate(self) -> None:
        self._candidate, self._confirmed = NEVER, False
