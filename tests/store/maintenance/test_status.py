from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select, update

from probes.model import Channel, Device, Kind
from store import schema
from store.codec.checksums import with_checksum
from store.engines import write_engine
from store.maintenance.compaction import compact
from store.maintenance.integrity import check, problems
from store.maintenance.quarantine import quarantine
from store.maintenance.status import status
from store.records import Host, Profile, Run, RunStatus, Tick
from store.schema import REVISION
from store.writer import Writer

pytestmark = pytest.mark.system

SECOND = 10**9
START = 1_700_000_400 * SECOND
CHANNELS = tuple(Channel(Device(f"gpu-{n}", Kind.GPU), "board", "power_watts") for n in range(2))


@pytest.fixture
def filled(engine):
    """1300 ticks of two channels, one of which has no value every seventh time; 1200 are packed. And a run."""
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "n"), [("nvml", CHANNELS)], "test", START)
    nan = float("nan")
    writer.append([tick(layout, at, float(at), nan if at % 7 == 0 else 2.0) for at in range(1300)])
    writer.save_run(Run("run", "h", writer.recording, "onnx", "{}", RunStatus.COMPLETE, 1, 2))
    writer.save_profile(Profile("p", "run", 1, "onnx", "{}"))
    compact(engine, START + 1200 * SECOND)
    return writer, layout


def tick(layout, at, *values):
    return Tick(layout.id, START + at * SECOND, START + at * SECOND, values)


def change(engine, *statements):
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            driver.execute(statement)
        driver.execute("PRAGMA foreign_keys = ON")


def test_the_status_of_an_empty_store_is_empty(engine, path):
    found = status(engine)
    assert (found.path, found.schema_revision) == (str(path), REVISION)
    assert (found.recordings, found.samples, found.chunks, found.hot_ticks, found.waiting_ticks) == (0, 0, 0, 0, 0)
    assert (found.oldest_ns, found.newest_ns, found.bytes_per_sample) == (None, None, None)
    assert check(engine) == ()


def test_the_status_counts_the_content_of_a_store(engine, filled):
    found = status(engine)
    assert (found.recordings, found.runs, found.profiles, found.chunks, found.rollups) == (1, 1, 1, 2, 40)
    assert (found.hot_ticks, found.waiting_ticks) == (100, 0)
    assert found.samples == 2 * 1300 - 172
    assert (found.oldest_ns, found.newest_ns) == (START, START + 1299 * SECOND)
    assert found.bytes_per_sample == found.bytes / found.samples
    writer, layout = filled
    writer.append([tick(layout, 1800, 1.0, 1.0)])
    assert status(engine).waiting_ticks == 100


def test_an_intact_store_has_no_problems(engine, filled):
    assert filled
    assert check(engine) == ()


