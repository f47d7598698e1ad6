from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from store.database import open_database
from store.revision import _VERSION_TABLE, is_current, newest_revision
from store.schema import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from pathlib import Path


def test_revision_and_table_equal_those_of_the_schema() -> None:
    assert newest_revision() == REVISION
    assert _VERSION_TABLE == VERSION_TABLE


def test_a_new_store_is_current_and_one_of_another_version_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a store?#%.db"
    open_database(str(path)).dispose()
    assert is_current(path)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert not is_current(path)


def test_a_missing_damaged_or_foreign_file_is_not_current_and_unchanged(tmp_path: Path) -> None:
    missing, damaged, foreign = (tmp_path / name for name in ("missing", "damaged", "foreign"))
    damaged.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE other (x)")
    before = (damaged.read_bytes(), foreign.read_bytes())
    assert not any(map(is_current, (missing, damaged, foreign, tmp_path)))
    assert not missing.exists()
    assert (damaged.read_bytes(), foreign.read_bytes()) == before
