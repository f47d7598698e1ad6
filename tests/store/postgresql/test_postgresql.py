"""A store on PostgreSQL: its tables, upgrades, records and errors."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError

from postgresql_server import with_driver
from probes.model import Channel, Device, Kind, Reason, Rejection, Source
from store import schema
from store.backup import backup
from store.database import create_store_engine
from store.errors import StoreError, StoreInUseError
from store.maintenance.compaction import compact
from store.maintenance.integrity import check
from store.maintenance.retention import Retention, prune
from store.maintenance.status import status
from store.profile_points import points_of
from store.reader import Reader
from store.records import Profile, Run, RunStatus, Tick, Total, Window
from store.schema import REVISION, VERSION_TABLE, metadata
from store.url import parse
from store.views import views
from store.writer import Writer
from viewed_profiles import DOCUMENTS, assert_views, store_documents

pytestmark = pytest.mark.system
ALL = frozenset({"energy_joules", "power_watts"})


def test_migrating_an_empty_database_creates_the_tables_of_the_schema(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_samples_totals_and_checks_work_like_in_a_file(engine, host):
    cpu = Device("package-0", Kind.CPU)
    channels = (Channel(cpu, "package", "energy_joules"), Channel(cpu, "package", "temperature_celsius"))
    writer = Writer(engine)
    [layout] = writer.register(host, [("rapl", channels)], "daemon", 1)
    at = 1_700_000_400 * 10**9
    total = Total(host.id, "rapl", "package-0", "package", "energy_joules", Source.MEASURED, "b007", None, 7.5, at)
    ticks = [Tick(layout.id, at + n * 10**9, at + n * 10**9 + 2, (5.0 * n, float("nan"))) for n in range(1300)]
    writer.append(ticks, [total._replace(total=1.0)])
    writer.append([], [total])
    reader = Reader(engine)
    before = reader.series(writer.recording, 0, 2**62)
    [thinned, _] = reader.series(writer.recording, at, 2**62, every_ns=100 * 10**9)
    assert thinned.values == tuple(500.0 * n for n in range(13))
    done = compact(engine, at + 1300 * 10**9)
    assert (done.chunks, done.ticks, done.samples) == (2, 1200, 1200)
    assert reader.series(writer.recording, 0, 2**62) == before
    assert [found.id for found in reader.recordings(at, at)] == [writer.recording]
    assert reader.totals(host.id) == (total,)
    assert check(engine) == ()
    found = status(engine)
    assert (found.chunks, found.hot_ticks, found.rollups, found.samples) == (2, 100, 20, 1400)
    assert found.bytes > 0
    with engine.connect() as connection:
        first = connection.execute(text("SELECT * FROM rollups_named ORDER BY utc LIMIT 1")).one()
    assert (first.utc, first.device, first.samples, first.energy_joules) == ("2023-11-14 22:20", "package-0", 60, 295)
    pruned = prune(engine, Retention(seconds=0, rollup_seconds=0), at + 10**6 * 10**9)
    assert (pruned.chunks, pruned.ticks, pruned.rollups, pruned.size_bytes) == (2, 100, 20, None)
    with pytest.raises(StoreError, match="only a SQLite file can have a size limit"):
        prune(engine, Retention(bytes=1), at)
    with pytest.raises(StoreError, match="Use pg_dump instead"):
        backup(engine, "copy.db")


def make_tables_of(revision, url):
    engine = create_store_engine(parse(url), 1.0)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


@pytest.mark.parametrize("key", [0x1FE20E7E2, 0x1FE20E7 << 32 | 0xFFFFFFFF], ids=["old", "new"])
def test_a_store_in_use_by_a_daemon_is_not_upgraded(opened, url, key):
    make_tables_of("0002", url)
    daemon = create_store_engine(parse(url), 1.0)
    with daemon.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        with pytest.raises(
            StoreInUseError, match=r"of schema 0002, and a daemon \(on the same host as the server, ses"
        ):
            opened(url)
    daemon.dispose()
    assert status(opened(url)).schema_revision == REVISION


@pytest.mark.parametrize(
    "statement",
    ["UPDATE hosts SET name = 'n'", "INSERT INTO recordings SELECT 9, id, '', '', 1, 1 FROM hosts"],
)
def test_a_running_program_of_the_second_version_cannot_write_rows_without_a_valid_checksum(opened, url, statement):
    make_tables_of("0002", url)
    old = create_store_engine(parse(url), 1.0)
    with old.begin() as connection:
        connection.execute(text("INSERT INTO hosts VALUES ('h', 'h', '', '', '', '', '', 1, 1, false)"))
    engine = opened(url)
    with old.connect() as connection, pytest.raises(DBAPIError, match="the store was upgraded: start this program"):
        connection.execute(text(statement))
    old.dispose()
    assert check(engine) == ()


def test_an_upgrade_makes_the_points_of_stored_profiles_again(opened, url):
    make_tables_of("0007", url)
    old = create_store_engine(parse(url), 1.0)
    values = {
        "hosts": "(id, name, kernel, operating_system, cpu_model, microarchitecture, cpu_flags, cores, memory_bytes, "
        "virtual, checksum) VALUES ('h', 'h', '', '', '', '', '', 1, 1, false, 1)",
        "recordings": "(id, host_id, boot_id, program, process_id, started_ns, checksum) "
        "VALUES (1, 'h', '', '', 1, 1, 1)",
        "runs": "(id, host_id, recording_id, workload, settings, status, started_ns, ended_ns, checksum) "
        "VALUES ('r', 'h', 1, 'w', '{}', 'complete', 1, 1, 1)",
        "profiles": "(id, run_id, created_ns, workload, document, checksum) VALUES ('p', 'r', 1, 'w', :document, 1)",
    }
    with old.begin() as connection:
        for table, words in values.items():
            parameters = {"document": json.dumps(DOCUMENTS[0])} if table == "profiles" else {}
            connection.execute(text(f"INSERT INTO {table} {words}"), parameters)
    old.dispose()
    with opened(url).connect() as connection:
        rows = connection.execute(text("SELECT profile_id, joules_per_unit FROM profile_points ORDER BY id")).all()
    expected = points_of(DOCUMENTS[0], "p", 1)
    assert [tuple(row) for row in rows] == [("p", each.joules_per_unit) for each in expected]


def test_upgrading_creates_the_tables_of_the_schema(opened, url):
    make_tables_of("0001", url)
    with opened(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        for view in views("postgresql"):
            assert connection.execute(text(f"SELECT * FROM {view}")).all() == []


def test_every_record_is_read_unchanged(engine, host, probes):
    writer = Writer(engine)
    layouts = writer.register(host, probes, "test", 1)
    assert Reader(engine).layouts(writer.recording) == layouts
    values = (-0.0, float("nan"), 1e308)
    writer.append([Tick(layouts[0].id, 2**62, 2**62 + 1, values, (Rejection(1, Reason.SENTINEL),))])
    package, core, _ = Reader(engine).series(writer.recording, 0, 2**63 - 1, ALL)[:3]
    assert str(package.values) == "(-0.0,)"
    assert (core.values, core.rejections) == ((), ((2**62, Reason.SENTINEL),))
    run = Run("run", host.id, writer.recording, "onnx", "{}", RunStatus.RUNNING, 1)
    writer.save_run(run)
    window = Window("run", "batch=8", "decode", 1, 2**62, 2**62 + 9, 3, 24, 100, 2**40, (0.1, 0.2), (1e-9,))
    writer.save_window(window)
    profile = Profile("p", "run", 5, "onnx", '{"µ": 1}')
    writer.save_profile(profile)
    assert Reader(engine).run("run") == run
    assert Reader(engine).windows("run") == (window,)
    assert Reader(engine).profiles() == (profile,)


def test_a_nul_and_an_invalid_character_are_replaced(engine, host):
    writer = Writer(engine)
    writer.register(host, [], "test\0\udcff", 1)
    with engine.connect() as connection:
        assert connection.execute(select(schema.recordings.c.program)).scalars().all() == ["test?"]


def test_programs_that_create_the_tables_concurrently_all_succeed(url, start_child):
    children = [start_child("open_each") for _ in range(3)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    owner = create_engine(with_driver(url))
    for _ in range(3):
        with owner.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        for child in children:
            child.stdin.write(f"{url}\n")
            child.stdin.flush()
        assert [child.stdout.readline() for child in children] == ["opened\n"] * 3
    owner.dispose()


def test_programs_that_register_a_host_concurrently_all_succeed(engine, host, probes):
    writers = [Writer(engine) for _ in range(6)]
    ready, errors = threading.Barrier(len(writers)), []

    def register(writer):
        ready.wait()
        try:
            writer.register(host, probes, "test", 1)
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=register, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({writer.recording for writer in writers}) == len(writers)
    with engine.connect() as connection:
        assert len(connection.execute(select(schema.devices)).all()) == 2


def test_tables_of_another_program_are_refused(opened, url):
    other = create_engine(with_driver(url))
    with other.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id integer)"))
    other.dispose()
    with pytest.raises(StoreError, match=r"another program's database \(it has a table 'orders'\)"):
        opened(url)


def test_a_newer_version_is_refused(opened, url):
    with opened(url).begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreError, match="its schema 9999 is newer than"):
        opened(url)


def test_the_error_of_a_missing_database_hides_the_password(opened, server):
    url = server[0].format("nowhere").replace("tester@", "tester:s3cret@")
    with pytest.raises(StoreError) as refused:
        opened(url)
    assert 'database "nowhere" does not exist. Check the address' in str(refused.value)
    assert "tester:***@" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_error_of_a_missing_permission_states_the_grant(opened, server, url):
    with server[1].connect() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN"))
    with pytest.raises(StoreError) as refused:
        opened(url.replace("tester@", "guest@"))
    assert "this user has no permission for that (permission denied for schema public). Let the user own" in str(
        refused.value
    )


def test_a_connection_closed_by_the_server_is_an_error_only_once(engine, server, host):
    writer = Writer(engine)
    writer.register(host, [], "test", 1)
    with server[1].connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"
        connection.execute(text(others))
    with pytest.raises(StoreError, match=r"Check the address, the user and that the server runs"):
        writer.register(host, [], "test", 2)
    writer.register(host, [], "test", 2)


def test_an_absent_server_is_an_error_within_seconds(opened):
    with pytest.raises(StoreError, match=r"(?s)127\.0\.0\.1.*Check the address, the user and that the server runs"):
        opened("postgresql://me@127.0.0.1:1/db")


def test_the_views_of_profiles_are_those_of_a_file(engine, host):
    store_documents(engine, host)
    assert_views(engine)
