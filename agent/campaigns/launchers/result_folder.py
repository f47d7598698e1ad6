"""A folder through which jobs return results: STEM.begun, then STEM.result, STEM.errors and last STEM.code."""

from __future__ import annotations

import os
import re
import stat
import time
from typing import TYPE_CHECKING, BinaryIO

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.job_notes import by_host
from agent.campaigns.launchers.processes import MOST_ERROR_BYTES
from agent.campaigns.records import MOST_RESULT_BYTES, Outcome
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent.campaigns.records import Task

_SUFFIXES = (".given", ".begun", ".part", ".result", ".errors", ".ended", ".code")
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MOST_CODE_BYTES, _MOST_TIME_BYTES = 16, 24
_TIMED_OUT = 124
"""The exit code of timeout(1)."""


def check_uids(tasks: Sequence[Task]) -> None:
    """Raise CampaignError for a uid that is no name of a file."""
    for task in tasks:
        if not _UID.fullmatch(task.uid):
            raise CampaignError(f"host {task.host.name}: the uid {quoted(task.uid)} is no name of a file")


class ResultFolder:
    """The tasks that have no outcome yet, and the outcomes that arrive in the folder.

    `stem` returns the name of a task's files, `submitted_ns` the time before which it cannot have begun. A command ran
    before the first listing with its STEM.code, whatever clock the file system has. It ran after the last one without
    its STEM.begun, unless the folder is `shared` and may show files late: then STEM.begun has a time of the head that
    was read before. The files of a host stay until it has all outcomes: a new head finds the facts of the host again.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[Task],
        stem: Callable[[Task], str],
        submitted_ns: Callable[[Task], int],
        *,
        shared: bool = False,
    ) -> None:
        self._folder = folder
        self._shared = shared
        self._tasks = by_host(tasks)
        self._waiting = by_host(tasks)
        self._stems = {task.uid: stem(task) for task in tasks}
        self._sent_ns = {task.uid: submitted_ns(task) for task in tasks}

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that have a task without an outcome."""
        return tuple(self._waiting)

    @property
    def first_hosts(self) -> tuple[str, ...]:
        """The hosts whose first task has no outcome."""
        return tuple(host for host, waiting in self._waiting.items() if len(waiting) == len(self._tasks[host]))

    def poll(self) -> Iterator[Outcome]:
        """Yield the outcomes that have arrived, those of a host in the order of its tasks."""
        before_ns = time.time_ns()
        names = {path.name for path in self._folder.iterdir()}
        after_ns = time.time_ns()
        for host in self.hosts:
            while task := self._next(host):
                stem = self._stems[task.uid]
                if f"{stem}.begun" not in names and not self._shared:
                    self._sent_ns[task.uid] = before_ns
                if f"{stem}.code" not in names:
                    break
                self._waiting[host].remove(task)
                yield self._outcome(task, after_ns)
                self._end(host)

    def lost(self, host: str, reason: str, *, detached: bool = False) -> Iterator[Outcome]:
        """Yield an outcome for each task of a host that has no result."""
        while task := self._next(host):
            self._waiting[host].remove(task)
            begun = (self._folder / f"{self._stems[task.uid]}.begun").exists()
            yield Outcome(task, None, b"", reason, self._sent_ns[task.uid], time.time_ns(), detached and begun)
            self._end(host)

    def drop(self, host: str) -> None:
        """Remove the tasks of a host that will have no outcome."""
        self._waiting[host] = []

    def _next(self, host: str) -> Task | None:
        return next(iter(self._waiting.get(host, ())), None)

    def _end(self, host: str) -> None:
        """Remove a host that has all outcomes, with its files; the caller has stored the last outcome."""
        if not self._waiting[host]:
            del self._waiting[host]
            for task in self._tasks[host]:
                for suffix in _SUFFIXES:
                    (self._folder / f"{self._stems[task.uid]}{suffix}").unlink(missing_ok=True)

    def _outcome(self, task: Task, received_ns: int) -> Outcome:
        stem = self._stems[task.uid]
        read_ns = _number(tail(self._folder / f"{stem}.begun", _MOST_TIME_BYTES)) or 0
        sent_ns = max(self._sent_ns[task.uid], read_ns if read_ns <= received_ns else 0)
        try:
            code = _number(_content(self._folder / f"{stem}.code", _MOST_CODE_BYTES).decode("ascii", "replace"))
            errors = tail(self._folder / f"{stem}.errors", MOST_ERROR_BYTES)
            path = self._folder / f"{stem}.result"
            result = _content(path, MOST_RESULT_BYTES) if path.is_symlink() or path.exists() else b""
        except OSError as error:
            return Outcome(task, None, b"", f"its result: {error.strerror or error}", sent_ns, received_ns)
        if code == _TIMED_OUT and not errors:
            errors = f"it did not end within {task.timeout_seconds:g} s: raise timeout_hours"
        return Outcome(task, code, result, errors, sent_ns, received_ns)


def tail(path: Path, most_bytes: int) -> str:
    """Return the end of a text, which is empty if the file is absent or no regular file."""
    try:
        with _opened(path) as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - most_bytes))
            return stream.read(most_bytes).decode("utf-8", "replace")
    except OSError:
        return ""


def _content(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file. Raises OSError, also if it is too large."""
    with _opened(path) as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"it is larger than {most_bytes >> 20} MiB")
    return content


def _opened(path: Path) -> BinaryIO:
    """Open a regular file that a host made. Raises OSError for a link or a pipe, which could wait forever."""
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError("it is no regular file")
    return stream


def _number(text: str) -> int | None:
    """Return the number in a file, None without one: a command that did not start has no exit code."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else None
