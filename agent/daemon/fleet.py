"""Pushes new profiles to the fleet while the service runs: a process does it, so that it never delays sampling.

The process starts only if the store has a profile that the last successful push did not see. While the fleet cannot be
reached the attempts become rarer; the profiles stay in the store, so that none is lost.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.runtime.logs import get_logger
from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.config import FleetConfig

FIRST_SECONDS: Final = 5.0
CHECK_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 3600.0
_MOST_DOUBLINGS: Final = 10
_NICENESS: Final = 10
_STOP_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 20.0
"""The time for which the process itself tries again; after it the thread waits longer."""

logger = get_logger("fleet")


class FleetPush:
    """Pushes the profiles of `database` to the place of the configuration as soon as there is a new one.

    `ids` returns the ids of the stored profiles, None while no process may start. They are compared after
    `first_seconds` and then every `seconds`. The wait doubles with each failure, up to an hour. Every wait is shortened
    by a random part of its half, so that hosts do not return at once after an outage.
    """

    def __init__(
        self,
        config: FleetConfig,
        database: str,
        ids: Callable[[], frozenset[str] | None],
        first_seconds: float = FIRST_SECONDS,
        seconds: float = CHECK_SECONDS,
    ) -> None:
        self._config = config
        self._database = database
        self._ids = ids
        self._first_seconds = first_seconds
        self._seconds = seconds
        self._pushed: frozenset[str] | None = None
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
            except Exception:  # the top of a thread: sampling continues without it
                logger.exception("fleet fault")
                self._failures += 1
            longest = min(self._seconds * 2.0 ** min(self._failures, _MOST_DOUBLINGS), _LONGEST_SECONDS)

    def _push_new(self) -> None:
        """Push if the store has profiles that the last success did not see."""
        try:
            ids = self._ids()
        except StoreError:  # the sampler reports it
            return
        if ids is None or (self._pushed is not None and ids <= self._pushed):
            return
        if not ids:
            self._pushed = ids
            return
        reason = self._run_process()
        if self._stopping.is_set():
            return
        if reason and reason != self._reason:
            logger.warning("profiles are not pushed: trying again", to=self._config.to, reason=reason)
        elif self._reason and not reason:
            logger.info("profiles are pushed again", to=self._config.to)
        self._reason = reason
        self._failures = self._failures + 1 if reason else 0
        if not reason:
            self._pushed = ids

    def _run_process(self) -> str:
        """Push once, in a process; return the reason of a failure, else nothing."""
        words = (self._config.to, self._config.password_file, "anonymize" if self._config.anonymize else "")
        with self._starting:
            if self._stopping.is_set():
                return ""
            # the database is passed in the environment: its URL may hold a password, and command lines are public
            self._process = process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.daemon.fleet", *words],
                env={**os.environ, "INFEROMETER_DATABASE": self._database},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        output, _ = process.communicate()
        with self._starting:
            self._process = None
        results = [json.loads(line) for line in output.splitlines() if line.startswith("{")]  # others are warnings
        if process.returncode or not results:
            return output.strip() or f"the process ended with {process.returncode}"
        for line in results[-1]["refused"]:
            logger.error("a profile is refused by the fleet", reason=line)
        if results[-1]["pushed"]:
            logger.info("profiles pushed", number=results[-1]["pushed"], to=self._config.to)
        return str(results[-1]["failure"])


def main(arguments: Sequence[str]) -> int:
    """Push the profiles of the store in $INFEROMETER_DATABASE to the place in `arguments`; print the result as JSON."""
    from agent.fleet.errors import FleetError  # noqa: PLC0415  the daemon's own process does not use it
    from agent.fleet.opening import opened_place  # noqa: PLC0415  same
    from agent.fleet.push import Pushed, Selection, push  # noqa: PLC0415  same
    from agent.fleet.retry import Retry  # noqa: PLC0415  same
    from agent.fleet.target import target_of  # noqa: PLC0415  same
    from store.database import open_database  # noqa: PLC0415  same
    from store.reader import Reader  # noqa: PLC0415  same

    with suppress(PermissionError):  # not essential
        os.nice(_NICENESS)
    to, password_file, anonymize = arguments
    done, failure = Pushed(), ""
    try:
        target = target_of(to, Path(password_file) if password_file else None)
        engine = open_database(os.environ["INFEROMETER_DATABASE"], create=False)
        try:
            with opened_place(target, Retry(lambda _: None, _RETRY_SECONDS)) as place:
                done = push(Reader(engine), place, Selection(anonymized=bool(anonymize)))
        finally:
            engine.dispose()
    except (FleetError, StoreError) as error:
        failure = str(error)
    refused = [f"{each.name}: {each.reason}" for each in done.refused]
    sys.stdout.write(f"\n{json.dumps({'pushed': len(done.uids), 'refused': refused, 'failure': failure})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
