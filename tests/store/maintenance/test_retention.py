from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict

import pytest
from sqlalchemy import insert, select

from probes.model import Channel, Device, Kind, Reason, Rejection
from store import schema, sqlite
from store.codec.checksums import with_checksum
from store.maintenance.compaction import compact
from store.maintenance.dry_run import estimate_prune
from store.maintenance.integrity import check
from store.maintenance.retention import PruneResult, Retention, prune
from store.reader import Reader
from store.records import Host, Rollup, Run, RunStatus, Tick
from store.writer import Writer

pytestmark = pytest.mark.system

SECOND = 10**9
START = 1_700_000_400 * SECOND
MINUTE = 60 * SECOND
DAY = 86_400
CHANNELS = (Channel(Device("package-0", Kind.CPU), "package", "power_watts"),)


def registered(engine, program="daemon", at=0):
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "n"), [("rapl", CHANNELS)], program, START + at * SECOND)
    return writer, layout


def fill(writer, layout, seconds):
    writer.append([Tick(layout.id, START + at * SECOND, START + at * SECOND, (float(at),)) for at in seconds])


def left(engine, recording):
    """Return the seconds after the start that have samples."""
    found = Reader(engine).series(recording, 0, 2**62)
    return [(at - START) // SECOND for series in found for at in series.times_ns]


def now(seconds):
    return START + seconds * SECOND


def test_nothing_is_removed_without_a_limit(engine):
    writer, layout = registered(engine)
    fill(writer, layout, range(0, 1000, 10))
    compact(engine, now(600))
    pruned = prune(engine, Retention(), now(10**9))
    assert pruned == PruneResult(size_bytes=pruned.size_bytes, freed_bytes=pruned.freed_bytes)
    assert left(engine, writer.recording) == list(range(0, 1000, 10))


def test_older_samples_are_removed_from_rows_and_by_whole_chunks(engine):
    writer, layout = registered(engine)
    fill(writer, layout, range(0, 2000, 10))
    compact(engine, now(1200))
    pruned = prune(engine, Retention(seconds=100), now(1000))
    assert (pruned.chunks, pruned.ticks) == (1, 0)
    assert left(engine, writer.recording) == list(range(600, 2000, 10))
    pruned = prune(engine, Retention(seconds=100), now(1600))
    assert (pruned.chunks, pruned.ticks) == (1, 30)
    assert left(engine, writer.recording) == list(range(1500, 2000, 10))
    assert check(engine) == ()


def test_the_samples_of_a_run_stay(engine):
    writer, layout = registered(engine, "profile")
    fill(writer, layout, range(0, 3000, 10))
    run = Run("run", "h", writer.recording, "onnx", "{}", RunStatus.COMPLETE, now(1000), now(1100))
    writer.save_run(run)
    compact(engine, now(1800))
    prune(engine, Retention(seconds=0, bytes=0), now(10**6))
    assert left(engine, writer.recording) == list(range(600, 1200, 10))


def test_all_samples_since_the_start_of_a_running_run_stay(engine):
    writer, layout = registered(engine, "profile")
    fill(writer, layout, range(0, 3000, 10))
    writer.save_run(Run("run", "h", writer.recording, "onnx", "{}", RunStatus.RUNNING, now(2060)))
    prune(engine, Retention(seconds=0), now(10**6))
    assert left(engine, writer.recording) == list(range(2000, 3000, 10))


def test_rejections_are_removed_with_the_samples(engine):
    writer, layout = registered(engine)
    for at in (0, 100):
        writer.append([Tick(layout.id, now(at), now(at), (1.0,), (Rejection(0, Reason.RESET),))])
    assert prune(engine, Retention(seconds=50), now(100)).rejections == 1
    [series] = Reader(engine).series(writer.recording, 0, 2**62)
    assert series.rejections == ((now(100), Reason.RESET),)


def test_roll_ups_have_their_own_age_limit(engine):
    writer, layout = registered(engine)
    fill(writer, layout, range(0, 600, 10))
    compact(engine, now(600))
    prune(engine, Retention(seconds=0, rollup_seconds=180), now(600))
    first = START // (60 * SECOND)
    found = Reader(engine).rollups(writer.recording, 0, 2**31 - 1)
    assert [one.minute - first for one in found] == [7, 8, 9]
    assert left(engine, writer.recording) == []


def test_a_file_that_is_too_large_loses_its_oldest_samples_and_becomes_smaller(engine, path):
    writer, layout = registered(engine)
    fill(writer, layout, range(30_000))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    pruned = prune(engine, Retention(bytes=before // 2), now(30_000))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds = left(engine, writer.recording)
    assert seconds == list(range(seconds[0], 30_000))
    assert 9_000 < len(seconds) < 16_000
    assert path.stat().st_size == pruned.size_bytes <= before // 2
    assert pruned.freed_bytes == before - pruned.size_bytes
    assert (pruned.too_large, pruned.needs_vacuum) == (False, False)


def fill_with_rollups(engine, layout, minutes, channels=15):
    """Insert roll-ups of many channels, of which the layout's own is the first."""
    [number] = json.loads(row_of(engine, layout).channel_ids)
    with engine.begin() as connection:
        of_it = connection.execute(select(schema.channels).where(schema.channels.c.id == number)).one()._asdict()
        names = [{**of_it, "id": number + each, "domain": f"domain {each}"} for each in range(1, channels)]
        connection.execute(insert(schema.channels), [with_checksum(schema.channels, name) for name in names])
        rollups = [
            Rollup(
                START // MINUTE + minute, number + each, row_of(engine, layout).recording_id, 60, 0.51, 1.53, 1.02, 61.2
            )
            for minute in minutes
            for each in range(channels)
        ]
        connection.execute(
            insert(schema.rollups), [with_checksum(schema.rollups, asdict(rollup)) for rollup in rollups]
        )


def row_of(engine, layout):
    with engine.connect() as connection:
        return connection.execute(select(schema.layouts).where(schema.layouts.c.id == layout.id)).one()


def minutes_left(engine, recording):
    return sorted({one.minute - START // MINUTE for one in Reader(engine).rollups(recording, 0, 2**31 - 1)})


def test_in_a_file_full_of_roll_ups_the_oldest_roll_ups_are_removed_and_the_newest_samples_stay(engine):
    writer, layout = registered(engine)
    fill(writer, layout, range(0, 20_000, 10))
    samples = sqlite.used_bytes(engine)
    fill_with_rollups(engine, layout, range(333))
    limit = samples + (sqlite.used_bytes(engine) - samples) // 2
    would = estimate_prune(engine, Retention(bytes=limit), now(20_000))
    pruned = prune(engine, Retention(bytes=limit), now(20_000))
    assert left(engine, writer.recording) == list(range(12_800, 20_000, 10))
    minutes = minutes_left(engine, writer.recording)
    assert minutes == list(range(minutes[0], 333))
    assert 100 < len(minutes) < 250
    assert (pruned.ticks, pruned.too_large, would.too_large) == (1280, False, False)
    assert would.ticks == 1280
    assert would.rollups == pytest.approx(pruned.rollups, rel=0.3)


def test_nothing_younger_than_two_hours_is_removed_at_any_file_size(engine):
    writer, layout = registered(engine)
    fill(writer, layout, range(0, 9000, 10))
    compact(engine, now(1200))
    fill_with_rollups(engine, layout, range(20, 150))
    would = estimate_prune(engine, Retention(bytes=1), now(9000))
    for _ in range(2):
        pruned = prune(engine, Retention(bytes=1), now(9000))
        assert pruned.too_large
        assert left(engine, writer.recording) == list(range(1800, 9000, 10))
        assert minutes_left(engine, writer.recording) == list(range(30, 150))
    assert would.too_large


def test_an_unreachable_size_limit_is_reported(engine):
    writer, layout = registered(engine)
    fill(writer, layout, range(100))
    pruned = prune(engine, Retention(bytes=1), now(10**6))
    assert (pruned.ticks, pruned.too_large) == (100, True)


def test_a_file_of_the_first_version_reports_that_it_needs_vacuum_once(opened, path, tmp_path, engine):
    old = tmp_path / "old.db"
    engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute(f"VACUUM INTO '{old}'")
    again = opened(old)
    writer, layout = registered(again)
    fill(writer, layout, range(5000))
    assert prune(again, Retention(seconds=0), now(10**6)).needs_vacuum
    with again.connect() as connection:
        driver = connection.connection.driver_connection
        driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
        driver.execute("VACUUM")
    fill(writer, layout, range(5000))
    assert not prune(again, Retention(seconds=0), now(10**6)).needs_vacuum


def test_empty_recordings_are_removed_except_the_newest_of_a_program(engine):
    emptied, of_run, rolled_up, newest = (registered(engine, at=at) for at in range(4))
    for writer, layout in (emptied, of_run, rolled_up, newest):
        fill(writer, layout, range(10))
    of_run[0].save_run(Run("run", "h", of_run[0].recording, "onnx", "{}", RunStatus.FAILED, now(10**6), now(10**6)))
    compact(engine, now(600))
    with engine.begin() as connection:
        kept = schema.rollups.c.recording_id == rolled_up[0].recording
        connection.execute(schema.rollups.delete().where(~kept))
    assert prune(engine, Retention(seconds=0), now(10**7)).recordings == 1
    with engine.connect() as connection:
        recordings = connection.execute(select(schema.recordings.c.id)).scalars().all()
        layouts = connection.execute(select(schema.layouts.c.recording_id)).scalars().all()
    assert recordings == layouts == [writer.recording for writer, _ in (of_run, rolled_up, newest)]
    fill(*newest, range(20))


def test_a_recording_that_just_began_is_not_removed(engine):
    for at in range(2):
        registered(engine, "measure", at)
    assert prune(engine, Retention(seconds=0), now(1800)).recordings == 0
    assert prune(engine, Retention(seconds=0), now(DAY)).recordings == 1


@pytest.mark.parametrize("retention", [Retention(seconds=0), Retention(seconds=10**9, bytes=10**9)])
def test_pruning_twice_removes_nothing_more(engine, retention):
    writer, layout = registered(engine)
    fill(writer, layout, range(0, 1000, 10))
    prune(engine, retention, now(500))
    again = prune(engine, retention, now(500))
    assert (again.ticks, again.chunks, again.rollups, again.recordings, again.freed_bytes) == (0, 0, 0, 0, 0)
