"""Measures the cost of storing samples: bytes beside a Gorilla encoding, inserts, a range query, the loss by a kill.

    make bench BENCH=storage [BENCH_ARGS=--quick]

The series are simulated (storage_series.py) and stored as the daemon does: packed rows, then chunks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from gorilla import pack_times, pack_values, unpack_values
from reporting import Bar, arguments, finish, table
from storage_kill import kill_loop
from storage_series import START_NS, Simulated, by_metric, host, ticks

from probes.model import Channel, Device, Kind
from store import sqlite
from store.codec import columns
from store.damage import RowVerifier
from store.database import open_database, write_engine
from store.maintenance.compaction import compact
from store.reader import Reader
from store.records import Host, Tick
from store.series_query import read_samples
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

SECOND = 10**9
YEAR_SECONDS = 365 * 86_400
UNLIMITED_NS = 2**62
_FEWEST = 3
_MINUTE = 60
_COUNTED = 50
"""Layouts with at least this many channels have a bar; narrower ones are only shown."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes a sample of one set of series: rows, chunks, chunks and roll-ups, and Gorilla's."""

    name: str
    samples: int
    rows: float
    chunks: float
    whole: float
    gorilla: float
    compact_seconds: float


@contextmanager
def store() -> Iterator[Engine]:
    """Open a store in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-") as folder:
        engine = open_database(f"{folder}/inferometer.db")
        try:
            yield engine
        finally:
            engine.dispose()


def sizes(name: str, probes: Sequence[Simulated]) -> Sizes:
    """Store series, compact them, and measure each time the growth of the file over an empty store."""
    samples = sum(len(probe.rows) * len(probe.channels) for probe in probes)
    with store() as engine:
        empty = _pages(engine)
        writer = Writer(engine)
        layouts = writer.register(Host("h", "bench"), [(one.name, one.channels) for one in probes], "bench", START_NS)
        for layout, probe in zip(layouts, probes, strict=True):
            writer.append(ticks(layout.id, probe))
        rows = _pages(engine) - empty
        began = time.process_time()
        compact(engine, UNLIMITED_NS)
        seconds = time.process_time() - began
        whole = _size(engine) - empty
        with write_engine(engine).begin() as connection:
            connection.exec_driver_sql("DELETE FROM rollups")
        alone = _size(engine) - empty
    gorilla = sum(_gorilla(probe) for probe in probes)
    return Sizes(name, samples, rows / samples, alone / samples, whole / samples, gorilla / samples, seconds / samples)


def _size(engine: Engine) -> int:
    sqlite.reclaim(engine)
    return _pages(engine)


def _gorilla(probe: Simulated) -> int:
    """Return the bytes of a probe's values, and of its times in milliseconds, which all its series share here."""
    times = [tick.start_ns // 1_000_000 for tick in ticks(0, probe)]
    return len(pack_times(times)) + sum(len(pack_values(values)) for values in zip(*probe.rows, strict=True))


def kinds(probes: Sequence[Simulated]) -> list[tuple[str, float, float]]:
    """Return metric, our bytes a sample in chunks of 300, Gorilla's in one piece."""
    found = []
    for metric, series in by_metric(probes).items():
        count = sum(map(len, series))
        ours = sum(len(columns.pack(one[at : at + 300])) for one in series for at in range(0, len(one), 300))
        theirs = sum(len(pack_values(one)) for one in series)
        found.append((metric, ours / count, theirs / count))
    return found


def insert_rates(seconds: float) -> list[tuple[int, float, float]]:
    """Return, for layouts of some widths, millions of values a second of wall clock and of processor time."""
    found = []
    for width in (10, 50, 100, 200):
        channels = tuple(Channel(Device(f"gpu-{n}", Kind.GPU), "board", "power_watts") for n in range(width))
        with store() as engine:
            writer = Writer(engine)
            [layout] = writer.register(Host("h", "bench"), [("nvml", channels)], "bench", START_NS)
            values = tuple(100 + 1 / (number + 3) for number in range(width))
            rates, at, end = [], START_NS, time.monotonic() + seconds
            while time.monotonic() < end or len(rates) < _FEWEST:
                batch = [Tick(layout.id, at + n * 1000, at + n * 1000 + 1000, values) for n in range(1000)]
                at += SECOND
                wall, cpu = time.perf_counter(), time.process_time()
                writer.append(batch)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                rates.append((1000 * width / wall / 1e6, 1000 * width / cpu / 1e6))
        found.append((width, *(statistics.median(each) for each in zip(*rates, strict=True))))
    return found


def queries(repeats: int) -> dict[str, float]:
    """Return the median microseconds to read 60 s of one channel from a chunk of 200 channels."""
    probes = host(1.0, 1200, gpus=18)
    channels = tuple(channel for probe in probes for channel in probe.channels)[:200]
    rows = [
        tuple(value for row in parts for value in row)[:200] for parts in zip(*(p.rows for p in probes), strict=True)
    ]
    wide = Simulated("wide", 1.0, channels, tuple(rows))
    position = next(place for place, channel in enumerate(channels) if channel.metric == "power_watts")
    start, end = START_NS + 400 * SECOND, START_NS + 459 * SECOND + SECOND // 2
    with store() as engine:
        writer = Writer(engine)
        [layout] = writer.register(Host("h", "bench"), [("wide", channels)], "bench", START_NS)
        writer.append(ticks(layout.id, wide))
        compact(engine, UNLIMITED_NS)
        reader = Reader(engine)
        wanted = channels[position]
        with engine.connect() as connection:
            verifier = RowVerifier(connection, None)
            asked = (connection, layout, [position], (start, end), verifier)
            assert len(read_samples(*asked).middles) == _MINUTE
            chunk = _median(lambda: read_samples(*asked), repeats)
        whole = _median(
            lambda: reader.series(writer.recording, start, end, where=lambda channel: channel == wanted), repeats // 5
        )
    return {"chunk_us": chunk, "series_us": whole, "channels": len(channels)}


def _pages(engine: Engine) -> int:
    """Return the bytes of the file without its write-ahead log."""
    return sqlite.size(engine) - sqlite.log_bytes(engine)


def _median(ask: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats + 20):
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[20:]) * 1e6


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__ or "")
    quick = options.quick
    slow = host(1.0, 900 if quick else 3600, gpus=2 if quick else 8)
    fast = host(0.01, 15 if quick else 60, gpus=1 if quick else 2)
    sample = slow[0].rows and [row[0] for row in slow[0].rows[:300]]
    assert unpack_values(pack_values(sample), len(sample)) == sample, "the comparison encoding is lossy"
    found = [sizes("1 Hz", slow), sizes("100 Hz", fast)]
    table(
        "Bytes a sample, in all pages beyond those of an empty store",
        ("SERIES", "SAMPLES>", "ROWS>", "CHUNKS>", "WITH ROLL-UPS>", "GORILLA>", "COMPACTING us>"),
        [(s.name, s.samples, s.rows, s.chunks, s.whole, s.gorilla, s.compact_seconds * 1e6) for s in found],
    )
    by_kind = kinds(slow)
    table("Bytes a sample at 1 Hz by metric", ("METRIC", "CHUNK>", "GORILLA>"), by_kind)
    rates = insert_rates(0.5 if quick else 5.0)
    table("Inserts, million values a second", ("CHANNELS>", "WALL>", "PROCESSOR>"), rates)
    asked = queries(200 if quick else 2000)
    table("60 s of one channel of 200, 1 Hz", ("QUESTION", "us>"), [
        ("from its chunk, connection open", asked["chunk_us"]), ("Reader.series, layouts and all", asked["series_us"]),
    ])  # fmt: skip
    slow_size = found[0]
    year = [(name, per * 200 * YEAR_SECONDS / 1e9) for name, per in (
        ("chunks", slow_size.chunks), ("chunks and roll-ups", slow_size.whole), ("rows", slow_size.rows),
        ("Gorilla", slow_size.gorilla),
    )]  # fmt: skip
    table("A year of 200 channels at 1 Hz, GB", ("KEPT AS", "GB>"), year)
    killed = kill_loop(10 if quick else 200)
    table("Killed while writing and compacting", ("KILLS>", "TICKS>", "CHUNKS>", "MOST LOST, s>", "FAULTS>"), [
        (killed.kills, killed.ticks, killed.chunks, killed.most_lost_seconds, len(killed.faults)),
    ])  # fmt: skip
    for fault in killed.faults[:5]:
        print(f"  {fault}")
    slowest = min((rate for rate in rates if rate[0] >= _COUNTED), key=itemgetter(1))
    bars = [
        *(Bar(f"bytes a sample, {s.name}", s.chunks, 1.4, "B", note="chunks, in pages of the file") for s in found),
        *(Bar(f"against Gorilla, {s.name}", s.chunks / s.gorilla, 1.0, "x") for s in found),
        Bar("insert rate", slowest[1], 5.0, "M/s", at_least=True, note=f"{slowest[2]:.3g} of processor time"),
        Bar("60 s of one channel from a chunk", asked["chunk_us"], 200.0, "us"),
        Bar("lost by a kill", killed.most_lost_seconds, 1.0, "s", note=f"{killed.kills} kills"),
        Bar("faults after kills", len(killed.faults), 0),
    ]
    figures = {
        "sizes": [asdict(each) for each in found], "by_metric": by_kind, "insert_million_values_per_second": rates,
        "query": asked, "year_gb": dict(year), "kills": asdict(killed),
    }  # fmt: skip
    finish(options.json, figures, bars)


if __name__ == "__main__":
    main()
