"""The write-ahead log stays small, and shrinks again after a long reader or a large change."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from probes.model import Channel, Device, Kind
from store import schema, sqlite
from store.backup import backup
from store.codec.checksums import ChecksumAppender
from store.engines import write_engine
from store.maintenance.compaction import compact
from store.maintenance.retention import Retention, prune
from store.maintenance.status import status
from store.records import ROLLUP_COLUMNS, Host, Tick
from store.rows import insert_all
from store.writer import Writer

pytestmark = pytest.mark.system

SECOND = 10**9
START = 1_700_000_400 * SECOND
SMALL = 4_500_000
CHANNELS = tuple(Channel(Device(f"gpu-{n}", Kind.GPU), "board", "power_watts") for n in range(50))


@pytest.fixture
def small(monkeypatch):
    """The log is cut to little more than the 1000 pages after which SQLite moves it into the file."""
    monkeypatch.setattr(sqlite, "LOG_BYTES", SMALL)


@pytest.fixture
def log(path):
    return lambda: path.with_name(f"{path.name}-wal").stat().st_size


def recorder(engine):
    """Return a function that appends seconds, each in its own transaction."""
    writer, at = Writer(engine), 0
    [layout] = writer.register(Host("h", "n"), [("nvml", CHANNELS)], "daemon", START)

    def record(seconds):
        nonlocal at
        for _ in range(seconds):
            values = tuple(channel + at * 0.1 for channel in range(len(CHANNELS)))
            writer.append([Tick(layout.id, START + at * SECOND, START + at * SECOND + 1, values)])
            at += 1

    return record


@pytest.mark.usefixtures("small")
def test_the_log_is_cut_after_a_long_reader_ends(opened, path, log):
    engine = opened(path)
    record = recorder(engine)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ticks").fetchone()
        record(2500)
        grown = log()
        assert grown > 2 * SMALL
        found = status(engine)
        assert found.log_bytes == grown
        assert found.bytes >= grown
    record(50)
    assert log() <= SMALL


@pytest.mark.usefixtures("small")
def test_the_log_is_short_after_a_large_prune_and_a_large_compaction(opened, path, log):
    engine = opened(path)
    recorder(engine)(1300)
    rows = [(minute, 1, 1, 60, 0.5, 1.5, 1.0, 60.0) for minute in range(60_000)]
    with write_engine(engine).begin() as connection:
        insert_all(
            connection,
            schema.rollups,
            (*ROLLUP_COLUMNS, "checksum"),
            ChecksumAppender(schema.rollups, ROLLUP_COLUMNS)(rows),
        )
    compact(engine, 2**62)
    assert log() <= SMALL
    pruned = prune(engine, Retention(seconds=0, rollup_seconds=0), START + 10**6 * SECOND)
    assert pruned.rollups > 60_000
    assert log() == 0
    assert pruned.size_bytes == path.stat().st_size


@pytest.mark.usefixtures("small")
def test_a_prune_beside_a_long_reader_ends_and_removes_no_samples_because_of_the_log(opened, path, log):
    engine = opened(path)
    record = recorder(engine)
    record(100)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ticks").fetchone()
        record(2500)
        limit = sqlite.used_bytes(engine) + SMALL
        pruned = prune(engine, Retention(bytes=limit), START + 10**6 * SECOND)
        assert (pruned.ticks, pruned.too_large) == (0, True)
        assert log() > SMALL
    pruned = prune(engine, Retention(bytes=limit), START + 10**6 * SECOND)
    assert (pruned.ticks, pruned.too_large) == (0, False)


def test_a_copy_includes_the_content_of_the_log(opened, path, tmp_path):
    engine = opened(path)
    recorder(engine)(50)
    backup(engine, tmp_path / "copy.db")
    assert status(opened(tmp_path / "copy.db")).hot_ticks == 50


def test_a_compaction_that_leaves_a_long_log_cuts_it(opened, path, log, monkeypatch):
    engine = opened(path)
    recorder(engine)(1300)
    monkeypatch.setattr(sqlite, "LOG_BYTES", 100_000)
    assert log() > 100_000
    assert compact(engine, 2**62).chunks
    assert log() <= 100_000


def test_a_prune_cuts_an_unused_log_before_it_removes_samples(opened, path, log):
    engine = opened(path)
    recorder(engine)(1300)
    assert log() > 2_000_000
    pruned = prune(engine, Retention(bytes=sqlite.used_bytes(engine) + 1_000_000), START + 10**6 * SECOND)
    assert (pruned.ticks, pruned.too_large) == (0, False)


def test_free_space_is_reclaimed_only_while_the_log_can_be_cut(opened, path, log, monkeypatch):
    engine = opened(path)
    change(engine, "CREATE TABLE large AS SELECT zeroblob(20000000)")
    assert sqlite.truncate_log(engine)
    monkeypatch.setattr(sqlite, "LOG_BYTES", 10_000)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ticks").fetchone()
        change(engine, "DROP TABLE large")
        assert log() > 10_000
        assert sqlite.reclaim(engine)
        assert free_pages(engine) > 1000
    assert sqlite.reclaim(engine)
    assert free_pages(engine) == 0


def change(engine, statement):
    with write_engine(engine).begin() as connection:
        connection.exec_driver_sql(statement)


def free_pages(engine):
    with engine.connect() as connection:
        return connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
