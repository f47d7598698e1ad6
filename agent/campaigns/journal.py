"""The journal of a campaign's run: one JSON line for each event, on the disk before the next step."""

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
from agent.runtime.text_input import TextInputError, named, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.campaigns.events import Begun

_JOURNAL, _ACCEPTED = "journal.jsonl", "accepted"
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
    """Begin a run below the folder of its campaign, and yield its journal. Raises CampaignError and OSError."""
    own = folder / begun.run
    own.mkdir(mode=0o700, parents=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    with _locked(own, os.open(own / _JOURNAL, flags, 0o600)) as descriptor:
        _write(descriptor, begun)
        state = state_of([begun])
        if state is None:
            raise AssertionError  # it begins with its start
        yield Journal(own, descriptor, state)


@contextmanager
def resume(folder: Path, run: str) -> Iterator[Journal]:
    """Open the journal of a run again; the half-written line of a head that was killed is removed.

    Raises CampaignError if another head runs it, or if it is damaged, and OSError.
    """
    own = folder / run
    with _locked(own, os.open(own / _JOURNAL, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)) as descriptor:
        state, size = _read(own)
        os.ftruncate(descriptor, size)
        yield Journal(own, descriptor, state)


def read_state(folder: Path, run: str) -> RunState:
    """Return the state of a run, which another head may be running. Raises CampaignError."""
    return _read(folder / run)[0]


def is_running(folder: Path, run: str) -> bool:
    """Return whether a head runs a run now."""
    try:
        with _locked(folder / run, os.open(folder / run / _JOURNAL, os.O_RDONLY | os.O_CLOEXEC)):
            return False
    except CampaignError:
        return True


def newest_run(folder: Path) -> str | None:
    """Return the newest run of a campaign that has begun, None if there is none."""
    if not folder.is_dir():
        return None
    names = sorted((each.name for each in folder.iterdir() if _RUN.fullmatch(each.name)), reverse=True)
    return next((name for name in names if _has_begun(folder / name)), None)


def accepted_run(folder: Path) -> str | None:
    """Return the run that later ones are compared with, None if none was accepted."""
    try:
        run = read_bytes(folder / _ACCEPTED, 1 << 10, "the name of a run").decode().strip()
    except (TextInputError, UnicodeDecodeError):
        return None
    return run if _RUN.fullmatch(run) else None


def accept_run(folder: Path, run: str) -> None:
    """Store the run that later ones are compared with. Raises OSError."""
    with output(folder / _ACCEPTED, 0o600) as stream:
        stream.write(f"{run}\n".encode())


@contextmanager
def _locked(folder: Path, descriptor: int) -> Iterator[int]:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CampaignError(f"run {folder.name} has a head already: wait for it, or end that process") from None
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, event: Event) -> None:
    waiting = memoryview(f"{typed_json.to_json(event, separators=_COMPACT)}\n".encode())
    while waiting:
        waiting = waiting[os.write(descriptor, waiting) :]
    os.fsync(descriptor)


def _read(folder: Path) -> tuple[RunState, int]:
    """Return the state of a journal, and the size of its complete lines."""
    path = folder / _JOURNAL
    try:
        content = read_bytes(path, _MOST_BYTES, "the journal of a campaign")
        size = content.rfind(b"\n") + 1
        state = state_of(typed_json.from_json(line, Event) for line in content[:size].splitlines())
    except (TextInputError, msgspec.MsgspecError, ValueError) as error:
        raise CampaignError(f"{named(path)}: {error}") from error
    if state is None:
        raise CampaignError(f"{named(path)}: it has no start: run the campaign again")
    return state, size


def _has_begun(folder: Path) -> bool:
    """Return whether a head was not killed before it wrote the start of a run."""
    path = folder / _JOURNAL
    return path.is_file() and path.stat().st_size > 0
