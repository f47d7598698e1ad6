"""Calls with a deadline: each runs in its own thread, which is abandoned if a driver never returns."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class NoAnswerError(Exception):
    """The call did not return in time."""


class Call(Generic[T]):
    """A call in a thread of its own called `name`, which starts at once.

    `discard` receives a result that arrives after the deadline.
    """

    def __init__(self, call: Callable[[], T], name: str, discard: Callable[[T], object] | None = None) -> None:
        self._call = call
        self._discard = discard
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._given_up = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        result: list[T] = []
        error = None
        try:
            result.append(self._call())
        except Exception as raised:  # noqa: BLE001  raised again by `result`
            error = raised
        with self._lock:
            self._results, self._error = result, error
            self._ended.set()
            late = result if self._given_up else []
        if self._discard:
            for each in late:
                self._discard(each)

    @property
    def has_ended(self) -> bool:
        """Whether the call has returned or raised."""
        return self._ended.is_set()

    def result(self, seconds: float) -> T:
        """Wait at most `seconds`; return the result or raise the call's error.

        Raises NoAnswerError at the deadline; a later result is discarded.
        """
        self._ended.wait(max(0.0, seconds))
        with self._lock:
            self._given_up = not self._ended.is_set()
        if self._given_up:
            raise NoAnswerError
        if self._error:
            raise self._error
        return self._results[0]


def within(seconds: float, call: Callable[[], T], name: str, discard: Callable[[T], object] | None = None) -> T:
    """Return the result of a call or raise its error. Raises NoAnswerError after `seconds`.

    `discard` receives a result that arrives later; `name` is the name of the waiting thread.
    """
    return Call(call, name, discard).result(seconds)
