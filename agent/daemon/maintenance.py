"""Keeps the store small while the service runs: a process of its own compacts what is old and removes what is too old.

It is a process so that its work never holds up the interpreter that samples, and one that starts seldom, for its start
costs more than its work where little is sampled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Final

from agent.config import RetentionConfig
from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from store.maintenance.retention import Retention
    from store.records import Layout

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

logger = get_logger("maintenance")


def interval_seconds(layouts: Sequence[Layout], periods: Sequence[float]) -> float:
    """Return the seconds from one upkeep to the next: until a million samples, within five minutes and an hour."""
    rate = sum(len(layout.channels) / period for layout, period in zip(layouts, periods, strict=True))
    return min(max(_SAMPLES_AT_ONCE / rate if rate else LONGEST_SECONDS, SHORTEST_SECONDS), LONGEST_SECONDS)


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    """The result of one upkeep: why it failed, the number of damaged rows that it left alone, and the first of them.

    `too_large` has the size of a store that is larger than it may be. Texts are empty if there is nothing to report.
    """

    failure: str = ""
    damaged: int = 0
    first_damage: str = ""
    too_large: str = ""


class Maintenance:
    """Starts an upkeep every `seconds`, the first after five minutes; says once what fails, and tries again."""

    def __init__(
        self,
        database: str,
        retention_config: RetentionConfig,
        seconds: float,
        first_seconds: float = SHORTEST_SECONDS,
        prune_seconds: float = _PRUNE_SECONDS,
    ) -> None:
        self._database = database
        self._retention = retention_config
        self._seconds = seconds
        self._first_seconds = first_seconds
        self._prune_seconds = prune_seconds
        self._last_reason = ""
        self._damaged = 0
        self._too_large = False
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        """Start the thread that starts the processes."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what an upkeep has done so far stays done, and the rest is done another time."""
        self._stopping.set()
        with self._starting:  # a process that is just being started is terminated by the thread that starts it
            if self._process is not None:
                self._process.terminate()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        pruned_at = time.monotonic()
        wait = self._first_seconds
        while not self._stopping.wait(wait):
            prunes = time.monotonic() - pruned_at >= self._prune_seconds
            if self._run_once(prunes=prunes) and prunes:
                pruned_at = time.monotonic()
            wait = self._seconds

    def _run_once(self, *, prunes: bool) -> bool:
        try:
            result = self._run_process(prunes=prunes)
        except Exception as error:  # noqa: BLE001  the edge of a thread: said below, and tried again
            result = MaintenanceResult(failure=repr(error))
        if self._stopping.is_set():
            return False
        if result.failure and result.failure != self._last_reason:
            logger.error("maintenance of the store failed, and is tried again", reason=result.failure)
        elif self._last_reason and not result.failure:
            logger.info("maintenance of the store works again")
        self._last_reason = result.failure
        self._log_damage(result)
        if prunes and not result.failure:
            self._log_size(result.too_large)
        return not result.failure

    def _log_damage(self, result: MaintenanceResult) -> None:
        """Log that damaged rows were left alone, once until their number changes."""
        if result.damaged and result.damaged != self._damaged:
            remedy = "inferometer db check --repair"
            logger.error("damaged rows are left out", rows=result.damaged, first=result.first_damage, remedy=remedy)
        self._damaged = result.damaged

    def _log_size(self, size: str) -> None:
        """Say that nothing more may be removed from a store that is too large, and when it no longer is, each once."""
        if size and not self._too_large:
            logger.warning("the store stays larger than retention.raw_bytes", reason=size)
        elif self._too_large and not size:
            logger.info("the store is no larger than retention.raw_bytes again")
        self._too_large = bool(size)

    def _run_process(self, *, prunes: bool) -> MaintenanceResult:
        """Run one upkeep in a process of its own."""
        words = [str(limit) for limit in astuple(self._retention)]
        with self._starting:
            if self._stopping.is_set():
                return MaintenanceResult()
            # the database goes by the environment: its URL may hold a password, which everybody sees on a command line
            self._process = process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.daemon.maintenance", *(words if prunes else ())],
                env={**os.environ, "INFEROMETER_DATABASE": self._database},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        said, _ = process.communicate()
        with self._starting:
            self._process = None
        if process.returncode:
            return MaintenanceResult(failure=said.strip() or f"it ended with {process.returncode}")
        answers = [line for line in said.splitlines() if line.startswith("{")]  # others are warnings of the interpreter
        return (
            MaintenanceResult(**json.loads(answers[-1]))
            if answers
            else MaintenanceResult(failure=said.strip() or "it gave no answer")
        )


def retention_of(retention_config: RetentionConfig) -> Retention:
    """Return what the configuration says in the store's terms, in which no limit is None."""
    from store.maintenance.retention import Retention  # noqa: PLC0415  slow to import, and not needed to start

    return Retention(
        retention_config.raw_days * _DAY_SECONDS or None,
        retention_config.raw_bytes or None,
        retention_config.rollup_days * _DAY_SECONDS or None,
    )


def main(arguments: Sequence[str]) -> int:
    """Compact the store that the environment names; with `arguments`, the numbers of a RetentionConfig, prune it too.

    Prints the MaintenanceResult as JSON; returns the status to exit with.
    """
    from store.database import open_database  # noqa: PLC0415  the daemon's process has no use for it
    from store.errors import StoreError  # noqa: PLC0415  same
    from store.locks import maintenance_lock  # noqa: PLC0415  same

    with suppress(PermissionError):  # where not even this is allowed it is done all the same
        os.nice(_NICENESS)
    try:
        engine = open_database(os.environ["INFEROMETER_DATABASE"], create=False)
        with maintenance_lock(engine) as alone:
            result = _maintain(engine, arguments) if alone else MaintenanceResult()
    except StoreError as error:
        result = MaintenanceResult(failure=str(error))
    sys.stdout.write(f"\n{json.dumps(asdict(result))}\n")
    return 0


def _maintain(engine: Engine, arguments: Sequence[str]) -> MaintenanceResult:
    """Compact, then prune, whatever became of compacting."""
    from store.errors import StoreError  # noqa: PLC0415  same
    from store.maintenance.compaction import compact  # noqa: PLC0415  the daemon's process has no use for it
    from store.maintenance.retention import prune  # noqa: PLC0415  same

    result = MaintenanceResult()
    try:
        damaged = compact(engine, time.time_ns() - _YOUNGEST_NS).damaged
        result = MaintenanceResult(damaged=len(damaged), first_damage=str(damaged[0]) if damaged else "")
    except StoreError as error:
        result = MaintenanceResult(failure=str(error))
    except Exception as error:  # noqa: BLE001  a damaged row may hold anything: it must not keep prune from running
        result = MaintenanceResult(
            failure=f"compaction failed ({error!r}); find the damage with `inferometer db check`"
        )
    if not arguments:
        return result
    raw_days, raw_bytes, rollup_days = arguments
    try:
        pruned = prune(
            engine, retention_of(RetentionConfig(float(raw_days), int(raw_bytes), float(rollup_days))), time.time_ns()
        )
    except StoreError as error:
        return replace(result, failure=" ".join(filter(None, (result.failure, str(error)))))
    if pruned.too_large:
        left = "the rest is younger than two hours, belongs to stored runs, or is no samples"
        return replace(result, too_large=f"{pruned.size_bytes} bytes: {left}")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
