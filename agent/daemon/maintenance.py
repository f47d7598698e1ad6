"""Maintains the store while the service runs: a process compacts old samples and removes expired ones.

A process does this so that it never delays the sampling threads. It runs rarely, as its start costs more than its work
if there are few samples.
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
"""Ticks younger than two minutes are not compacted: some may not be stored yet."""
_PRUNE_SECONDS: Final = 3600.0
_NICENESS: Final = 10
"""Low priority, but not so low that a busy host delays the release of the store's lock."""
_STOP_SECONDS: Final = 2.0
_DAY_SECONDS: Final = 86_400.0

logger = get_logger("maintenance")


def interval_seconds(layouts: Sequence[Layout], periods: Sequence[float]) -> float:
    """Return the seconds between two runs: the time of a million samples, from five minutes to an hour."""
    rate = sum(len(layout.channels) / period for layout, period in zip(layouts, periods, strict=True))
    return min(max(_SAMPLES_AT_ONCE / rate if rate else LONGEST_SECONDS, SHORTEST_SECONDS), LONGEST_SECONDS)


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    """The result of one run: its error, the number of damaged rows, and a description of the first of them.

    `too_large` describes a store above its size limit. Texts are empty if there is nothing to report.
    """

    failure: str = ""
    damaged: int = 0
    first_damage: str = ""
    too_large: str = ""


class Maintenance:
    """Runs the maintenance every `seconds`, first after five minutes; logs each failure once, and retries."""

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
        """Start the thread that runs the processes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; the work that a run has completed remains, and a later run does the rest."""
        self._stopping.set()
        with self._starting:  # the thread that is starting a process terminates it
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
        except Exception as error:  # noqa: BLE001  the top of a thread: logged below, and retried
            result = MaintenanceResult(failure=repr(error))
        if self._stopping.is_set():
            return False
        if result.failure and result.failure != self._last_reason:
            logger.error("maintenance of the store failed: retrying", reason=result.failure)
        elif self._last_reason and not result.failure:
            logger.info("maintenance of the store works again")
        self._last_reason = result.failure
        self._log_damage(result)
        if prunes and not result.failure:
            self._log_size(result.too_large)
        return not result.failure

    def _log_damage(self, result: MaintenanceResult) -> None:
        """Log damaged rows, once until their number changes."""
        if result.damaged and result.damaged != self._damaged:
            remedy = "inferometer db check --repair"
            logger.error(
                "damaged rows are not compacted", rows=result.damaged, first=result.first_damage, remedy=remedy
            )
        self._damaged = result.damaged

    def _log_size(self, size: str) -> None:
        """Log a store that stays above its size limit, and the end of that, each once."""
        if size and not self._too_large:
            logger.warning("the store stays larger than retention.raw_bytes", reason=size)
        elif self._too_large and not size:
            logger.info("the store is within retention.raw_bytes again")
        self._too_large = bool(size)

    def _run_process(self, *, prunes: bool) -> MaintenanceResult:
        """Run the maintenance once, in its own process."""
        words = [str(limit) for limit in astuple(self._retention)]
        with self._starting:
            if self._stopping.is_set():
                return MaintenanceResult()
            # the database is passed in the environment: its URL may hold a password, and command lines are public
            self._process = process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.daemon.maintenance", *(words if prunes else ())],
                env={**os.environ, "INFEROMETER_DATABASE": self._database},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        output, _ = process.communicate()
        with self._starting:
            self._process = None
        if process.returncode:
            return MaintenanceResult(failure=output.strip() or f"it ended with {process.returncode}")
        results = [line for line in output.splitlines() if line.startswith("{")]  # other lines are warnings
        return (
            MaintenanceResult(**json.loads(results[-1]))
            if results
            else MaintenanceResult(failure=output.strip() or "it printed no result")
        )


def retention_of(retention_config: RetentionConfig) -> Retention:
    """Return the configuration as the store's record, in which None is no limit."""
    from store.maintenance.retention import Retention  # noqa: PLC0415  slow to import, and not needed at the start

    return Retention(
        retention_config.raw_days * _DAY_SECONDS or None,
        retention_config.raw_bytes or None,
        retention_config.rollup_days * _DAY_SECONDS or None,
    )


def main(arguments: Sequence[str]) -> int:
    """Compact the store in $INFEROMETER_DATABASE; with `arguments`, the values of a RetentionConfig, prune it too.

    Prints the MaintenanceResult as JSON; returns the exit code.
    """
    from store.database import open_database  # noqa: PLC0415  the daemon's own process does not use it
    from store.errors import StoreError  # noqa: PLC0415  same
    from store.locks import maintenance_lock  # noqa: PLC0415  same

    with suppress(PermissionError):  # not essential
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
    """Compact, then prune, even if compaction failed."""
    from store.errors import StoreError  # noqa: PLC0415  same
    from store.maintenance.compaction import compact  # noqa: PLC0415  the daemon's own process does not use it
    from store.maintenance.retention import prune  # noqa: PLC0415  same

    result = MaintenanceResult()
    try:
        damaged = compact(engine, time.time_ns() - _YOUNGEST_NS).damaged
        result = MaintenanceResult(damaged=len(damaged), first_damage=str(damaged[0]) if damaged else "")
    except StoreError as error:
        result = MaintenanceResult(failure=str(error))
    except Exception as error:  # noqa: BLE001  a damaged row may cause any error, and must not prevent pruning
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
        left = "the remaining data cannot be pruned: it is newer than two hours, part of a stored run, or not samples"
        return replace(result, too_large=f"{pruned.size_bytes} bytes: {left}")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
