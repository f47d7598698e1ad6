"""A run is stored as a whole once its model was tried, and a store that fails takes nothing else down."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.profiling.run_store import RunStore, open_run_database
from store.database import open_database
from store.errors import StoreError
from store.records import Host, Profile, Run, RunStatus, Tick
from store.writer import Writer
from synthetic_run import PACKAGE, idle, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.records import Window

HOST = Host("host", "name")


class Stored:
    """A run store on a database of its own, and the run that it is for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = open_database(str(path))
        self.writer = Writer(self.engine)
        (self.layout,) = self.writer.register(HOST, [("rapl", (PACKAGE,))], "profile", 1)
        self.run = Run("run", HOST.id, self.writer.recording, "onnx", "{}", RunStatus.RUNNING, 1)
        self.store = RunStore(self.writer)

    def tick(self, number: int) -> list[Tick]:
        return [Tick(self.layout.id, number, number + 1, (float(number),))]

    def rows(self) -> tuple[int, int, int]:
        """Return how many runs, windows and ticks the database has."""
        with closing(sqlite3.connect(self.path)) as connection:
            counts = (f"SELECT count(*) FROM {table}" for table in ("runs", "windows", "ticks"))
            runs, windows, ticks = (connection.execute(words).fetchone()[0] for words in counts)
        return runs, windows, ticks


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    found = Stored(tmp_path / "store.db")
    yield found
    found.engine.dispose()


def baseline() -> Window:
    return idle("idle_unloaded", 1, 2)


def test_a_run_is_stored_from_its_begin_on_with_everything_pending(stored: Stored) -> None:
    stored.store.take(stored.tick(1))
    stored.store.save_window(baseline())
    assert (stored.store.begun, stored.rows()) == (False, (0, 0, 0))
    stored.store.begin(stored.run, [baseline()])
    assert (stored.store.begun, stored.rows()) == (True, (1, 1, 1))
    stored.store.take(stored.tick(2))
    stored.store.save_window(window(1, 3, 4))
    stored.store.begin(stored.run, [baseline()])
    assert stored.rows() == (1, 2, 2)
    assert stored.store.store_error is None


def test_the_first_error_of_a_failing_store_is_recorded_and_not_raised(stored: Stored) -> None:
    stored.store.begin(stored.run, [])
    with closing(sqlite3.connect(stored.path)) as connection:
        connection.execute("DROP TABLE windows")
        connection.execute("DROP TABLE profiles")
    stored.store.save_window(baseline())
    first = stored.store.store_error
    assert isinstance(first, StoreError)
    stored.store.save_profile(Profile("run", "run", 1, "onnx", "{}"))
    stored.store.end(stored.run)
    assert stored.store.store_error is first


def test_ticks_that_cannot_be_stored_raise_so_that_the_recorder_tries_again(stored: Stored) -> None:
    stored.store.begin(stored.run, [])
    with closing(sqlite3.connect(stored.path)) as connection:
        connection.execute("DROP TABLE ticks")
    with pytest.raises(StoreError):
        stored.store.take(stored.tick(1))


def test_ticks_that_the_begin_of_a_run_cannot_store_are_stored_before_later_ones(stored: Stored) -> None:
    stored.store.take(stored.tick(1))
    with closing(sqlite3.connect(stored.path)) as connection:
        connection.execute("ALTER TABLE ticks RENAME TO away")
        stored.store.begin(stored.run, [])
        with pytest.raises(StoreError):
            stored.store.take(stored.tick(2))
        assert stored.store.unstored == stored.tick(1)
        connection.execute("ALTER TABLE away RENAME TO ticks")
        stored.store.take(stored.tick(2))
        starts = connection.execute("SELECT start_ns FROM ticks ORDER BY id").fetchall()
    assert (starts, stored.store.unstored) == ([(1,), (2,)], [])


def test_a_run_that_is_not_stored_uses_a_temporary_database() -> None:
    with open_run_database("/proc/nowhere/store.db", stored=False) as engine:
        place = Path(str(engine.url.database))
        assert place.is_file()
        assert place.parent.stat().st_mode & 0o077 == 0  # nobody else may read it
    assert not place.parent.exists()


def test_without_any_writable_place_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refused)
    with (
        pytest.raises(StoreError, match=r"Read-only file system.*mount a tmpfs on /tmp, or set TMPDIR"),
        open_run_database("x", stored=False),
    ):
        pass
