"""Runs the requests to one device one after the other, each within a deadline that nothing can exceed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from probes.deadline import Call, NoAnswerError
from probes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Exchange:
    """The requests to the device `name`; each has `seconds`, even if a resolver or a library does not return.

    A request that does not end is waited for by the next ones, so at most one thread waits for a device.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._name, self._seconds = name, seconds
        self._late: Call[Any] | None = None

    def run(self, request: Callable[[], T]) -> T:
        """Return the result of a request or raise its error. Raises ReadError if there is none in time."""
        if self._late is not None:
            if not self._late.has_ended:
                raise ReadError(f"{self._name} still has not answered an earlier request")
            self._late = None
        call = Call(request, f"meter-{self._name}")
        try:
            return call.result(self._seconds)
        except NoAnswerError:
            self._late = call
            raise ReadError(f"{self._name} did not answer within {self._seconds:g} s") from None
