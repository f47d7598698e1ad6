from __future__ import annotations

import math
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from probes.model import Channel, Device, Kind, Reason, Rejection
from store import schema
from store.codec import chunks
from store.database import open_database, write_engine
from store.maintenance.compaction import compact
from store.maintenance.integrity import check
from store.reader import Reader
from store.records import Host, Tick
from store.writer import Writer

pytestmark = pytest.mark.system

SECOND = 10**9
START = 1_700_000_400 * SECOND
"""A multiple of 600 s."""
CPU = Device("package-0", Kind.CPU)
CHANNELS = (
    Channel(CPU, "package", "energy_joules"),
    Channel(CPU, "package", "power_watts"),
    Channel(CPU, "package", "temperature_celsius"),
)
VALUES = st.one_of(
    st.floats(),
    st.integers(0, 10**12).map(lambda micro: micro / 1e6),
    st.integers(0, 100).map(lambda percent: percent / 100),
)
TICKS = st.lists(
    st.tuples(st.integers(0, 2000 * SECOND), st.integers(0, SECOND), st.tuples(*[VALUES] * 3)),
    max_size=30,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    engine = open_database(str(tmp_path_factory.mktemp("shared") / "inferometer.db"))
    yield engine
    engine.dispose()


def registered(engine, program="test"):
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "n"), [("rapl", CHANNELS)], program, START)
    return writer, layout


def second(layout, number, *values):
    """The tick of one second after the start; it takes 2 ms."""
    at = START + number * SECOND
    return Tick(layout.id, at, at + 2_000_000, values)


def as_bits(found):
    return [
        (
            series.channel,
            series.times_ns,
            series.halves_ns,
            [struct.pack("<d", value) for value in series.values],
            series.rejections,
        )
        for series in found
    ]


def rows_of(engine, table):
    with engine.connect() as connection:
        return connection.execute(select(table)).all()


