"""Upgrades of stores of the first and the second version."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import tracemalloc
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import store
from probes.model import Reason
from profile_documents import example
from sqlite_files import change
from store.database import daemon_lock, upgrade_database
from store.errors import StoreError, StoreInUseError, TransientStoreError
from store.maintenance.compaction import compact
from store.maintenance.integrity import check
from store.profile_points import points_of
from store.reader import Reader
from store.schema import REVISION, VERSION_TABLE, metadata
from store.upgrade import Upgrade
from store.views import views

pytestmark = pytest.mark.system
SECOND_VERSION = Path(__file__).parents[1] / "fixtures/store/0002.sql"
FIRST_VERSION = Path(__file__).parents[1] / "fixtures/store/0001.sql"


def test_migrating_an_empty_database_creates_the_tables_of_the_schema(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_the_schema_names_the_newest_migration():
    [folder] = store.__path__
    assert ScriptDirectory(f"{folder}/migrations").get_heads() == [REVISION]


@pytest.fixture
def old_store(path):
    """A store of the first version: two ticks of a run."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(FIRST_VERSION.read_text(encoding="utf-8"))
    return path


def test_upgrading_a_store_of_the_first_version_loses_nothing(opened, old_store):
    reader = Reader(opened(old_store))
    [layout] = reader.layouts(1)
    [energy, watts] = reader.series(1, 0, 2**62)
    assert layout.channels[0].wraps_at == 0.0
    assert layout.channels[1].aliased is False
    assert (energy.times_ns, energy.values) == ((10, 30), (1.0, 2.0))
    assert (watts.times_ns, watts.values) == ((10,), (70.5,))
    assert energy.rejections == ((29, Reason.BACKWARD),)
    assert reader.run("run").workload == "onnx"


def test_upgrading_creates_the_tables_of_the_schema(opened, old_store):
    with opened(old_store).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        for view in views("sqlite"):
            assert connection.exec_driver_sql(f"SELECT * FROM {view}").all() == []


def test_an_upgrade_adds_the_points_of_stored_profiles(opened, second_store):
    document = json.dumps(example())
    with closing(sqlite3.connect(second_store)) as connection, connection:
        connection.execute("UPDATE profiles SET document = ?", (document,))
        [(profile, created_ns)] = connection.execute("SELECT id, created_ns FROM profiles").fetchall()
    engine = opened(second_store)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT profile_id, point, joules_per_unit FROM profile_points").all()
    expected = points_of(example(), profile, created_ns)
    assert found == [(profile, each.point, each.joules_per_unit) for each in expected]
    assert check(engine) == ()


def test_the_first_open_upgrades_in_process_and_the_next_does_nothing(run_child, old_store):
    assert run_child("open", old_store) == "opened with alembic"
    assert run_child("open", old_store) == "opened"


def test_compaction_adds_the_checksums_of_a_store_of_the_second_version(opened, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SECOND_VERSION.read_text(encoding="utf-8"))
    engine = opened(path)
    reader = Reader(engine)
    before = [reader.series(1, 0, 2**62), reader.rollups(1, 0, 2**31), reader.profiles(), reader.windows("run")]
    assert [len(series.values) for series in before[0]] == [70, 70]
    assert check(engine) == ()
    assert compact(engine, 0).complete
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT DISTINCT tbl_name FROM sqlite_master WHERE type='table'")
        ]
        checked = [name for name in tables if name not in {VERSION_TABLE, "unchecked", "quarantine"}]
        without = [f"SELECT count(*) FROM {name} WHERE checksum IS NULL" for name in checked]
        assert [connection.execute(each).fetchone() for each in without] == [(0,)] * 15
        assert connection.execute("SELECT count(*) FROM unchecked").fetchone() == (0,)
    again = [reader.series(1, 0, 2**62), reader.rollups(1, 0, 2**31), reader.profiles(), reader.windows("run")]
    assert (again, check(engine)) == (before, ())


def copies_of(path):
    return sorted(path.parent.glob(f"{path.name}.schema-*"))


def test_an_upgrade_copies_the_store_first(opened, old_store):
    with closing(sqlite3.connect(old_store)) as connection:
        before = list(connection.iterdump())
    opened(old_store)
    [copy] = copies_of(old_store)
    assert copy.name.startswith("inferometer.db.schema-0001.")
    assert copy.stat().st_mode & 0o777 == 0o640
    with closing(sqlite3.connect(copy)) as connection:
        assert list(connection.iterdump()) == before
    opened(old_store)
    assert copies_of(old_store) == [copy]


def test_killed_upgrades_leave_at_most_one_copy_which_the_next_upgrade_replaces(old_store, monkeypatch):
    def fail(*_):
        os._exit(9)

    part = old_store.with_name(f".{old_store.name}.schema-0001.unfinished.4711.part")
    part.touch()
    monkeypatch.setattr("store.upgrade._migrate", fail)
    for _ in range(2):
        if (child := os.fork()) == 0:
            with suppress(BaseException):
                upgrade_database(str(old_store), lambda _: None)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert [copy.name for copy in copies_of(old_store)] == [f"{old_store.name}.schema-0001.unfinished"]
        assert not part.exists()
    monkeypatch.undo()
    done = upgrade_database(str(old_store), lambda _: None)
    assert copies_of(old_store) == [done.copy]
    assert done.copy.suffix != ".unfinished"


def test_a_failed_upgrade_states_the_reason_and_leaves_the_store_unchanged(opened, old_store):
    change(old_store, "CREATE TABLE chunks (id INTEGER)")
    with closing(sqlite3.connect(old_store)) as connection:
        before = list(connection.iterdump())
        with pytest.raises(StoreError, match="table chunks already exists"):
            opened(old_store)
        assert list(connection.iterdump()) == before
    assert copies_of(old_store) == []


