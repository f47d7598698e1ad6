"""Calls that a driver may never let return: each in a thread of its own, which is left behind after its deadline."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class NoAnswerError(Exception):
    """A call that did not return in time."""


class Call(Generic[T]):
    """A call in a thread of its own, which begins at once.

    `discard` gets a result that comes after it was given up; `name` is that of the thread.
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

    def result(self, seconds: float) -> T:
        """Return the result, or raise the call's error; wait so many seconds for it at most.

        Raises NoAnswerError after that; a later result is discarded.
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
    """Return the result of a call, or raise its error. Raises NoAnswerError if there is none within so many seconds.

    `discard` gets a result that comes later; `name` is that of the thread that waits for it.
    """
    return Call(call, name, discard).result(seconds)
