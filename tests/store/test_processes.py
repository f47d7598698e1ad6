from __future__ import annotations

import random
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from store.errors import StoreError
from store.maintenance.integrity import check
from store.maintenance.status import status
from store.reader import Reader
from store.records import Profile, Run, RunStatus, Tick
from store.writer import Writer

pytestmark = pytest.mark.system

WATTS = frozenset({"power_watts"})
PER_APPEND, A_SECOND = 20, 100  # as in store_process.py


def stored_values(engine, recording):
    """Return the values of every channel that the child wrote; they are complete and equal in all channels."""
    channels = [series.values for series in Reader(engine).series(recording, 0, 2**62, WATTS)]
    assert all(values == channels[0] for values in channels)
    return channels[0]


def test_a_reader_in_another_process_sees_commits_and_never_waits(start_child, opened, path):
    child = start_child("append", path)
    recording = int(child.stdout.readline())
    engine = opened(path, create=False, busy_seconds=0)
    seen = 0
    deadline = time.monotonic() + 120
    while seen < 2000 and time.monotonic() < deadline:
        committed = int(child.stdout.readline())
        values = stored_values(engine, recording)
        assert len(values) >= max(committed, seen)
        assert len(values) % PER_APPEND == 0
        assert values == tuple(map(float, range(len(values))))
        seen = len(values)
    assert seen >= 2000


def test_killing_the_writer_loses_only_the_open_transaction(start_child, opened, path):
    pace = random.Random(20)
    for _ in range(4):
        child = start_child("append", path)
        recording = int(child.stdout.readline())
        child.stdout.readline()
        time.sleep(pace.uniform(0, 0.05))
        child.kill()
        committed = [int(line) for line in child.stdout.read().splitlines()]
        values = stored_values(opened(path), recording)
        assert values == tuple(map(float, range(len(values))))
        assert len(values) >= (committed[-1] if committed else PER_APPEND)
        assert len(values) % PER_APPEND == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_killing_a_writer_that_compacts_loses_at_most_a_second_and_duplicates_nothing(start_child, opened, path):
    pace, chunks = random.Random(21), 0
    for _ in range(4):
        child = start_child("record", path)
        lines = [child.stdout.readline()]
        while status(opened(path)).chunks <= chunks:
            lines.append(child.stdout.readline())
        time.sleep(pace.uniform(0, 0.1))
        child.kill()
        lines += child.stdout.read().splitlines(keepends=True)
        recording, taken = map(int, [line for line in lines if line.endswith("\n")][-1].split())
        [values] = {series.values for series in Reader(opened(path)).series(recording, 0, 2**62)}
        assert values == tuple(map(float, range(len(values))))
        assert taken - A_SECOND <= len(values) <= taken
        chunks = status(opened(path)).chunks
    assert check(opened(path)) == ()


def test_several_programs_write_to_a_store_concurrently(start_child, opened, path):
    children = [start_child("append", path) for _ in range(2)]
    recordings = [int(child.stdout.readline()) for child in children]
    for child in children:
        while int(child.stdout.readline()) < 400:
            pass
        child.kill()
        child.wait()
    assert len(set(recordings)) == 2
    for recording in recordings:
        values = stored_values(opened(path), recording)
        assert values == tuple(map(float, range(len(values))))
        assert len(values) >= 400


def test_threads_of_one_program_can_write_concurrently(engine, host, probes):
    writer = Writer(engine)
    [_, nvml] = writer.register(host, probes, "test", 1)
    run = Run("run", host.id, writer.recording, "onnx", "{}", RunStatus.RUNNING, 1)
    writer.save_run(run)
    errors = []

    def append():
        try:
            for at in range(100):
                writer.append([Tick(nvml.id, at, at, (float(at),))])
        except StoreError as error:
            errors.append(error)

    recorder = threading.Thread(target=append)
    recorder.start()
    for at in range(30):
        writer.save_run(run)
        writer.save_profile(Profile(f"p{at}", "run", at, "onnx", "{}"))
    recorder.join()
    assert errors == []
    assert len(Reader(engine).profiles()) == 30
    [_, board] = Reader(engine).series(writer.recording, 0, 2**62, WATTS)
    assert board.values == tuple(map(float, range(100)))
