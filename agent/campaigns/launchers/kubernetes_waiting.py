"""A host of a campaign in Kubernetes: its tasks without an outcome, and the reads of the log of its pod.

Each log is read in a thread with a time limit, so that a node that does not answer delays no other host.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.kubernetes_jobs import logged
from agent.campaigns.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from agent.campaigns.launchers.kubernetes_cluster import Cluster, JobState, Log
    from agent.campaigns.records import Task

    Proceed = Callable[[Outcome], bool]
    ReadLog = Callable[[str], Future[Log]]

_READERS = 16
"""The logs that are read at once."""
_BETWEEN_SECONDS = 60.0
"""The time between two reads of the log of a host, after its facts."""
_RETRY_SECONDS = 15.0
"""The time after a read that failed."""
_UNREADABLE_SECONDS = 600.0
_HOPELESS_SECONDS = 60.0
_MOST_ERRORS = 1 << 14


@contextmanager
def log_readers(cluster: Cluster) -> Iterator[ReadLog]:
    """Yield the function that begins to read the log of a pod; the reads end with the block."""
    stop = threading.Event()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="kubectl") as pool:
        try:
            yield lambda pod: pool.submit(cluster.log, pod, stop)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


@dataclass(slots=True)
class WaitingHost:
    """A host with tasks that have no outcome; its first task did not begin before `sent_ns`."""

    job: str
    tasks: list[Task]
    sent_ns: int
    since: float
    keeps_job: bool = False
    """Whether its Job may still end well, so that a later head shall find it."""
    _is_first: bool = True
    _due: float = 0.0
    _reading: Future[Log] | None = None
    _unreadable_since: float | None = None
    _hopeless_since: float | None = None
    _ended_at: float | None = None

    def advance(
        self, state: JobState | None, wait_seconds: float, read: ReadLog, proceed: Proceed
    ) -> Iterator[Outcome]:
        """Yield the outcomes that the state of its Job and its log have now; begin to read its log if that is due."""
        if state is None:
            yield from self.lost(f"the Job {self.job} was deleted", proceed)
        elif state.phase == "pending":
            if late := self._late(state, wait_seconds):
                yield from self.lost(late, proceed)
        elif not state.pod:
            yield from self.lost(f"the Job {self.job} ended without a result: {state.reason}", proceed)
        else:
            yield from self._read(state, read, proceed)

    def lost(self, reason: str, proceed: Proceed) -> Iterator[Outcome]:
        """Yield an outcome for each task that has none."""
        detached = self.keeps_job
        while self.tasks:
            outcome = Outcome(self.tasks.pop(0), None, b"", reason, self.sent_ns, time.time_ns(), detached)
            if not proceed(outcome):
                self.tasks.clear()
            yield outcome

    def _late(self, state: JobState, wait_seconds: float) -> str:
        """Return why a Job that has not started is given up, empty while it may start."""
        now = time.monotonic()
        self._hopeless_since = (self._hopeless_since or now) if state.is_hopeless else None
        since, limit = self.since, wait_seconds
        if self._hopeless_since is not None:
            since, limit = self._hopeless_since, min(_HOPELESS_SECONDS, wait_seconds)
        if now - since <= limit:
            return ""
        return f"the Job {self.job} did not start within {limit / 60:g} minutes: {state.reason}"

    def _read(self, state: JobState, read: ReadLog, proceed: Proceed) -> Iterator[Outcome]:
        now = time.monotonic()
        if state.phase == "ended" and self._ended_at is None:
            self._ended_at = self._due = now
        if self._reading and self._reading.done():
            done, self._reading = self._reading, None
            try:
                log = done.result()
            except CampaignError as error:
                yield from self._failed(str(error), proceed)
            else:
                yield from self._arrived(log, state, proceed)
        if self.tasks and self._reading is None and now >= self._due:
            self._reading = read(state.pod)
            self._due = now if self._is_first else now + _BETWEEN_SECONDS

    def _failed(self, reason: str, proceed: Proceed) -> Iterator[Outcome]:
        """Read again later; a log that cannot be read for long is that of a lost host."""
        now = time.monotonic()
        self._unreadable_since = self._unreadable_since or now
        self._due = now + _RETRY_SECONDS
        if now - self._unreadable_since > _UNREADABLE_SECONDS:
            self.keeps_job = self._ended_at is None
            minutes = f"{_UNREADABLE_SECONDS / 60:g} minutes"
            yield from self.lost(f"the log of the Job {self.job} cannot be read for {minutes}: {reason}", proceed)

    def _arrived(self, log: Log, state: JobState, proceed: Proceed) -> Iterator[Outcome]:
        """Yield the outcomes that a log shows, in the order of the tasks; an empty one shows that none has begun."""
        self._unreadable_since = None
        if self._is_first and not log.text.strip():
            self.sent_ns = log.began_ns
        while self.tasks and (outcome := self._next(log)):
            del self.tasks[0]
            self._is_first = False
            if not proceed(outcome):
                self.tasks.clear()
            yield outcome
        if self._ended_at is not None and log.began >= self._ended_at:
            yield from self.lost(f"the Job {self.job} ended without a result: {state.reason}", proceed)

    def _next(self, log: Log) -> Outcome | None:
        task = self.tasks[0]
        made = partial(Outcome, task, sent_ns=self.sent_ns, received_ns=log.ended_ns)
        try:
            end = logged(log.text, task.uid)
        except ValueError as error:
            return made(None, b"", str(error))
        return None if end is None else made(end.code, end.result, end.messages[-_MOST_ERRORS:])
