"""Keeps the store small while the service runs: a process of its own compacts what is old and removes what is too old.

It is a process so that its work never holds up the interpreter that samples, and one that starts seldom, for its start
costs more than its work where little is sampled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from agent.config import Keeping
from agent.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Layout
    from store.retention import Retention

SHORTEST_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 3600.0
_SAMPLES_AT_ONCE: Final = 1_000_000
_YOUNGEST_NS: Final = 120_000_000_000
"""Ticks younger than two minutes are left alone: some may still wait to be stored."""
_PRUNE_SECONDS: Final = 3600.0
_NICENESS: Final = 10
"""Gives way to work, but not so far that a busy host keeps it from giving back the store's lock."""
_STOP_SECONDS: Final = 2.0
_DAY_SECONDS: Final = 86_400.0
_TOO_LARGE: Final = 3
"""The status of an upkeep that went well and leaves the store larger than it may be."""

logger = get_logger("upkeep")


def interval_seconds(layouts: Sequence[Layout], periods: Sequence[float]) -> float:
    """Return the seconds from one upkeep to the next: until a million samples, within five minutes and an hour."""
    rate = sum(len(layout.channels) / period for layout, period in zip(layouts, periods, strict=True))
    return min(max(_SAMPLES_AT_ONCE / rate if rate else LONGEST_SECONDS, SHORTEST_SECONDS), LONGEST_SECONDS)


class Upkeep:
    """Starts an upkeep every `seconds`, the first after five minutes; says once what fails, and tries again."""

    def __init__(
        self,
        database: str,
        keeping: Keeping,
        seconds: float,
        first_seconds: float = SHORTEST_SECONDS,
        prune_seconds: float = _PRUNE_SECONDS,
    ) -> None:
        self._database = database
        self._keeping = keeping
        self._seconds = seconds
        self._first_seconds = first_seconds
        self._prune_seconds = prune_seconds
        self._said = ""
        self._too_large = False
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Start the thread that starts the processes."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what an upkeep has done so far stays done, and the rest is done another time."""
        self._stopping.set()
        if (process := self._process) is not None:
            process.terminate()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        pruned_at = time.monotonic()
        wait = self._first_seconds
        while not self._stopping.wait(wait):
            prunes = time.monotonic() - pruned_at >= self._prune_seconds
            if self._succeeds(prunes=prunes) and prunes:
                pruned_at = time.monotonic()
            wait = self._seconds

    def _succeeds(self, *, prunes: bool) -> bool:
        try:
            status, said = self._do(prunes=prunes)
        except Exception as error:  # noqa: BLE001  the edge of a thread: said below, and tried again
            status, said = 1, repr(error)
        if self._stopping.is_set():
            return False
        failure = "" if status in (0, _TOO_LARGE) else said or f"it ended with {status}"
        if failure and failure != self._said:
            logger.error("upkeep of the store failed, and is tried again", reason=failure)
        elif self._said and not failure:
            logger.info("upkeep of the store works again")
        self._said = failure
        if prunes and not failure:
            self._tell_size(said, too_large=status == _TOO_LARGE)
        return not failure

    def _tell_size(self, size: str, *, too_large: bool) -> None:
        """Say that nothing more may be removed from a store that is too large, and when it no longer is, each once."""
        if too_large and not self._too_large:
            logger.warning("the store stays larger than retention.raw_bytes", reason=size)
        elif self._too_large and not too_large:
            logger.info("the store is no larger than retention.raw_bytes again")
        self._too_large = too_large

    def _do(self, *, prunes: bool) -> tuple[int, str]:
        """Let a process do one upkeep; return its status, and what it said."""
        words = [str(limit) for limit in astuple(self._keeping)]
        # the database goes by the environment: its URL may hold a password, which everybody sees on a command line
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", "agent.upkeep", *(words if prunes else ())],
            env={**os.environ, "INFEROMETER_DATABASE": self._database},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said, _ = process.communicate()
        self._process = None
        return process.returncode, said.strip()


def retention_of(keeping: Keeping) -> Retention:
    """Return what the configuration says in the store's terms, in which no limit is None."""
    from store.retention import Retention  # noqa: PLC0415  slow to import, and not needed to start

    return Retention(
        keeping.raw_days * _DAY_SECONDS or None, keeping.raw_bytes or None, keeping.rollup_days * _DAY_SECONDS or None
    )


def main(arguments: Sequence[str]) -> int:
    """Do one upkeep of the store that the environment names; with `arguments`, a Keeping's numbers, prune it too.

    Returns the status to exit with.
    """
    from store.compact import compact  # noqa: PLC0415  the daemon's process has no use for it
    from store.database import open_database  # noqa: PLC0415  same
    from store.errors import StoreError  # noqa: PLC0415  same
    from store.retention import prune  # noqa: PLC0415  same

    with suppress(PermissionError):  # where not even this is allowed it is done all the same
        os.nice(_NICENESS)
    try:
        engine = open_database(os.environ["INFEROMETER_DATABASE"], create=False)
        compact(engine, time.time_ns() - _YOUNGEST_NS)
        if arguments:
            raw_days, raw_bytes, rollup_days = arguments
            keeping = Keeping(float(raw_days), int(raw_bytes), float(rollup_days))
            pruned = prune(engine, retention_of(keeping), time.time_ns())
            if pruned.too_large:
                left = "the rest is younger than two hours, belongs to stored runs, or is no samples"
                sys.stdout.write(f"{pruned.size_bytes} bytes: {left}")
                return _TOO_LARGE
    except StoreError as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
