"""Runs the decoder of docs/store.md on a real store."""

from __future__ import annotations

import copy
import csv
import json
import math
import random
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from probes.model import Channel, Device, Kind
from store import schema
from store.maintenance.compaction import compact
from store.reader import Reader
from store.records import Host, Profile, Run, RunStatus, Tick
from store.writer import Writer
from viewed_profiles import DOCUMENTS, store_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

PAGE = Path(__file__).parents[2] / "docs/store.md"
MOST_LINES = 60
SECOND = 10**9
START = 1_700_000_400 * SECOND
"""A multiple of 600 s, the time that one chunk covers."""
TICKS = 700
DICE = random.Random(9)


def rapl_joules(count: int, unit: int) -> float:
    """Return the unwrapped joules of the kernel after `count` counts of `unit` thousandths of a microjoule."""
    return (count // 2**32 * ((2**32 - 1) * unit // 1000) + count % 2**32 * unit // 1000) / 1e6


COLUMNS: dict[str, Sequence[float]] = {
    "constant": [85_899_345_920.0] * TICKS,
    "whole numbers": [45.0 + n // 50 for n in range(TICKS)],
    "steady growth": [1000.0 + 3 * n for n in range(TICKS)],
    "growing growth": [float(n * n) for n in range(TICKS)],
    "noise": [DICE.randrange(-(10**6), 10**6) / 1000 for _ in range(TICKS)],
    "wide noise": [DICE.randrange(0, 2**50) / 10 for _ in range(TICKS)],
    "negative": [-(n % 7) / 100 for n in range(TICKS)],
    "binary": [n / 2**20 + 1 for n in range(TICKS)],
    "package counter": [rapl_joules(2**32 - 10**7 + 819_200 * n, 61035) for n in range(TICKS)],
    "fine counter": [rapl_joules(10**9 + 81_919 * n, 15258) for n in range(TICKS)],
    "memory counter": [rapl_joules(10**9 + 7919 * n * n, 15300) for n in range(TICKS)],
    "ratio": [(n * 7 % 100) / (100 + n % 2) for n in range(TICKS)],
    "no pattern": [math.sin(n) * 10.0 ** (n % 200) for n in range(TICKS)],
    "infinities": [math.inf if n % 2 else -0.0 for n in range(TICKS)],
    "gaps": [math.nan if n % 3 == 0 else n / 10 for n in range(TICKS)],
    "no value": [math.nan] * TICKS,
}
CHANNELS = tuple(Channel(Device("package-0", Kind.CPU), domain, "power_watts") for domain in COLUMNS)


def decoder() -> str:
    _, _, code = PAGE.read_text().partition("```python\n")
    return code.partition("```")[0]


@pytest.fixture
def stored(engine: Engine) -> Engine:
    """A store whose first 600 ticks are in a chunk and the others in rows."""
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "n"), [("rapl", CHANNELS)], "test", START)
    starts = [START + n * SECOND + DICE.randrange(10**6) for n in range(TICKS)]
    writer.append(
        [
            Tick(layout.id, start, start + 1000 * (n % 5), [values[n] for values in COLUMNS.values()])
            for n, start in enumerate(starts)
        ]
    )
    assert compact(engine, START + 600 * SECOND).ticks == 600
    return engine


def test_decoder_is_short() -> None:
    assert sum(1 for line in decoder().splitlines() if line.strip()) <= MOST_LINES


def test_decoder_prints_every_sample_of_chunks_and_rows(stored: Engine, path: Path) -> None:
    command = [sys.executable, "-I", "-c", decoder(), str(path)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    header, *rows = csv.reader(output.splitlines())
    assert header == ["recording", "start_ns", "end_ns", "device", "domain", "metric", "source", "value"]
    found: dict[str, list[tuple[int, bytes]]] = {}
    for recording, start, end, device, domain, metric, source, value in rows:
        assert (recording, device, metric, source) == ("1", "package-0", "power_watts", "measured")
        middle = (int(start) + int(end)) // 2
        found.setdefault(domain, []).append((middle, struct.pack("<d", float(value))))
    expected = {
        series.channel.domain: list(
            zip(series.times_ns, (struct.pack("<d", value) for value in series.values), strict=True)
        )
        for series in Reader(stored).series(1, 0, 2**62)
    }
    assert found == {domain: samples for domain, samples in expected.items() if samples}
    assert set(expected) - set(found) == {"no value"}


def test_store_of_the_test_has_every_kind_of_column(stored: Engine) -> None:
    with stored.connect() as connection:
        packed = connection.execute(schema.chunks.select()).one().packed
    ends = struct.unpack_from(f"<{2 + len(COLUMNS)}I", packed, 4)
    kinds = {packed[end] for end in ends[1:-1]}
    assert {96, 97, 98, 104, 105, 106} <= kinds
    assert any(kind < 32 for kind in kinds)
    assert any(32 <= kind < 96 for kind in kinds)
    assert any(kind >= 128 for kind in kinds)


def test_the_queries_on_the_page_have_rows(engine, host):
    store_documents(engine, host)
    queries = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(queries) == 2
    with engine.connect() as connection:
        rows = [connection.exec_driver_sql(query.replace("'measured'", "'estimated'")).all() for query in queries]
        assert [connection.exec_driver_sql(query).all() for query in queries] == [[], []]  # no estimate is measured
    assert [len(found) for found in rows] == [7, 7]
    joules = DOCUMENTS[0]["points"][0]["energy"]["joules_per_output_token"]["mean"]
    kwh = joules * 1e6 / 3.6e6
    assert any(row.kwh_per_million_output_tokens == pytest.approx(kwh) for row in rows[1])


def test_the_queries_on_the_page_leave_out_invalid_points_and_keep_currencies_and_boundaries_apart(engine, host):
    changes = [("EUR", "wall", True, 1.0), ("USD", "wall", True, 0.1), ("EUR", "components", True, 0.2)]
    changes += [("EUR", "wall", True, 0.5), ("EUR", "wall", False, 0.01)]
    writer = Writer(engine)
    writer.register(host, [], "profile", 1)
    for number, (currency, boundary, valid, factor) in enumerate(changes):
        document = copy.deepcopy(DOCUMENTS[0])
        document["coverage"] |= {"source": "measured", "boundary": boundary}
        [point, *_] = document["points"]
        point["cost"]["currency"], point["valid"] = currency, valid
        for part in ("energy", "capital"):
            point["cost"]["allocation"]["per_million_output_tokens"][part]["mean"] = factor
        name = f"p{number}"
        writer.save_run(Run(name, host.id, writer.recording, "w", "{}", RunStatus.COMPLETE, 1, 2))
        document["points"] = [point]
        writer.save_profile(Profile(name, name, START, "transformer", json.dumps(document)))
    costs, energies = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    with engine.connect() as connection:
        found = [(row.energy_boundary, row.currency, row.total) for row in connection.exec_driver_sql(costs)]
        boundaries = [row.energy_boundary for row in connection.exec_driver_sql(energies)]
    assert found == [("components", "EUR", 0.4), ("wall", "EUR", 1.0), ("wall", "EUR", 2.0), ("wall", "USD", 0.2)]
    assert boundaries == ["components", "wall", "wall", "wall"]
