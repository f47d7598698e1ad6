"""Stores a run while it goes on: holds it back until its model has been tried, and survives a store that fails."""

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

_IN_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own is made there, for nobody else to read


class RunStore:
    """The writes of one run.

    Nothing of it is stored before `begin`, so that a model that cannot run leaves nothing. Ticks raise what the store
    raises, for the recorder to try again; `store_error` is the first error of everything else.
    """

    def __init__(self, writer: Writer) -> None:
        self.store_error: StoreError | None = None
        self.writer = writer
        self._lock = Lock()
        self._pending: list[Tick] | None = []
        self._windows = 0

    @property
    def begun(self) -> bool:
        """Whether the run is in the store."""
        return self._pending is None

    def take(self, ticks: Sequence[Tick]) -> None:
        """Store ticks, or hold them until the run begins; called by the recorder's thread."""
        with self._lock:
            if self._pending is None:
                self.writer.append(ticks)
            else:
                self._pending.extend(ticks)

    def begin(self, run: Run, windows: Sequence[Window]) -> None:
        """Store the run with everything so far, and all that follows at once; further calls do nothing."""
        with self._lock:
            pending = self._pending
            if pending is None:
                return
            self._attempt(lambda: self.writer.save_run(run))
            for window in windows[self._windows :]:
                self._windows += 1
                self._attempt(partial(self.writer.save_window, window))
            self._attempt(lambda: self.writer.append(pending))
            self._pending = None

    def save_window(self, window: Window) -> None:
        """Store a window of a run that has begun; the others are given to `begin`."""
        if self._pending is None:
            self._attempt(lambda: self.writer.save_window(window))

    def end(self, run: Run) -> None:
        """Store how the run ended."""
        self._attempt(lambda: self.writer.save_run(run))

    def save_profile(self, profile: Profile) -> None:
        """Store the profile."""
        self._attempt(lambda: self.writer.save_profile(profile))

    def note(self, error: StoreError) -> None:
        """Keep the first error."""
        self.store_error = self.store_error or error

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError as error:
            self.note(error)


@contextmanager
def open_run_database(url: str, *, stored: bool) -> Iterator[Engine]:
    """Open the database of a run for the block: the one at `url`, or one that is gone afterwards if not `stored`.

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
    """Make a folder in memory if there is such a place, else where temporary files are."""
    for parent in (_IN_MEMORY, None):
        try:
            return tempfile.TemporaryDirectory(prefix="inferometer-", dir=parent, ignore_cleanup_errors=True)
        except OSError as error:
            cause = error
    remedy = "The samples of a run need a writable place: mount a tmpfs on /tmp, or set TMPDIR"
    raise StoreError("temporary folder", f"none can be made ({cause.strerror or cause})", remedy)
