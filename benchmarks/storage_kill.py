"""Kills a process that writes and compacts, many times, and checks the store that it left."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import count

from probes.model import Channel, Device, Kind
from store.database import open_database
from store.maintenance.compaction import compact
from store.maintenance.integrity import check
from store.maintenance.status import status
from store.reader import Reader
from store.records import Host, Tick
from store.writer import Writer

SECOND = 10**9
START_NS = 1_764_000_000 * SECOND
A_SECOND = 100
"""Ticks of one batch, one second of samples; their timestamps are a second apart, so that there is much to compact."""
CHANNELS = tuple(Channel(Device(f"package-{n}", Kind.CPU), "package", "energy_joules") for n in range(5))


@dataclass(frozen=True, slots=True)
class Killed:
    """The result of a number of kills: stored ticks and chunks, seconds of lost ticks, faults."""

    kills: int
    ticks: int
    chunks: int
    most_lost_seconds: float
    faults: tuple[str, ...]


def kill_loop(kills: int) -> Killed:
    """Kill processes at moments drawn with a fixed seed, and check the store after each and at the end."""
    pace = random.Random(9)
    faults: list[str] = []
    most_lost = 0.0
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-") as folder:
        path = f"{folder}/inferometer.db"
        open_database(path).dispose()
        for _ in range(kills):
            taken, recording = _one(path, pace.uniform(0.0, 0.25))
            lost, fault = _look(path, recording, taken)
            most_lost = max(most_lost, lost)
            faults += fault
        engine = open_database(path)
        faults += check(engine)
        found = status(engine)
        ticks = found.samples // len(CHANNELS)
        engine.dispose()
    return Killed(kills, ticks, found.chunks, most_lost, tuple(faults))


def _one(path: str, seconds: float) -> tuple[int, int]:
    """Let a process record for about this long, kill it, and return the number of its ticks, and its recording."""
    here, there = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=_record, args=(path, there))
    process.start()
    os.close(there)
    with os.fdopen(here, "rb") as heard:
        first = heard.readline()  # it is at work
        time.sleep(seconds)
        process.kill()
        process.join()
        lines = [first, *heard.read().splitlines(keepends=True)]
    whole = [line for line in lines if line.endswith(b"\n")]
    recording, taken = whole[-1].split()
    return int(taken), int(recording)


def _record(path: str, there: int) -> None:
    """Append a second's ticks in one transaction after the other, and compact meanwhile, forever."""
    engine = open_database(path)
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "bench"), [("rapl", CHANNELS)], "bench", START_NS)
    threading.Thread(target=_compact_loop, args=(path,), daemon=True).start()
    for start in count(0, A_SECOND):
        batch = [
            Tick(layout.id, START_NS + n * SECOND, START_NS + n * SECOND, (float(n),) * len(CHANNELS))
            for n in range(start, start + A_SECOND)
        ]
        os.write(there, b"%d %d\n" % (writer.recording, start + A_SECOND))
        writer.append(batch)


def _compact_loop(path: str) -> None:
    engine = open_database(path)
    while True:
        compact(engine, 2**62)


def _look(path: str, recording: int, taken: int) -> tuple[float, list[str]]:
    """Return the seconds of lost ticks, and the faults of the stored ones."""
    faults = []
    with closing(sqlite3.connect(path)) as connection:
        [(word,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if word != "ok":
        faults.append(f"recording {recording}: {word}")
    engine = open_database(path)
    for series in Reader(engine).series(recording, 0, 2**62):
        kept = len(series.values)
        if series.values != tuple(map(float, range(kept))):
            faults.append(f"recording {recording}: not every tick once and in order")
    engine.dispose()
    return (taken - kept) / A_SECOND, faults
