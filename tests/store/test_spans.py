"""The hosts of a store, and the times that their recordings span."""

from __future__ import annotations

import pytest

from probes.model import Channel, Device, Kind
from store.database import open_database
from store.maintenance.compaction import compact
from store.reader import Reader
from store.records import Host, Tick
from store.writer import Writer

SECOND = 10**9
POWER = Channel(Device("gpu-0", Kind.GPU), "board", "power_watts")
ENERGY = Channel(Device("gpu-0", Kind.GPU), "board", "energy_joules")
HOST = Host("a", "here", "boot", "6.1", "Debian", "CPU", "zen4", ("avx2", "fma"), 8, 1 << 34, virtual=True)


@pytest.fixture
def engine(tmp_path):
    engine = open_database(str(tmp_path / "inferometer.db"))
    yield engine
    engine.dispose()


def record(engine, host, seconds, program="daemon"):
    """Store ticks of 1 ms at these times, by two probes; the second one begins and ends a second later."""
    writer = Writer(engine)
    probes = [("nvml", (POWER,)), ("bmc", (ENERGY,))]
    for late, layout in enumerate(writer.register(host, probes, program, seconds[0] * SECOND)):
        starts = [(second + late) * SECOND for second in seconds]
        writer.append([Tick(layout.id, start, start + 10**6, (1.0,)) for start in starts])
    return writer.recording


def test_every_host_is_returned_with_its_facts(engine):
    record(engine, HOST, [1])
    record(engine, Host("b", "there"), [1])
    here, there = Reader(engine).hosts()
    assert here == Host("a", "here", "", "6.1", "Debian", "CPU", "zen4", ("avx2", "fma"), 8, 1 << 34, virtual=True)
    assert (there.id, there.name, there.cpu_flags) == ("b", "there", ())


def test_a_span_reaches_from_the_first_tick_of_any_probe_to_the_last_one(engine):
    first = record(engine, HOST, [1000, 1005])
    second = record(engine, HOST, [2000], "measure")
    record(engine, Host("b", "there"), [1])
    assert [(s.recording.id, s.recording.program, s.first_ns, s.last_ns) for s in Reader(engine).spans("a")] == [
        (first, "daemon", 1000 * SECOND, 1006 * SECOND + 10**6),
        (second, "measure", 2000 * SECOND, 2001 * SECOND + 10**6),
    ]
    assert Reader(engine).spans("c") == ()


def test_a_span_covers_chunks_and_rows(engine):
    record(engine, HOST, [600, 900, 1300, 1900])
    before = Reader(engine).spans("a")
    assert compact(engine, 1200 * SECOND).complete
    assert Reader(engine).spans("a") == before


def test_a_recording_without_a_tick_has_no_span(engine):
    Writer(engine).register(HOST, [("nvml", (POWER,))], "daemon", 1)
    assert Reader(engine).spans("a") == ()
