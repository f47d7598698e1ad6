"""The state of the store for the log, the status line, /-/ready and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger
from store.errors import StoreError, StoreInUseError, UnstorableError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = get_logger("store")


@dataclass(frozen=True, slots=True)
class StoreState:
    """The last error of the store (empty if it works), the time of the last commit, and the number of waiting ticks.

    `last_commit_ns` is Unix time, None before the first commit of this process.
    """

    reason: str
    last_commit_ns: int | None
    waiting: int

    @property
    def up(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return not self.reason

    def summary(self) -> str:
        """Return a sentence about a failing store, empty if it is up."""
        return f"{self.waiting} ticks wait for the store: {self.reason}" if self.reason else ""


class StoreErrorLog:
    """Records the results of writes to the store; logs a failure once, each change of its reason, and the recovery."""

    def __init__(self, wake: Callable[[], object] = lambda: None) -> None:
        self.reason = ""
        self.is_transient = False
        self._wake = wake
        self.last_commit_ns: int | None = None

    def failed(self, error: Exception) -> None:
        """Record an error of the store; it `is_transient` unless these ticks or this daemon can never be stored."""
        self.is_transient = isinstance(error, StoreError) and not isinstance(error, UnstorableError | StoreInUseError)
        if str(error) != self.reason:
            self.reason = str(error)
            logger.error("samples wait: the store cannot be written", reason=self.reason)

    def recovered(self) -> None:
        """Record that a write succeeded again, and call `wake`: a restart may have been deferred until now."""
        self.reason, self.is_transient = "", False
        logger.info("the store can be written again")
        self._wake()

    def committed(self, now_ns: int) -> None:
        """Record that ticks were stored."""
        self.last_commit_ns = now_ns

    def state(self, waiting: Callable[[], int]) -> StoreState:
        """Return the present state; `waiting` counts the ticks that are not stored yet."""
        return StoreState(self.reason, self.last_commit_ns, waiting())


class StoreRetry:
    """Spaces the attempts to open a store that may work later: 1, 2, 4 ... seconds, at most `longest_seconds`."""

    def __init__(self, longest_seconds: float = 60.0) -> None:
        self._longest_seconds = longest_seconds
        self._attempts = 0
        self._last_reason = ""

    def after(self, error: Exception) -> float:
        """Log a failure unless it is the same as before; return the seconds until the next attempt."""
        if str(error) != self._last_reason:
            self._last_reason = str(error)
            logger.error("the store is not available yet: retrying", reason=self._last_reason)
        self._attempts += 1
        return min(2.0 ** (self._attempts - 1), self._longest_seconds)
