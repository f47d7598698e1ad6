"""Creating and opening stores: new, empty, newer and foreign files, and several programs at once."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from sqlite_files import change, digest, journal_mode
from store.database import write_engine
from store.errors import MissingDatabaseError, StoreError
from store.reader import Reader
from store.records import Host, Tick
from store.schema import REVISION, VERSION_TABLE
from store.writer import Writer

pytestmark = pytest.mark.system


def test_a_new_store_is_created_without_alembic(run_child, path):
    assert run_child("open", path) == "opened"
    assert run_child("open", path) == "opened"


def test_opening_again_changes_nothing(opened, path):
    opened(path).dispose()
    before = digest(path)
    opened(path).dispose()
    assert digest(path) == before


def test_a_store_of_a_newer_version_is_refused_and_unchanged(opened, path):
    opened(path).dispose()
    change(path, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    before = digest(path)
    with pytest.raises(StoreError) as refused:
        opened(path)
    assert str(refused.value) == (
        f"{path}: its schema 9999 is newer than this Inferometer's ({REVISION}). "
        "Upgrade inferometer, or use another database with --database"
    )
    assert digest(path) == before


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE moz_places (id INTEGER)"],
        ["CREATE TABLE alembic_version (version_num)", f"INSERT INTO alembic_version VALUES ('{REVISION}')"],
        ["CREATE TABLE ticks (id INTEGER)"],
    ],
    ids=["a browser's", "one that Alembic migrates too", "one with a table of our name"],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_another_program_is_refused_and_unchanged(opened, path, statements, create):
    change(path, *statements)
    before = digest(path)
    with pytest.raises(StoreError, match=r"another program's database \(it has a table '(moz|alembic|ticks)"):
        opened(path, create=create)
    assert digest(path) == before
    assert [beside.name for beside in path.parent.iterdir()] == [path.name]


def test_an_empty_file_becomes_a_store(opened, path):
    path.touch()
    opened(path)
    assert journal_mode(path) == "wal"


def test_reading_an_empty_file_reports_a_missing_database(opened, path):
    path.touch()
    with pytest.raises(MissingDatabaseError, match="no database here yet"):
        opened(path, create=False)


def test_the_write_ahead_log_of_a_copy_is_enabled_again(opened, path, tmp_path):
    copy = tmp_path / "copy.db"
    opened(path).dispose()
    change(path, f"VACUUM INTO '{copy}'")
    assert journal_mode(copy) == "delete"
    opened(copy)
    assert journal_mode(copy) == "wal"


def test_enabling_the_write_ahead_log_waits_for_another_writer(opened, path, tmp_path):
    copy = tmp_path / "copy.db"
    opened(path).dispose()
    change(path, f"VACUUM INTO '{copy}'")
    with closing(sqlite3.connect(copy, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"copy\.db: another program has locked it"):
            opened(copy, busy_seconds=0.05)
        threading.Timer(0.2, writer.commit).start()
        opened(copy)
    assert journal_mode(copy) == "wal"


def test_a_migration_that_fails_leaves_nothing_behind(opened, path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("store.schema.metadata.create_all", fail)
        with pytest.raises(RuntimeError):
            opened(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    opened(path)


def test_processes_that_make_a_store_at_the_same_moment_all_succeed(start_child, tmp_path):
    children = [start_child("open_each") for _ in range(3)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for number in range(8):
        for child in children:
            child.stdin.write(f"{tmp_path}/{number}.db\n")
            child.stdin.flush()
        assert [child.stdout.readline() for child in children] == ["opened\n"] * 3


def test_a_store_can_be_written_while_a_second_program_opens_it(opened, path):
    first = opened(path)
    writer = Writer(first)
    [layout] = writer.register(Host("h", "n"), [("none", ())], "test", 1)
    with write_engine(first).begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET name = 'held'")
        second = opened(path)
        assert len(Reader(second).layouts(writer.recording)) == 1
    writer.append([Tick(layout.id, 1, 1, ())])
