"""Pushes new profiles to the fleet while the service runs: a process does it, so that it never delays sampling.

The process starts only if the store has a profile that no earlier push has settled, and never while this host is
measured; a measurement that starts meanwhile ends it. While the fleet cannot be reached the attempts become rarer; the
profiles stay in the store, so that none is lost.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.daemon.fleet_refusals import REFUSED_SECONDS, Refusals
from agent.runtime.logs import get_logger
from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agent.config import FleetConfig
    from agent.fleet.place import Place

FIRST_SECONDS: Final = 5.0
CHECK_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 3600.0
_MOST_DOUBLINGS: Final = 10
_MEASURED_SECONDS: Final = 0.5
"""The time between two checks for a measurement while a process pushes."""
_NICENESS: Final = 19
_STOP_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 20.0
"""The time for which the process itself tries again; after it the thread waits longer."""

logger = get_logger("fleet")


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of one process: the number of new profiles, the reasons of the refused ones, and its failure."""

    pushed: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    failure: str = ""


class FleetPush:
    """Pushes the profiles of `database` to the place of the configuration as soon as there is a new one.

    `uids` returns the ids of the profiles that this store measured, `is_measured` whether the host is measured now.
    They are asked after `first_seconds` and then every `seconds`. The wait doubles with each failure, up to an hour.
    Every wait is shortened by a random part of its half, so that hosts do not return at once after an outage. A refused
    profile is tried again after `refused_seconds`, then ever less often.
    `cpu_share` of one processor is all that a process uses on average; 0 sets no limit.
    """

    def __init__(
        self,
        config: FleetConfig,
        database: str,
        uids: Callable[[], frozenset[str]],
        is_measured: Callable[[], bool],
        cpu_share: float,
        first_seconds: float = FIRST_SECONDS,
        seconds: float = CHECK_SECONDS,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        self._config = config
        self._database = database
        self._uids = uids
        self._is_measured = is_measured
        self._cpu_share = cpu_share
        self._first_seconds = first_seconds
        self._seconds = seconds
        self._settled: frozenset[str] = frozenset()
        self._refusals = Refusals(refused_seconds)
        self._reason = ""
        self._failures = 0
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def start(self) -> None:
        """Start the thread that runs the processes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; the next start pushes the profiles that were not pushed."""
        self._stopping.set()
        with self._starting:  # the thread that is starting a process terminates it
            if self._process is not None:
                self._process.terminate()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        longest = self._first_seconds
        while not self._stopping.wait(random.uniform(longest / 2, longest)):  # noqa: S311  no secret depends on it
            try:
                self._push_new()
            except StoreError:  # the sampler reports it
                continue
            except Exception:  # the top of a thread: sampling continues without it
                logger.exception("fleet fault")
                self._failures += 1
            longest = min(self._seconds * 2.0 ** min(self._failures, _MOST_DOUBLINGS), _LONGEST_SECONDS)

    def _push_new(self) -> None:
        """Push the profiles that no earlier push has settled, and the refused ones whose time has come."""
        if self._is_measured():
            return
        uids = self._uids()
        self._settled &= uids
        new = self._refusals.due(uids - self._settled, time.monotonic())
        result = self._run_process(new) if new else None
        if result is None or self._stopping.is_set():
            return
        self._log_failure(result.failure)
        if result.pushed:
            logger.info("profiles pushed", number=result.pushed, to=self._config.to)
        if not result.failure:
            for uid, reason in self._refusals.note(new, result.refused, time.monotonic()):
                logger.error("a profile is refused by the fleet", profile=uid, reason=reason)
            self._settled |= new - result.refused.keys()

    def _log_failure(self, reason: str) -> None:
        if reason and reason != self._reason:
            logger.warning("profiles are not pushed: trying again", to=self._config.to, reason=reason)
        elif self._reason and not reason:
            logger.info("profiles are pushed again", to=self._config.to)
        self._reason = reason
        self._failures = self._failures + 1 if reason else 0

    def _run_process(self, uids: Collection[str]) -> _Result | None:
        """Push profiles in a process; return None if a measurement or a stop ended it."""
        words = (
            self._config.to,
            self._config.password_file,
            "anonymize" if self._config.anonymize else "",
            f"{self._cpu_share:g}",
        )
        with self._starting:
            if self._stopping.is_set():
                return None
            # the database is passed in the environment: its URL may hold a password, and command lines are public
            self._process = process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.daemon.fleet", *words],
                env={**os.environ, "INFEROMETER_DATABASE": self._database},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        try:
            output = self._output(process, json.dumps(sorted(uids)))
        finally:
            with self._starting:
                self._process = None
        if output is None:
            return None
        results = [json.loads(line) for line in output.splitlines() if line.startswith("{")]  # others are warnings
        if process.returncode or not results:
            return _Result(failure=output.strip() or f"the process ended with {process.returncode}")
        return _Result(**results[-1])

    def _output(self, process: subprocess.Popen[str], given: str) -> str | None:
        """Return all that a process printed; None if a measurement began, which ends the process."""
        text: str | None = given
        measured = False
        try:
            while True:
                try:
                    output, _ = process.communicate(text, _MEASURED_SECONDS)
                except subprocess.TimeoutExpired:
                    text = None  # it has been given already
                    if not measured and self._is_measured():
                        measured = True
                        process.terminate()
                else:
                    return None if measured else output
        finally:
            if process.poll() is None:  # the store failed meanwhile
                process.kill()
                process.wait()


class _Pace:
    """Pauses between two transactions, so that this process uses no more than a share of one processor on average."""

    def __init__(self, share: float, place: Place) -> None:
        self._share = share
        self._place = place
        self._began = time.monotonic()

    def __call__(self, _pushed: int, left: int) -> None:
        wait = time.process_time() / self._share - (time.monotonic() - self._began) if self._share else 0.0
        if left and wait > 0:
            self._place.close()  # other hosts may need the connection
            time.sleep(wait)


def main(arguments: Sequence[str], uids: Collection[str]) -> int:
    """Push profiles of the store in $INFEROMETER_DATABASE as `arguments` state; print the result as JSON."""
    from agent.fleet.errors import FleetError  # noqa: PLC0415  the daemon's own process does not use it
    from agent.fleet.opening import opened_place  # noqa: PLC0415  same
    from agent.fleet.push import Pushed, Selection, push  # noqa: PLC0415  same
    from agent.fleet.retry import Retry  # noqa: PLC0415  same
    from agent.fleet.target import target_of  # noqa: PLC0415  same
    from store.database import open_database  # noqa: PLC0415  same
    from store.reader import Reader  # noqa: PLC0415  same

    to, password_file, anonymize, share = arguments
    done, failure = Pushed(), ""
    try:
        target = target_of(to, Path(password_file) if password_file else None)
        engine = open_database(os.environ["INFEROMETER_DATABASE"], create=False)
        try:
            with opened_place(target, Retry(lambda _: None, _RETRY_SECONDS)) as place:
                selection = Selection(anonymized=bool(anonymize), uids=frozenset(uids))
                done = push(Reader(engine), place, selection, _Pace(float(share), place))
        finally:
            engine.dispose()
    except (FleetError, StoreError) as error:
        failure = str(error)
    refused = {each.name: each.reason for each in done.refused}
    sys.stdout.write(f"\n{json.dumps({'pushed': len(done.uids), 'refused': refused, 'failure': failure})}\n")
    return 0


def _main() -> int:
    """Run as a process of low priority, which cleans up when it is terminated."""
    from agent.runtime.signals import install_signal_handlers, interruptible  # noqa: PLC0415  same

    with suppress(OSError):  # not essential
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    install_signal_handlers()
    with suppress(KeyboardInterrupt), interruptible():
        return main(sys.argv[1:], json.load(sys.stdin))
    return 1


if __name__ == "__main__":
    sys.exit(_main())
