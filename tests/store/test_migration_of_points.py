"""The upgrade that makes the rows of points: its copy of the code, stores of the revision before, a kill within it."""

from __future__ import annotations

import ast
import copy
import json
import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import store
from profile_documents import example
from store.database import create_store_engine, upgrade_database, write_engine
from store.maintenance.integrity import check
from store.profile_point import PROFILE_POINT_COLUMNS
from store.profile_points import points_of_text
from store.records import Profile, Run, RunStatus
from store.schema import REVISION
from store.url import parse
from store.writer import Writer
from trees import FIXTURES
from viewed_profiles import DOCUMENTS

pytestmark = pytest.mark.system
SECOND_VERSION = FIXTURES / "store/0002.sql"
PREVIOUS = "0007"
CREATED_NS = 1_795_726_753 * 10**9
MIGRATIONS = Path(store.__file__ or "").parent / "migrations"
UNCHANGING = {"store.codec.checksums"}
"""Modules that a migration may use: a change of a stored checksum is a change of every row."""


def texts() -> dict[str, str]:
    """Return documents by id: of every version, for each choice in a row, and some that are no profiles."""
    found = {f"example-{at}": json.dumps(document) for at, document in enumerate(DOCUMENTS)}
    found |= {path.stem: path.read_text(encoding="utf-8") for path in (FIXTURES / "profiles").glob("*.json")}
    found |= {"damaged": "[]]", "other": "[1]", "surrogate": json.dumps(changed(("host", "name"), "a\ud800b"))}
    for at, (path, value) in enumerate(CHANGES):
        found[f"change-{at}"] = json.dumps(changed(path, value))
    return found


CHANGES = (
    (("host", "labels"), {"site": "ams", "rack": "r1", "owner": "me", "room": "3"}),
    (("host", "virtual"), False),
    (("host", "cpu_model"), None),
    (("coverage", "source"), None),
    (("workload", "settings", "model"), "/srv/models/a.onnx"),
    (("workload", "parameter_count"), None),
    (("points", 0, "output_tokens_per_second"), None),
    (("points", 0, "energy"), None),
    (("points", 0, "cost"), None),
    (("points", 0, "cost", "allocation"), None),
    (("points", 0, "power"), None),
    (("points", 0, "valid"), False),
    (("points", 0, "repeats"), 1 << 70),
    (("points", 0, "output_tokens_per_second", "upper"), (1 << 53) + 1),
    (("points", 0, "energy", "joules_per_output_token", "mean"), 1e40),
    (("points", 0, "energy", "joules_per_output_token", "upper"), float("inf")),
    (("points", 0, "cost", "allocation", "per_million_output_tokens", "energy", "lower"), None),
    (("points", 0, "cost", "allocation", "per_inference", "capital"), None),
    (("points", 0, "cost", "currency"), "x" * 300),
)


def changed(path, value):
    found = copy.deepcopy(example())
    place = found
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return found


@pytest.fixture
def previous(path):
    """A store of the revision before, with the documents of `texts`, and a row of points in its form."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SECOND_VERSION.read_text(encoding="utf-8"))
    engine = create_store_engine(parse(str(path)), 10.0)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with write_engine(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, PREVIOUS)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        [(run,)] = connection.execute("SELECT id FROM runs").fetchall()
        connection.execute("DELETE FROM profiles")
        rows = [(name, run, CREATED_NS, "w", text, 1) for name, text in texts().items()]
        columns = "id, run_id, created_ns, workload, document, checksum"
        connection.executemany(f"INSERT INTO profiles ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
        names = [row[1] for row in connection.execute("PRAGMA table_info(profile_points)") if row[3] and row[1] != "id"]
        values = ["example-0" if name == "profile_id" else 1 for name in names]
        places = ", ".join("?" * len(names))
        connection.execute(f"INSERT INTO profile_points ({', '.join(names)}) VALUES ({places})", values)
    return path


def rows_of(path):
    with closing(sqlite3.connect(path)) as connection:
        columns = ", ".join(PROFILE_POINT_COLUMNS)
        return connection.execute(f"SELECT {columns} FROM profile_points ORDER BY profile_id, id").fetchall()


def test_an_upgrade_makes_the_rows_that_the_program_makes(previous):
    """A change of `store.profile_points` needs a new migration, which replaces the copy in the last one."""
    upgrade_database(str(previous), lambda _: None)
    expected = [
        tuple(asdict(each).values())
        for name, text in sorted(texts().items())
        for each in points_of_text(name, CREATED_NS, text)
    ]
    assert [row[0] for row in rows_of(previous)] == [row[0] for row in expected]
    for found, row in zip(rows_of(previous), expected, strict=True):
        stored = tuple(each.encode("utf-8", "replace").decode() if isinstance(each, str) else each for each in row)
        assert found == stored
    assert {row[0] for row in expected} >= {"example-0", "example-1", "2.0", "change-0"}


def test_the_rows_of_an_upgrade_have_the_checksums_of_the_store(opened, previous):
    problems = check(opened(previous))
    assert not [each for each in problems if str(each).startswith("Point")]


def test_an_upgraded_store_takes_profiles(opened, previous, host):
    engine = opened(previous)
    writer = Writer(engine)
    writer.register(host, [], "profile", 1)
    writer.save_run(Run("new", host.id, writer.recording, "w", "{}", RunStatus.COMPLETE, 1, 2))
    writer.save_profile(Profile("new", "new", CREATED_NS, "transformer", texts()["example-0"]))
    rows = [row for row in rows_of(previous) if row[0] in {"new", "example-0"}]
    half = len(rows) // 2
    assert half
    assert [row[1:] for row in rows[:half]] == [row[1:] for row in rows[half:]]


def test_a_kill_within_the_rows_leaves_the_store_of_before_and_the_next_upgrade_completes_it(previous, monkeypatch):
    with closing(sqlite3.connect(previous)) as connection:
        before = list(connection.iterdump())
    if (child := os.fork()) == 0:
        with suppress(BaseException):
            calls = iter(range(1, 6))
            monkeypatch.setattr("store.codec.checksums.checksum", lambda *_: next(calls, None) or os._exit(9))
            upgrade_database(str(previous), lambda _: None)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with closing(sqlite3.connect(previous)) as connection:
        assert list(connection.iterdump()) == before
    done = upgrade_database(str(previous), lambda _: None)
    assert (done.before, done.after) == (PREVIOUS, REVISION)
    assert len({row[0] for row in rows_of(previous)}) > 10


def test_migrations_use_no_code_of_the_program_that_changes():
    for path in (MIGRATIONS / "versions").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
        modules |= {name.name for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names}
        own = {each for each in modules if each and each.partition(".")[0] in {"store", "agent", "probes"}}
        assert own <= UNCHANGING, path.name


def test_an_upgraded_store_has_the_views_and_indexes_of_a_new_one(opened, previous, tmp_path):
    opened(previous)
    opened(tmp_path / "new.db")

    def made(path):
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('view', 'index')").fetchall()
        return {name: " ".join((sql or "").split()) for name, sql in found if not name.startswith("sqlite_")}

    assert made(previous) == made(tmp_path / "new.db")