def test_an_upgrade_without_space_for_the_copy_is_a_transient_error(opened, old_store, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(TransientStoreError) as refused:
        opened(old_store)
    assert "its tables are of schema 0001, and no copy can be made before the upgrade to " in str(refused.value)
    assert "The database is unchanged. Free some room" in str(refused.value)
    assert copies_of(old_store) == []


def test_a_requested_upgrade_reports_each_step_and_the_copy(old_store):
    lines = []
    done = upgrade_database(str(old_store), lines.append)
    assert (done.before, done.after, [done.copy]) == ("0001", REVISION, copies_of(old_store))
    assert lines == [
        f"copying the database to {old_store}.schema-0001.unfinished",
        f"upgrading from schema 0001 to {REVISION}",
    ]
    assert upgrade_database(str(old_store), lines.append) == Upgrade(REVISION, REVISION)
    assert len(lines) == 2


def test_concurrent_upgrades_of_a_store_all_succeed_and_make_one_copy(start_child, old_store):
    children = [start_child("open", old_store) for _ in range(3)]
    assert {child.stdout.readline() for child in children} <= {"opened\n", "opened with alembic\n"}
    assert len(copies_of(old_store)) == 1


def test_an_upgrade_waits_for_another_program_to_finish_writing(opened, old_store):
    with closing(sqlite3.connect(old_store, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program has locked it"):
            opened(old_store, busy_seconds=0.05)
        threading.Timer(0.2, writer.commit).start()
        opened(old_store)


@pytest.fixture
def second_store(path):
    """A store of the second version: 70 ticks of two channels, a run, windows, a profile and totals."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SECOND_VERSION.read_text(encoding="utf-8"))
    return path


def hold_as_a_daemon(path):
    """Take the lock of a daemon like version 0002, and return the open file."""
    held = path.with_name(f"{path.name}.daemon").open("w")
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    held.write("4711\n")
    held.flush()
    return held


def test_a_store_in_use_by_an_old_daemon_is_not_upgraded(opened, second_store):
    with hold_as_a_daemon(second_store), pytest.raises(StoreInUseError) as refused:
        opened(second_store)
    assert str(refused.value) == (
        f"{second_store}: its tables are of schema 0002, and a daemon (process 4711) already writes here, so they "
        f"cannot be upgraded to {REVISION}. "
        "Stop it, which may be of an older version (systemctl stop inferometer), and try again"
    )
    with closing(sqlite3.connect(second_store)) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() == ("0002",)
    assert copies_of(second_store) == []
    engine = opened(second_store)
    with daemon_lock(engine, "host"):
        assert check(engine) == ()


OLD_WRITES = [
    "INSERT INTO ticks (layout_id, start_ns, end_ns, readings) SELECT layout_id, 1, 2, readings FROM ticks LIMIT 1",
    """INSERT INTO windows (run_id, point, phase, repeat, start_ns, end_ns, iterations, inferences, input_tokens,
    output_tokens, latencies, steps) SELECT run_id, point, phase, repeat, start_ns, end_ns, iterations, inferences,
    input_tokens, output_tokens, latencies, steps FROM windows LIMIT 1""",
    """INSERT INTO totals (host_id, probe, device, domain, metric, source, boot_id, raw, total, at_ns)
    SELECT host_id, probe, device, domain, metric, source, boot_id, raw, 9.0, at_ns FROM totals WHERE true
    ON CONFLICT (host_id, probe, device, domain, metric, source) DO UPDATE SET total = excluded.total""",
    "INSERT INTO profiles (id, run_id, created_ns, workload, document) SELECT 'new', id, 1, 'w', '{}' FROM runs",
    "UPDATE runs SET ended_ns = ended_ns + 1",
    "UPDATE layouts SET seam = x'00'",
]


@pytest.mark.parametrize("statement", OLD_WRITES)
def test_a_running_program_of_the_second_version_cannot_write_rows_without_a_valid_checksum(
    opened, second_store, statement
):
    with closing(sqlite3.connect(second_store, isolation_level=None)) as writer:
        engine = opened(second_store)
        with pytest.raises(sqlite3.IntegrityError, match="the store was upgraded: start this program again"):
            writer.execute(statement)
    assert check(engine) == ()


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE totals SET total = 'abc'", "Total"),
        ("UPDATE layouts SET seam = 'text'", "Layout"),
        ("UPDATE windows SET latencies = 7", "Window"),
        ("UPDATE ticks SET readings = CAST(readings AS TEXT) WHERE id = (SELECT max(id) FROM ticks)", "Row"),
    ],
)
def test_an_upgrade_adds_no_checksum_to_a_row_with_a_value_of_the_wrong_type(opened, second_store, statement, table):
    change(second_store, statement)
    engine = opened(second_store)
    compact(engine, 0)
    problems = check(engine)
    assert problems
    assert all(str(problem).startswith(f"{table} ") for problem in problems)
    assert all("its checksum is missing" in str(problem) for problem in problems)


def test_an_upgrade_holds_one_document_in_memory_at_a_time(second_store):
    document = "x" * 1_000_000
    with closing(sqlite3.connect(second_store)) as connection, connection:
        [(run,)] = connection.execute("SELECT id FROM runs").fetchall()
        rows = [(f"profile-{number}", run, 1, "w", document) for number in range(20)]
        columns = "id, run_id, created_ns, workload, document"
        connection.executemany(f"INSERT INTO profiles ({columns}) VALUES (?, ?, ?, ?, ?)", rows)
    import alembic.command  # noqa: F401  its own memory does not count

    tracemalloc.start()
    try:
        upgrade_database(str(second_store), lambda _: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 15_000_000
