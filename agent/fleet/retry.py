"""Repeats what a database refuses for a moment: at its limit of connections, during a restart, after a deadlock."""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, TypeVar

from store.errors import StoreError, TransientStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")
RETRY_SECONDS = 120.0
_FIRST_SECONDS, _LONGEST_SECONDS = 0.25, 15.0
_FINAL = re.compile(
    r"authentication failed|does not exist|pg_hba\.conf|no password|certificate|private key|not support SSL",
    re.IGNORECASE,
)
"""Reasons of a refused connection that no attempt changes. libpq gives no code for them: those of a server with
messages in another language are tried again until the time is over.
"""
_NO_RIGHT = re.compile("permission denied for database|not permitted to log ?in", re.IGNORECASE)
"""Reasons of the same kind that the owner of the database can end (SQLSTATE 42501 and 28000)."""
_GRANT = (
    "Its owner runs the script of `inferometer fleet sql host` for a login that pushes, or grants inferometer_readers "
    "to one that reads"
)


class Retry:
    """Calls a function until it succeeds, for up to `seconds`; `report` receives each wait.

    The waits double from a quarter of a second to 15 s, and each is a random part of that, so that hundreds of clients
    which a server refused at once do not return at once.
    """

    def __init__(self, report: Callable[[str], object], seconds: float = RETRY_SECONDS) -> None:
        self._report = report
        self._seconds = seconds

    def __call__(self, call: Callable[[], _Result]) -> _Result:
        """Return the result of the call. Raises its last StoreError."""
        ends, longest = time.monotonic() + self._seconds, _FIRST_SECONDS
        while True:
            try:
                return call()
            except TransientStoreError as error:
                if _NO_RIGHT.search(error.cause):
                    raise StoreError(error.database, error.cause, _GRANT) from error
                wait = random.uniform(0, longest)  # noqa: S311  no secret depends on it
                if _FINAL.search(error.cause) or time.monotonic() + wait > ends:
                    raise
                self._report(f"{error.database}: {error.cause}: trying again in {wait:.1f} s")
                longest = min(2 * longest, _LONGEST_SECONDS)
            time.sleep(wait)
