from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from itertools import count

import pytest

from store.errors import StoreError
from store.reader import Reader
from store.records import Host, Profile, Run, RunStatus, Tick
from store.writer import Writer

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount a tmpfs"
)
WATTS = frozenset({"power_watts"})


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("needs root to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place, name="ballast"):
    """Fill the disk to the last byte with a file, and return it."""
    ballast = place / name
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_full_disk_is_an_error_and_writing_continues_when_there_is_space(opened, small_disk, host, probes):
    path = small_disk / "inferometer.db"
    engine = opened(path)
    writer = Writer(engine)
    [_, nvml] = writer.register(host, [probes[0], probes[1]], "test", 1)
    run = Run("run", host.id, writer.recording, "onnx", "{}", RunStatus.RUNNING, 1)
    writer.save_run(run)
    writer.append([Tick(nvml.id, at, at, (float(at),)) for at in range(100)])
    ballast = fill(small_disk)
    hundreds = count(1)

    def append_until_it_fails():
        for number in hundreds:
            writer.append([Tick(nvml.id, at, at, (float(at),)) for at in range(number * 100, number * 100 + 100)])

    with pytest.raises(StoreError) as refused:
        append_until_it_fails()
    at = (next(hundreds) - 1) * 100
    assert str(refused.value) == f"{path}: the disk is full. Free some space; the stored data is safe"
    with pytest.raises(StoreError, match="the disk is full"):
        writer.save_profile(Profile("p", "run", 1, "onnx", "{}" * 100_000))
    assert len(Reader(engine).run("run").id) == 3
    ballast.unlink()
    writer.append([Tick(nvml.id, n, n, (float(n),)) for n in range(at, at + 100)])
    writer.save_profile(Profile("p", "run", 1, "onnx", "{}"))
    [_, board] = Reader(engine).series(writer.recording, 0, 2**62, WATTS)
    assert board.values == tuple(map(float, range(at + 100)))
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_store_is_created_on_a_full_disk_only_when_there_is_space(opened, small_disk):
    ballast = fill(small_disk)
    path = small_disk / "inferometer.db"
    with pytest.raises(StoreError, match=r"inferometer\.db: the disk is full\. Free some space"):
        opened(path)
    ballast.unlink()
    Writer(opened(path)).register(Host("h", "n"), [], "test", 1)


def test_a_store_closed_on_a_full_disk_loses_no_commit(opened, small_disk, host, probes):
    path = small_disk / "inferometer.db"
    engine = opened(path)
    writer = Writer(engine)
    [_, nvml] = writer.register(host, probes, "test", 1)
    writer.append([Tick(nvml.id, at, at, (float(at),)) for at in range(5000)])
    ballast = fill(small_disk)
    engine.dispose()  # the database has no space for the content of the write-ahead log, which must stay where it is
    for _ in ("full", "with room again"):
        [_, board] = Reader(opened(path)).series(writer.recording, 0, 2**62, WATTS)
        assert len(board.values) == 5000
        ballast.unlink(missing_ok=True)