@settings(max_examples=40)
@given(drawn=TICKS, until=st.integers(0, 2800), stretch=st.tuples(st.integers(0, 2000), st.integers(0, 2000)))
def test_readers_see_the_same_before_and_after_compaction(shared, drawn, until, stretch):
    compact(shared, 2**62)
    writer, layout = registered(shared)
    writer.append([Tick(layout.id, START + at, START + at + took, values) for at, took, values in drawn])
    reader = Reader(shared)
    stretches = [(0, 2**62), tuple(START + end * SECOND for end in sorted(stretch))]
    before = [as_bits(reader.series(writer.recording, *each)) for each in stretches]
    done = compact(shared, START + until * SECOND)
    assert [as_bits(reader.series(writer.recording, *each)) for each in stretches] == before
    assert done.ticks == sum(at < until // 600 * 600 * SECOND for at, _, _ in drawn)


def test_a_compacted_store_passes_the_check(shared):
    compact(shared, 2**62)
    assert check(shared) == ()


def test_only_whole_parts_of_600_seconds_are_packed(engine):
    writer, layout = registered(engine)
    writer.append([second(layout, number, 1.0, 2.0, 3.0) for number in range(1300)])
    done = compact(engine, START + 1799 * SECOND)
    assert (done.chunks, done.ticks, done.samples, done.complete) == (2, 1200, 3600, True)
    assert len(rows_of(engine, schema.ticks)) == 100
    assert [(row.start_ns, row.end_ns) for row in rows_of(engine, schema.chunks)] == [
        (START, START + 599 * SECOND),
        (START + 600 * SECOND, START + 1199 * SECOND),
    ]
    assert compact(engine, START + 1799 * SECOND).chunks == 0
    assert compact(engine, START + 1800 * SECOND).ticks == 100


def test_a_wide_or_fast_layout_takes_several_chunks_per_600_seconds(engine):
    writer, layout = registered(engine)
    writer.append([Tick(layout.id, START + at, START + at, (float(at), 1.0, 2.0)) for at in range(5000)])
    assert compact(engine, START + 600 * SECOND).chunks == 2
    [energy, *_] = Reader(engine).series(writer.recording, 0, 2**62)
    assert energy.values == tuple(map(float, range(5000)))
    assert check(engine) == ()


def test_a_minute_that_spans_two_chunks_is_aggregated_completely(engine):
    writer, layout = registered(engine)
    every = 20_000_000  # 4096 ticks, one chunk, end within the second minute
    writer.append(
        [
            Tick(layout.id, START + number * every, START + number * every, (10.0 * number, 10.0, float(number % 7)))
            for number in range(6000)
        ]
    )
    assert compact(engine, START + 600 * SECOND).chunks == 2
    first, last = START // (60 * SECOND), START // (60 * SECOND) + 1
    found = Reader(engine).rollups(writer.recording, first, last)
    assert [(one.minute, one.samples, one.lowest, one.highest) for one in found] == [
        (first, 3000, 0.0, 29990.0),
        (first, 3000, 10.0, 10.0),
        (first, 3000, 0.0, 6.0),
        (last, 3000, 30000.0, 59990.0),
        (last, 3000, 10.0, 10.0),
        (last, 3000, 0.0, 6.0),
    ]
    energies = [29990.0, pytest.approx(599.8), None, 30000.0, pytest.approx(600.0), None]
    assert [one.energy_joules for one in found] == energies
    assert found[0].mean == pytest.approx(14995.0)
    assert found[5].mean == pytest.approx(sum(number % 7 for number in range(3000, 6000)) / 3000)
    assert check(engine) == ()


def test_the_minutes_of_a_counter_add_up_over_gaps_longer_than_a_chunk(engine):
    writer, layout = registered(engine)
    writer.append([second(layout, number, 5.0 * number, 1.0, 1.0) for number in (0, 10)])
    writer.append([second(layout, number, math.nan, 1.0, 1.0) for number in range(600, 1400, 10)])
    writer.append([second(layout, number, 5.0 * number, 1.0, 1.0) for number in (1800, 1805)])
    for until in (600, 1200, 1800, 2400):
        compact(engine, START + until * SECOND)
    energies = [row.energy_joules for row in rows_of(engine, schema.rollups) if row.energy_joules is not None]
    watts = [row for row in rows_of(engine, schema.rollups) if row.channel_id == 2]
    assert sum(row.energy_joules for row in rows_of(engine, schema.rollups) if row.channel_id == 1) == 5.0 * 1805
    assert len(energies) == len(watts) + 2


def test_a_channel_of_two_probes_is_aggregated_only_for_the_first(engine):
    writer = Writer(engine)
    energy, watts, _ = CHANNELS
    first, second_one = writer.register(
        Host("h", "n"), [("rapl", (energy,)), ("zenergy", (watts, energy, energy))], "test", START
    )
    writer.append([second(second_one, number, 10.0, 5.0 * number, 5.0 * number) for number in range(0, 1200, 5)])
    writer.append([second(first, number, 5.0 * number) for number in range(0, 1200, 10)])
    compact(engine, START + 600 * SECOND)
    compact(engine, START + 1200 * SECOND)
    found = Reader(engine).rollups(writer.recording, 0, 2**31 - 1)
    assert sum(one.energy_joules for one in found if one.channel_id == 1) == 5.0 * 1190
    assert sum(one.samples for one in found if one.channel_id == 1) == 120
    assert sum(one.energy_joules for one in found if one.channel_id == 2) == pytest.approx(10.0 * 1195)
    assert [len(series.values) for series in Reader(engine).series(writer.recording, 0, 2**62)] == [120, 240, 240, 240]
    assert check(engine) == ()


def test_compaction_does_not_change_rejections(engine):
    writer, layout = registered(engine)
    writer.append([Tick(layout.id, START, START, (1.0, math.nan, 1.0), (Rejection(1, Reason.IMPOSSIBLE),))])
    compact(engine, START + 600 * SECOND)
    [_, watts, _] = Reader(engine).series(writer.recording, 0, 2**62)
    assert (watts.values, watts.rejections) == ((), ((START, Reason.IMPOSSIBLE),))


def test_late_ticks_are_read_in_order(engine):
    writer, layout = registered(engine)
    writer.append([second(layout, number, float(number), 1.0, 1.0) for number in (0, 2, 4)])
    compact(engine, START + 600 * SECOND)
    writer.append([second(layout, number, float(number), 1.0, 1.0) for number in (1, 3)])
    for _ in range(2):
        [energy, *_] = Reader(engine).series(writer.recording, 0, 2**62)
        assert energy.values == (0.0, 1.0, 2.0, 3.0, 4.0)
        compact(engine, START + 600 * SECOND)
    assert len(rows_of(engine, schema.chunks)) == 2


def test_times_in_nanoseconds_are_preserved(engine):
    writer, layout = registered(engine)
    writer.append([Tick(layout.id, START + at, START + at + 3, (1.0, 1.0, 1.0)) for at in (1, 1001, 2002)])
    before = Reader(engine).series(writer.recording, START + 1, START + 1001)
    compact(engine, START + 600 * SECOND)
    assert Reader(engine).series(writer.recording, START + 1, START + 1001) == before
    assert len(before[0].values) == 2


def test_a_pause_follows_every_chunk_and_can_end_the_compaction(engine):
    writer, layout = registered(engine)
    writer.append([second(layout, number, 1.0, 1.0, 1.0) for number in range(0, 3000, 100)])
    pauses = iter((False, True))
    done = compact(engine, 2**62, pause=lambda: next(pauses))
    assert (done.chunks, done.complete) == (2, False)
    stop = threading.Event()
    assert compact(engine, 2**62, pause=lambda: stop.wait(0)).chunks == 3


def test_two_concurrent_compactions_duplicate_nothing(engine, opened, path, monkeypatch):
    writer, layout = registered(engine)
    writer.append([second(layout, number, float(number), 1.0, 1.0) for number in range(1200)])
    pack = chunks.pack

    def pack_while_another_is_faster(*piece):
        monkeypatch.setattr(chunks, "pack", pack)
        assert compact(opened(path), 2**62).chunks == 2
        return pack(*piece)

    monkeypatch.setattr(chunks, "pack", pack_while_another_is_faster)
    assert compact(engine, 2**62).chunks == 0
    [energy, *_] = Reader(engine).series(writer.recording, 0, 2**62)
    assert energy.values == tuple(map(float, range(1200)))
    assert check(engine) == ()


def test_a_reader_sees_every_sample_once_during_compaction(engine, opened, path):
    writer, layout = registered(engine)
    writer.append([second(layout, number, float(number), 1.0, 1.0) for number in range(3000)])
    reader = Reader(opened(path))
    seen = []

    def look():
        [energy, *_] = reader.series(writer.recording, 0, 2**62)
        seen.append(energy.values)

    compact(engine, 2**62, pause=look)
    assert seen == [tuple(map(float, range(3000)))] * 5


def test_a_chunk_whose_rows_cannot_be_removed_is_not_stored(engine):
    writer, layout = registered(engine)
    writer.append([second(layout, 0, 1.0, 1.0, 1.0)])
    with write_engine(engine).begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER stay BEFORE UPDATE ON layouts BEGIN SELECT RAISE(ABORT, 'simulated failure'); END"
        )
    with pytest.raises(Exception, match="simulated failure"):
        compact(engine, 2**62)
    assert len(rows_of(engine, schema.ticks)) == 1
    assert rows_of(engine, schema.chunks) == rows_of(engine, schema.rollups) == []
