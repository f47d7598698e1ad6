"""Rows written without SQLAlchemy are in the store like all others, completely or not at all."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from store.database import open_database
from store.fast_writer import SQLiteConnection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(str(tmp_path / "store.db"), busy_seconds=0.05)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (number INTEGER PRIMARY KEY)")
    yield engine
    engine.dispose()


def numbers(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [number for (number,) in connection.exec_driver_sql("SELECT number FROM notes ORDER BY number")]


def test_every_other_connection_sees_a_committed_transaction(engine: Engine) -> None:
    direct = SQLiteConnection(engine)
    with direct.transaction() as connection:
        connection.executemany("INSERT INTO notes VALUES (?)", [(1,), (2,)])
        assert numbers(engine) == []
    assert numbers(engine) == [1, 2]


def test_a_failed_transaction_leaves_nothing_and_the_next_one_works(engine: Engine) -> None:
    direct = SQLiteConnection(engine)
    with pytest.raises(sqlite3.IntegrityError), direct.transaction() as connection:
        connection.executemany("INSERT INTO notes VALUES (?)", [(1,), (2,), (1,)])
    with direct.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES (3)")
    assert numbers(engine) == [3]


def test_an_interrupted_transaction_leaves_nothing(engine: Engine) -> None:
    direct = SQLiteConnection(engine)
    transaction = direct.transaction()
    transaction.__enter__().execute("INSERT INTO notes VALUES (1)")
    assert not transaction.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert numbers(engine) == []


def test_it_waits_for_another_writer_and_reports_the_timeout(engine: Engine, tmp_path: Path) -> None:
    direct = SQLiteConnection(engine)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"), direct.transaction():
        pass
    other.execute("COMMIT")
    other.close()
    with direct.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES (1)")
    assert numbers(engine) == [1]


def test_its_connection_has_the_settings_of_every_other_connection(engine: Engine) -> None:
    with SQLiteConnection(engine).transaction() as connection:
        pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "foreign_keys")}
    assert pragmas == {"synchronous": 1, "foreign_keys": 1}


def test_disposing_of_the_engine_closes_its_connection_and_removes_the_write_ahead_log(
    engine: Engine, tmp_path: Path
) -> None:
    direct = SQLiteConnection(engine)
    with direct.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES (1)")
    assert (tmp_path / "store.db-wal").exists()
    engine.dispose()
    assert not (tmp_path / "store.db-wal").exists()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
