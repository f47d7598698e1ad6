"""The profiles that a fleet has refused: the cause may end, so that each is tried again, ever less often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REFUSED_SECONDS: Final = 3600.0
_LONGEST_SECONDS: Final = 86_400.0
_MOST_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: str
    times: int
    due_at: float


class Refusals:
    """Remembers the refused profiles. Each is due after `seconds`, then at doubling intervals of at most a day."""

    def __init__(self, seconds: float = REFUSED_SECONDS) -> None:
        self._seconds = seconds
        self._found: dict[str, _Refusal] = {}

    def due(self, uids: frozenset[str], now: float) -> frozenset[str]:
        """Return the profiles that were not refused, or whose time has come; forget those that are not among them."""
        self._found = {uid: each for uid, each in self._found.items() if uid in uids}
        return frozenset(uid for uid in uids if uid not in self._found or self._found[uid].due_at <= now)

    def note(self, tried: Collection[str], refused: Mapping[str, str], now: float) -> list[tuple[str, str]]:
        """Record the refused ones of the profiles that were tried; return those with a new reason, and the reason."""
        new = []
        for uid in tried:
            before = self._found.pop(uid, None)
            if uid in refused:
                times = before.times + 1 if before else 0
                wait = min(self._seconds * 2.0 ** min(times, _MOST_DOUBLINGS), _LONGEST_SECONDS)
                self._found[uid] = _Refusal(refused[uid], times, now + wait)
                if before is None or before.reason != refused[uid]:
                    new.append((uid, refused[uid]))
        return sorted(new)
