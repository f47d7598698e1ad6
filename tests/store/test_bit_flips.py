"""A single changed bit of a store never changes the read data without a report."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest
from hypothesis import settings

from probes.model import Channel, Device, Kind, Reason, Rejection, Source
from store import schema
from store.database import open_database
from store.errors import StoreError
from store.maintenance.compaction import compact
from store.maintenance.integrity import check
from store.maintenance.status import status
from store.reader import Reader
from store.records import Host, Profile, Run, RunStatus, ServingHour, Tick, Total, Window
from store.writer import Writer

pytestmark = pytest.mark.system

SECOND = 10**9
START = 1_700_000_400 * SECOND
CPU = Device("package-0", Kind.CPU, "A CPU", (("cores", "8"),))
CHANNELS = (Channel(CPU, "package", "energy_joules", resolution=6.1e-5), Channel(CPU, "package", "power_watts"))
FLIPS = settings.default.max_examples // 4
"""The number of bits changed in each table and each index, one at a time; CI changes more."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a store with rows in every table, and the data read from it."""
    path = tmp_path_factory.mktemp("sound") / "inferometer.db"
    engine = open_database(str(path))
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "n", "boot"), [("rapl", CHANNELS)], "daemon", START)
    total = Total("h", "rapl", CPU.id, "package", "energy_joules", Source.MEASURED, "boot", 4.5, 7.5, START)
    at = [START + number * 10 * SECOND for number in range(80)]
    refused = (Rejection(1, Reason.SENTINEL),)
    ticks = [Tick(layout.id, t, t + 2000, (n * 1.5, 50.0 + n % 7), refused if n == 3 else ()) for n, t in enumerate(at)]
    writer.append(ticks, [total])
    writer.save_run(Run("run", "h", writer.recording, "onnx", "{}", RunStatus.COMPLETE, START, START + SECOND))
    writer.save_window(Window("run", "b", "decode", 1, START, START + SECOND, 3, 3, 9, 9, (0.1, 0.2), (1e-3,)))
    writer.save_profile(Profile("p", "run", START, "onnx", '{"points": [1.25, 2.5], "name": "a profile"}'))
    writer.tag_profile("p", "best")
    hour = START // (3600 * SECOND)
    writer.save_serving_hours(
        [ServingHour("h", "chat", "m", hour, "served", "measured", 3, 1, "[[0.0,3,1]]", "[]", requests=2.0)]
    )
    compact(engine, START + 600 * SECOND)
    engine.dispose()
    content = path.read_bytes()
    assert outcome(path) == ([], (), *outcome(path)[2:])
    return path, content, outcome(path)[2]


def outcome(path):
    """Return the reports during a complete read, the result of a check after it, and the read data."""
    reported, read = [], []
    try:
        engine = open_database(str(path), create=False)
    except StoreError as error:
        return [str(error)], (), None
    reader = Reader(engine, lambda damage: reported.append(str(damage)))
    questions = (
        lambda: reader.recordings(0, 2**62),
        lambda: reader.layouts(1),
        lambda: reader.series(1, 0, 2**62),
        lambda: reader.rollups(1, 0, 2**31),
        lambda: reader.totals("h"),
        lambda: reader.run("run"),
        lambda: reader.windows("run"),
        reader.profiles,
        lambda: reader.serving_hours(0, 2**62),
    )
    found = ()
    try:
        for question in questions:
            try:
                read.append(question())
            except StoreError as error:
                reported.append(str(error))
        try:
            found = check(engine)
            status(engine)
        except StoreError as error:
            reported.append(str(error))
    finally:
        engine.dispose()
    return reported, found, read


def pages(path):
    """Return the first byte and the length of each table's and each index's first page, by name."""
    with closing(sqlite3.connect(path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0"))
    return {name: ((root - 1) * size, size) for name, root in roots.items()} | {"sqlite_master": (0, size)}


NAMES = [
    *(table.name for table in schema.metadata.sorted_tables if table.name not in {"unchecked", "quarantine"}),
    *("ticks_layout_start", "chunks_layout_start_end", "rejections_layout_at", "layouts_recording", "windows_run"),
    *("sqlite_master", "inferometer_version"),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_changed_bit_is_reported_or_harmless(sound, tmp_path, name):
    path, content, truth = sound
    start, size = pages(path)[name]
    used = [at for at in range(start, start + size) if content[at]]
    draw = random.Random(name)
    silent = []
    for place in draw.sample(used, min(FLIPS, len(used))):
        bit = draw.randrange(8)
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        copy = tmp_path / "flipped.db"
        copy.write_bytes(changed)
        reported, found, read = outcome(copy)
        if read != truth and not reported and not found:
            silent.append((place - start, bit))
        for beside in tmp_path.glob("flipped.db*"):
            beside.unlink()
    assert silent == []
