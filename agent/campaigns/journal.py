"""The journal of a campaign's run: one JSON line for each event, on the disk before the next step.

A line that was written in part, by a head that was killed or on a full disk, is not there for any reader. A damaged
line is left out: the work that it records is asked for again, and a host repeats none.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from agent.campaigns.errors import CampaignError
from agent.campaigns.events import Event, Noted, RunState, state_of
from agent.runtime import typed_json
from agent.runtime.output import output
from agent.runtime.text_input import TextInputError, named, quoted, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.campaigns.events import Begun

_JOURNAL, _ACCEPTED, _LOCK = "journal.jsonl", "accepted", "lock"
_LOCK_TRIES, _LOCK_SECONDS = 5, 0.1
"""A reader that asks whether a head runs has the lock for a moment."""
_MOST_BYTES = 1 << 30
_COMPACT = (",", ":")
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")


def new_run() -> str:
    """Return the id of a new run, by which the ids of its profiles begin: the second in UTC and eight random digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


class Journal:
    """The journal of one run, open for writing, with the state after its events. It has the launcher's notes."""

    def __init__(self, folder: Path, descriptor: int, state: RunState) -> None:
        self.folder = folder
        self.state = state
        self._descriptor = descriptor
        self._lock = Lock()

    def append(self, event: Event) -> None:
        """Store an event, and change the state; any thread may call this. Raises OSError of the disk."""
        with self._lock:
            _write(self._descriptor, event)
            self.state.apply(event)

    def get(self, key: str) -> str | None:
        """Return the text of a note of the launcher, None if there is none."""
        return self.state.notes.get(key)

    def put(self, key: str, text: str) -> None:
        """Store a note of the launcher in place of the last one of this key."""
        self.append(Noted(key, text))

    def bundle(self, uid: str) -> Path:
        """Return the path of a bundle that is not stored yet; `uid` is one that the head made."""
        return self.folder / f"{self.state.tasks[uid].planned.uid}.zip"


@contextmanager
def begin(folder: Path, begun: Begun) -> Iterator[Journal]:
    """Begin a run below the folder of its campaign, and yield its journal.

    Raises CampaignError if another head runs the campaign, and OSError.
    """
    own = folder / begun.run
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    with _head_of(folder):
        own.mkdir(mode=0o700)
        with _opened(own / _JOURNAL, flags) as descriptor:
            _write(descriptor, begun)
            for each in (own, folder):
                _sync(each)
            state = state_of([begun])
            if state is None:
                raise AssertionError  # it begins with its start
            yield Journal(own, descriptor, state)


@contextmanager
def resume(folder: Path, run: str) -> Iterator[Journal]:
    """Open the journal of a run again; the half-written line of a head that was killed is removed.

    Raises CampaignError if another head runs the campaign, or if the start of the run is damaged, and OSError.
    """
    own = folder / run
    with _head_of(folder), _opened(own / _JOURNAL, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC) as descriptor:
        state, size = _read(own)
        os.ftruncate(descriptor, size)
        yield Journal(own, descriptor, state)


def read_state(folder: Path, run: str) -> RunState:
    """Return the state of a run, which another head may be running. Raises CampaignError."""
    return _read(folder / run)[0]


def is_running(folder: Path) -> bool:
    """Return whether a head runs a campaign now: its newest run."""
    try:
        with _opened(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def newest_run(folder: Path) -> str | None:
    """Return the newest run of a campaign that has begun, None if there is none."""
    if not folder.is_dir():
        return None
    names = sorted((each.name for each in folder.iterdir() if _RUN.fullmatch(each.name)), reverse=True)
    return next((name for name in names if _has_begun(folder / name)), None)


def has_accepted(folder: Path) -> bool:
    """Return whether a run was accepted, even if its name cannot be read any more."""
    return (folder / _ACCEPTED).exists()


def accepted_run(folder: Path) -> str | None:
    """Return the run that later ones are compared with, None if none was accepted. Raises CampaignError."""
    path = folder / _ACCEPTED
    if not has_accepted(folder):
        return None
    try:
        run = read_bytes(path, 1 << 10, "the name of a run").decode("ascii", "replace").strip()
    except TextInputError as error:
        raise CampaignError(f"{named(path)}: {error}") from error
    if not _RUN.fullmatch(run):
        raise CampaignError(
            f"{named(path)}: {quoted(run)} is not a run, so there is nothing to compare with: "
            "`inferometer campaign accept` names one again"
        )
    return run


def accept_run(folder: Path, run: str) -> None:
    """Store the run that later ones are compared with. Raises OSError."""
    with output(folder / _ACCEPTED, 0o600) as stream:
        stream.write(f"{run}\n".encode())


@contextmanager
def _head_of(folder: Path) -> Iterator[None]:
    """Be the only head of a campaign during the block; the kernel ends this with the process."""
    with _opened(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC) as descriptor:
        for left in reversed(range(_LOCK_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    raise CampaignError(
                        f"campaign {folder.name} has a head already: wait for it, or end that process"
                    ) from None
                time.sleep(_LOCK_SECONDS)
        yield


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Write the names in a folder to the disk."""
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) as descriptor:
        os.fsync(descriptor)


def _write(descriptor: int, event: Event) -> None:
    """Append a line as a whole, or leave the journal as it was: a full disk must not leave a part of a line."""
    size = os.fstat(descriptor).st_size
    waiting = memoryview(f"{typed_json.to_json(event, separators=_COMPACT)}\n".encode())
    try:
        while waiting:
            waiting = waiting[os.write(descriptor, waiting) :]
        os.fsync(descriptor)
    except BaseException:  # Ctrl-C, too, must leave no part of a line
        os.ftruncate(descriptor, size)
        raise


def _read(folder: Path) -> tuple[RunState, int]:
    """Return the state of a journal, and the size of its complete lines."""
    path = folder / _JOURNAL
    try:
        content = read_bytes(path, _MOST_BYTES, "the journal of a campaign")
    except TextInputError as error:
        raise CampaignError(f"{named(path)}: {error}") from error
    size = content.rfind(b"\n") + 1
    events = [_event(line) for line in content[:size].splitlines()]
    state = state_of(events)
    if state is None:
        raise CampaignError(f"{named(path)}: its start is damaged: run the campaign again")
    state.damaged_lines = events.count(None)
    return state, size


def _event(line: bytes) -> Event | None:
    """Return the event of a line, None if the line is damaged."""
    try:
        found: Event = typed_json.from_json(line, Event)
    except (msgspec.MsgspecError, ValueError):
        return None
    return found


def _has_begun(folder: Path) -> bool:
    """Return whether a head wrote the start of a run: before that, it asks no host."""
    path = folder / _JOURNAL
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.readline(_MOST_BYTES).endswith(b"\n")