OLD = (
    "UPDATE chunks SET checksum = NULL",
    "UPDATE ticks SET checksum = NULL",
    "INSERT INTO unchecked VALUES ('chunks', 0, 1000), ('ticks', 0, 10000)",
)
"""Removes the checksums of rows, like a version that had none."""


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE chunks SET packed = zeroblob(40) WHERE id = 1", "Chunk 1: it cannot be unpacked (a chunk of form 0"),
        ("UPDATE chunks SET packed = substr(packed, 1, 60) WHERE id = 2", "Chunk 2: it cannot be unpacked ("),
        ("UPDATE chunks SET packed = x'' WHERE id = 2", "Chunk 2: it cannot be unpacked ("),
        ("UPDATE chunks SET samples = samples + 1 WHERE id = 1", "Chunk 1: it holds 1114 samples, its row states 1115"),
        ("UPDATE chunks SET end_ns = end_ns + 1 WHERE id = 1", f"Chunk 1: it holds {START} to "),
        ("UPDATE ticks SET readings = x'0102' WHERE id = 1250", "Row 1250: it has 2 bytes of readings, not 16"),
        (
            "INSERT INTO ticks SELECT 1, layout_id, end_ns, end_ns, zeroblob(16), NULL FROM chunks WHERE id = 1",
            "Chunk 1: 1 of its ticks also exist as rows",
        ),
    ],
)
def test_damage_in_rows_without_a_checksum_is_found(engine, filled, statement, wrong):
    assert filled
    change(engine, *OLD)
    assert check(engine) == ()
    change(engine, statement)
    found = check(engine)
    assert any(each.startswith(wrong) for each in found), found


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE chunks SET packed = zeroblob(40) WHERE id = 1", "Chunk 1: its checksum is wrong"),
        ("UPDATE chunks SET samples = samples + 1 WHERE id = 1", "Chunk 1: its checksum is wrong"),
        ("UPDATE chunks SET checksum = NULL WHERE id = 1", "Chunk 1: its checksum is missing"),
        ("UPDATE ticks SET readings = zeroblob(16) WHERE id = 1250", "Row 1250: its checksum is wrong"),
        ("UPDATE ticks SET end_ns = end_ns + 1 WHERE id = 1250", "Row 1250: its checksum is wrong"),
        ("UPDATE layouts SET channel_ids = '[1,2'", "Layout 1: its checksum is wrong"),
        ("UPDATE layouts SET seam = zeroblob(32)", "Layout 1: its checksum is wrong"),
        ("UPDATE channels SET metric = 'power_wattt' WHERE id = 2", "Channel 2: its checksum is wrong"),
        ("UPDATE devices SET name = 'x' WHERE id = 1", "Device 1: its checksum is wrong"),
        ("UPDATE hosts SET cores = 3", "Host h: its checksum is wrong"),
        ("UPDATE recordings SET started_ns = started_ns + 1", "Recording 1: its checksum is wrong"),
        ("UPDATE runs SET status = 'zzz'", "Run run: its checksum is wrong"),
        ("UPDATE profiles SET document = '{}}'", "Profile p: its checksum is wrong"),
        ("UPDATE profiles SET tag = 'x'", "Profile p: its checksum is wrong"),
        (
            "UPDATE rollups SET mean = mean + 1 WHERE minute % 20 = 3",
            f"Roll-up {START // (60 * SECOND) + 3}, 1, 1: its",
        ),
        (
            "DELETE FROM rollups WHERE channel_id = 1 AND minute = (SELECT max(minute) FROM rollups)",
            f"Roll-up of minute {START // (60 * SECOND) + 19}, channel 1: of 0 samples, not 60",
        ),
        ("DELETE FROM runs", "Row 1 of profiles refers to a missing row of runs"),
        ("DROP VIEW rollups_named", "The view rollups_named is not the one of this version"),
        ("DROP VIEW v_costs", "The view v_costs is not the one of this version"),
    ],
)
def test_damage_is_found(engine, filled, statement, wrong):
    assert filled
    change(engine, statement)
    found = check(engine)
    assert any(each.startswith(wrong) for each in found), found


@pytest.mark.parametrize(
    ("table", "row", "wrong"),
    [
        ("runs", {"status": "zzz"}, "Run run: 'zzz' is not a status of a run"),
        ("profiles", {"document": "{"}, "Profile p: its document is not a JSON object"),
        ("profiles", {"document": "[" * 100_000}, "Profile p: its document is not a JSON object"),
        ("layouts", {"channel_ids": "[1,2"}, "Layout 1: its channels are not a list of numbers"),
        ("layouts", {"channel_ids": '["1",2]'}, "Layout 1: its channels are not a list of numbers"),
    ],
)
def test_damage_older_than_the_checksums_is_found(engine, filled, table, row, wrong):
    assert filled
    reseal(engine, schema.metadata.tables[table], row)
    found = check(engine)
    assert any(each.startswith(wrong) for each in found), found


def reseal(engine, table, changed):
    """Change every row of a table, and store the checksum of the changed content."""
    with engine.begin() as connection:
        for row in connection.execute(select(table)).mappings().all():
            connection.execute(
                update(table).where(table.c.id == row["id"]).values(**with_checksum(table, {**row, **changed}))
            )


def test_a_damaged_file_is_found(opened, engine, filled, path):
    assert filled
    engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks_layout_start_end'")
        offset = (page.fetchone()[0] - 1) * connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek(offset + 3)
        file.write(b"\0\1")
    assert any(each.startswith("The file is damaged: ") for each in check(opened(path)))


def test_roll_ups_of_removed_samples_are_not_a_problem(engine, filled):
    assert filled
    change(engine, "DELETE FROM chunks WHERE id = 1", "DELETE FROM rollups WHERE minute < 28333345")
    assert check(engine) == ()


@pytest.mark.usefixtures("filled")
def test_a_damaged_row_that_was_replaced_meanwhile_is_not_moved_to_quarantine(engine):
    with write_engine(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE profiles SET document = '{ }'")
    [damage] = problems(engine)
    with write_engine(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE profiles SET document = '{}'")
    assert not quarantine(engine, damage, 1)
    assert check(engine) == ()
    assert (status(engine).profiles, status(engine).quarantined) == (1, 0)
