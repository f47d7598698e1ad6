"""Measures the time and the size of a report of eight profiles of ten minutes: the whole command, from the store."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reporting import Bar, arguments, finish, table

from probes.model import Channel, Device, Kind
from store.database import open_database
from store.records import Host, Profile, Run, RunStatus, Tick, Window
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILES, SECONDS, READ_NS, TIMES = 8, 600, 10_000_000, 5
LARGEST_SECONDS, LARGEST_MEGABYTES = 3.0, 8.0
_BEGIN_NS = 1_800_000_000 * 10**9
_WINDOW_NS = 10 * 10**9
_EXAMPLE = Path(__file__).parent.parent / "docs/profile.example.json"
_CHANNELS = (
    Channel(Device("package-0", Kind.CPU), "package", "energy_joules", refresh_seconds=0.001),
    Channel(Device("package-0", Kind.CPU), "dram", "energy_joules", refresh_seconds=0.001),
)


def fill(database: Path, profiles: int, seconds: int) -> list[str]:
    """Store profiles whose runs have samples of two counters every 10 ms; return their ids."""
    engine = open_database(str(database))
    writer = Writer(engine)
    example = json.loads(_EXAMPLE.read_text(encoding="utf-8"))
    names = []
    for number in range(profiles):
        start, name = _BEGIN_NS + number * 3600 * 10**9, f"2027011{number}-080000-0000"
        [layout] = writer.register(Host("host", "name"), [("rapl", _CHANNELS)], "profile", start)
        end = start + seconds * 10**9
        writer.save_run(Run(name, "host", writer.recording, "transformer", "{}", RunStatus.COMPLETE, start, end))
        for position, at in enumerate(range(start, end, 2 * _WINDOW_NS)):
            point = json.dumps({"batch": 2 ** (position % 4)}, separators=(",", ":"))
            writer.save_window(Window(name, point, "decode", position // 4, at, at + _WINDOW_NS))
        writer.append(list(_ticks(layout.id, start, seconds)))
        document = {**example, "id": name, "host": {**example["host"], "name": f"host-{number}"}}
        writer.save_profile(Profile(name, name, end, "transformer", json.dumps(document)))
        names.append(name)
    engine.dispose()
    return names


def _ticks(layout: int, start: int, seconds: int) -> Iterator[Tick]:
    joules = 0.0
    for at in range(0, seconds * 10**9, READ_NS):
        joules += (50 + 30 * math.sin(at / 7e9)) * READ_NS / 1e9
        yield Tick(layout, start + at, start + at + 2000, (joules, joules / 5))


def main() -> None:
    """Write the report several times."""
    options = arguments(str(__doc__).partition("\n")[0])
    profiles, seconds, times = (2, 60, 2) if options.quick else (PROFILES, SECONDS, TIMES)
    with tempfile.TemporaryDirectory(prefix="inferometer-report-") as folder:
        database, page = Path(folder, "store.db"), Path(folder, "report.html")
        names = fill(database, profiles, seconds)
        line = [sys.executable, "-m", "agent.cli.entry", "--database", str(database), "report", *names, "-o", str(page)]
        found = []
        for _ in range(times + 1):
            began = time.perf_counter()
            subprocess.run(line, check=True, capture_output=True)
            found.append(time.perf_counter() - began)
        megabytes = page.stat().st_size / 1e6
    warm = sorted(found[1:])  # the first one fills the caches of the files and of the fonts
    median = statistics.median(warm)
    table(
        f"A report of {profiles} profiles of {seconds} s, {seconds * 10**9 // READ_NS} reads each",
        ("FIRST>", "MEDIAN>", "FASTEST>", "SLOWEST>", "SIZE>"),
        [(f"{found[0]:.2f} s", f"{median:.2f} s", f"{warm[0]:.2f} s", f"{warm[-1]:.2f} s", f"{megabytes:.2f} MB")],
    )
    figures = {"profiles": profiles, "first_seconds": found[0], "seconds": warm, "megabytes": megabytes}
    bars = [
        Bar("time of the report", median, LARGEST_SECONDS, "s", lower=warm[0], upper=warm[-1]),
        Bar("size of the report", megabytes, LARGEST_MEGABYTES, "MB"),
    ]
    finish(options.json, figures, bars)


if __name__ == "__main__":
    main()
