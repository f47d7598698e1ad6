"""Stores a run while it is measured: nothing before the model was tried, and without failing if the store fails."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from store.database import open_database
from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from store.records import Profile, Run, Tick, Window
    from store.writer import Writer

_IN_MEMORY = Path("/dev/shm")  # noqa: S108  tempfile makes a private folder below it


class RunStore:
    """The writes of one run.

    Nothing is stored before `begin`, so a model that cannot run leaves nothing. `take` raises the store's error, and
    the recorder tries again; `store_error` is the first error of all other writes. `begun` is whether the run is in the
    store. `unstored` are the ticks before `begin`, and those that `begin` could not store, until `take` stores them.
    """

    def __init__(self, writer: Writer) -> None:
        self.store_error: StoreError | None = None
        self.writer = writer
        self.begun = False
        self.unstored: list[Tick] = []
        self._lock = Lock()
        self._windows = 0

    def take(self, ticks: Sequence[Tick]) -> None:
        """Store ticks, or hold them until the run begins; called by the recorder's thread."""
        with self._lock:
            if self.begun:
                self._append(ticks)
            else:
                self.unstored.extend(ticks)

    def begin(self, run: Run, windows: Sequence[Window]) -> None:
        """Store the run and everything pending; later writes go to the store directly. Further calls do nothing."""
        with self._lock:
            if self.begun:
                return
            self._attempt(lambda: self.writer.delete_run(run.id))  # of an earlier run of this id that did not end
            self._attempt(lambda: self.writer.save_run(run))
            for window in windows[self._windows :]:
                self._windows += 1
                self._attempt(partial(self.writer.save_window, window))
            self.begun = True
            self._attempt(lambda: self._append(()))

    def _append(self, ticks: Sequence[Tick]) -> None:
        self.writer.append([*self.unstored, *ticks])
        self.unstored = []

    def save_window(self, window: Window) -> None:
        """Store a window of a run that has begun; `begin` stores the earlier ones."""
        if self.begun:
            self._attempt(lambda: self.writer.save_window(window))

    def end(self, run: Run) -> None:
        """Store the final record of the run."""
        self._attempt(lambda: self.writer.save_run(run))

    def save_profile(self, profile: Profile) -> None:
        """Store the profile."""
        self._attempt(lambda: self.writer.save_profile(profile))

    def note(self, error: StoreError) -> None:
        """Record an error; only the first one is reported."""
        self.store_error = self.store_error or error

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except StoreError as error:
            self.note(error)


@contextmanager
def open_run_database(url: str, *, stored: bool) -> Iterator[Engine]:
    """Open the database at `url`, or a temporary one if the run is not `stored`, and close it after the block.

    Raises StoreError if it cannot be used.
    """
    if stored:
        engine = open_database(url)
        try:
            yield engine
        finally:
            engine.dispose()
        return
    with _temporary_folder() as folder, open_run_database(str(Path(folder, "run.db")), stored=True) as engine:
        yield engine


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder in memory if possible, else among the temporary files."""
    for parent in (_IN_MEMORY, None):
        try:
            return tempfile.TemporaryDirectory(prefix="inferometer-", dir=parent, ignore_cleanup_errors=True)
        except OSError as error:
            cause = error
    remedy = "The samples of a run need a writable place: mount a tmpfs on /tmp, or set TMPDIR"
    raise StoreError("temporary folder", f"none can be made ({cause.strerror or cause})", remedy)
