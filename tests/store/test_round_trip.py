"""Everything that is stored is read unchanged."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from probes.model import Channel, Device, Kind, Reason, Rejection
from store.database import durable, open_database, write_engine
from store.errors import StoreError
from store.maintenance.compaction import compact
from store.reader import Reader
from store.records import Host, Profile, Recording, Run, RunStatus, Tick, Window
from store.writer import Writer
from viewed_profiles import assert_views, store_documents

ALL = frozenset({"energy_joules", "power_watts"})
WATTS = frozenset({"power_watts"})
CHANNELS = tuple(Channel(Device(f"gpu-{n}", Kind.GPU), "board", "power_watts") for n in range(3))
TIMES = st.integers(0, 2**62)
TICKS = st.lists(
    st.tuples(
        TIMES,
        st.integers(0, 10**9),
        st.tuples(*[st.floats()] * len(CHANNELS)),
        st.lists(st.builds(Rejection, st.integers(0, len(CHANNELS) - 1), st.sampled_from(Reason)), max_size=3),
    ),
    max_size=12,
    unique_by=lambda drawn: drawn[0],
)
SECONDS = st.lists(st.floats(0, 1e6), max_size=20).map(tuple)
WINDOWS = st.builds(
    Window,
    run_id=st.just("run"),
    point=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    phase=st.just("decode"),
    repeat=st.integers(0, 100),
    start_ns=TIMES,
    end_ns=TIMES,
    iterations=st.integers(0, 2**62),
    inferences=st.integers(0, 2**62),
    input_tokens=st.integers(0, 2**62),
    output_tokens=st.integers(0, 2**62),
    latencies_seconds=SECONDS,
    step_seconds=SECONDS,
    requests_in_window=st.none() | st.floats(0, 1e9),
    load=st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One store for all examples of a property, each with its own recording."""
    engine = open_database(str(tmp_path_factory.mktemp("shared") / "inferometer.db"))
    yield engine
    engine.dispose()


def bits(values):
    return [struct.pack("<d", value) for value in values]


def a_run(writer, run_id="run"):
    return Run(run_id, "5e1f", writer.recording, "transformer", '{"batches": "1,8"}', RunStatus.RUNNING, 1)


@settings(max_examples=40)
@given(drawn=TICKS)
def test_every_value_and_every_rejection_is_read_at_its_position(shared, drawn):
    writer = Writer(shared)
    [layout] = writer.register(Host("h", "n"), [("nvml", CHANNELS)], "test", 1)
    ticks = [Tick(layout.id, at, at + took, values, tuple(refused)) for at, took, values, refused in drawn]
    writer.append(ticks)
    ticks.sort(key=lambda tick: tick.start_ns)
    for position, series in enumerate(Reader(shared).series(writer.recording, 0, 2**62, WATTS)):
        given_ones = [tick for tick in ticks if not math.isnan(tick.values[position])]
        assert series.channel == CHANNELS[position]
        assert list(series.times_ns) == [(tick.start_ns + tick.end_ns) // 2 for tick in given_ones]
        assert list(series.halves_ns) == [math.ceil((tick.end_ns - tick.start_ns) / 2) for tick in given_ones]
        assert bits(series.values) == bits(tick.values[position] for tick in given_ones)
        assert list(series.rejections) == [
            (tick.start_ns, refused.reason)
            for tick in ticks
            for refused in tick.rejections
            if refused.channel == position
        ]


@settings(max_examples=20)
@given(windows=st.lists(WINDOWS, max_size=3))
def test_windows_are_read_in_the_order_of_their_creation(shared, windows):
    writer = Writer(shared)
    writer.register(Host("5e1f", "n"), [], "test", 1)
    run = a_run(writer, f"run-{writer.recording}")
    writer.save_run(run)
    windows = [replace(window, run_id=run.id) for window in windows]
    for window in windows:
        writer.save_window(window)
    assert Reader(shared).windows(run.id) == tuple(windows)


def test_a_time_range_includes_both_ends_and_only_the_given_metrics(engine, host, probes):
    writer = Writer(engine)
    rapl, nvml = writer.register(host, probes, "test", 1)
    writer.append([Tick(rapl.id, at, at, (1.0, 2.0, float(at))) for at in (9, 10, 15, 20, 21)])
    writer.append([Tick(nvml.id, 15, 17, (70.0,))])
    estimated, board = Reader(engine).series(writer.recording, 10, 20, WATTS)
    assert estimated.values == (10.0, 15.0, 20.0)
    assert (board.times_ns, board.values) == ((16,), (70.0,))


def test_single_channels_can_be_selected(engine, host, probes):
    writer = Writer(engine)
    rapl, _ = writer.register(host, probes, "test", 1)
    writer.append([Tick(rapl.id, 5, 5, (1.0, 2.0, 3.0))])
    [core] = Reader(engine).series(writer.recording, 0, 9, where=lambda channel: channel.domain == "core")
    assert (core.channel, core.values) == (probes[0][1][1], (2.0,))
    assert Reader(engine).series(writer.recording, 0, 9, WATTS, lambda channel: channel.domain == "core") == ()


@pytest.mark.parametrize("packed", [False, True])
def test_a_thinned_series_has_the_first_tick_of_each_part_of_the_time(engine, host, probes, packed):
    writer = Writer(engine)
    rapl, _ = writer.register(host, probes, "test", 1)
    writer.append([Tick(rapl.id, at, at, (float(at), 2.0, 3.0)) for at in (2, 9, 10, 11, 25, 29, 30, 41)])
    if packed:
        compact(engine, 2**62)
    found = Reader(engine).series(
        writer.recording, 5, 40, where=lambda channel: channel.domain == "package", every_ns=10
    )
    assert [series.values for series in found if series.channel.metric == "energy_joules"] == [(9.0, 10.0, 25.0, 30.0)]


@pytest.mark.parametrize("packed", [False, True])
def test_recordings_of_a_time_range_are_those_with_samples_in_it(engine, host, probes, packed):
    writers = [Writer(engine) for _ in range(4)]
    hosts = (host, host, replace(host, id="0ther"), host)
    for number, (writer, own) in enumerate(zip(writers, hosts, strict=True)):
        [rapl, _] = writer.register(own, probes, f"program {number}", 100 - number)
        if number < 3:
            at = number * 10**12
            writer.append([Tick(rapl.id, at, at, (1.0, 2.0, 3.0)), Tick(rapl.id, at + 9, at + 9, (1.0, 2.0, 3.0))])
    if packed:
        compact(engine, 2**62)
    reader = Reader(engine)
    assert [found.id for found in reader.recordings(0, 2**62)] == [3, 2, 1]
    assert [found.id for found in reader.recordings(0, 2**62, host.id)] == [2, 1]
    assert [found.id for found in reader.recordings(10**12 + 9, 2 * 10**12 - 1)] == [2]
    assert reader.recordings(10, 10**12 - 1) == ()
    [first] = reader.recordings(0, 9)
    assert first == Recording(1, host.id, "b007", "program 0", os.getpid(), 100)


def test_the_view_of_minutes_has_names(engine, host, probes):
    writer = Writer(engine)
    rapl, _ = writer.register(host, probes, "daemon", 1)
    at = 1_700_000_400 * 10**9
    writer.append([Tick(rapl.id, at + n * 10**9, at + n * 10**9, (5.0 * n, math.nan, 5.0)) for n in range(3)])
    compact(engine, 2**62)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM rollups_named ORDER BY metric").all()
    named = ("2023-11-14 22:20", "5e1f", "daemon", "package-0", "cpu", "package")
    assert rows == [
        (*named, "energy_joules", "measured", 3, 0.0, 5.0, 10.0, 10.0),
        (*named, "power_watts", "estimated", 3, 5.0, 5.0, 5.0, 10.0),
    ]


def test_layouts_are_read_with_every_property_of_their_channels(engine, host, probes):
    writer = Writer(engine)
    layouts = writer.register(host, probes, "test", 1)
    assert Reader(engine).layouts(writer.recording) == layouts
    assert [(layout.probe, layout.channels) for layout in layouts] == probes


def test_a_recording_without_probes_has_no_series(engine, host):
    writer = Writer(engine)
    assert writer.register(host, [], "test", 1) == ()
    assert Reader(engine).series(writer.recording, 0, 2**62, ALL) == ()


def test_two_recordings_of_one_host_never_mix(engine, host, probes):
    daemon, profile = Writer(engine), Writer(engine)
    [theirs, _] = daemon.register(host, probes, "daemon", 1)
    [ours, _] = profile.register(host, probes, "profile", 2)
    daemon.append([Tick(theirs.id, 5, 5, (1.0, 1.0, 1.0))])
    profile.append([Tick(ours.id, 5, 5, (2.0, 2.0, 2.0), (Rejection(0, Reason.RESET),))])
    for writer, value, refused in ((daemon, 1.0, ()), (profile, 2.0, ((5, Reason.RESET),))):
        package = Reader(engine).series(writer.recording, 0, 10, ALL)[0]
        assert package.values == (value,)
        assert package.rejections == refused


def test_the_end_of_a_run_replaces_its_beginning(engine, host):
    writer = Writer(engine)
    writer.register(host, [], "test", 1)
    run = a_run(writer)
    writer.save_run(run)
    assert Reader(engine).run("run") == run
    ended = replace(run, status=RunStatus.COMPLETE, ended_ns=99)
    writer.save_run(ended)
    assert Reader(engine).run("run") == ended
    assert Reader(engine).run("another") is None


def test_profiles_are_read_newest_first_and_saving_one_again_replaces_it(engine, host):
    writer = Writer(engine)
    writer.register(host, [], "test", 1)
    writer.save_run(a_run(writer))
    old, new = (Profile(name, "run", at, "onnx", f'{{"µ": {at}}}') for name, at in (("old", 1), ("new", 2)))
    for profile in (replace(old, document="{}"), new, old):
        writer.save_profile(profile)
    assert Reader(engine).profiles() == (new, old)


def test_only_a_profile_is_written_durably(engine, host):
    levels = []

    @event.listens_for(engine, "commit")
    def note(connection):
        levels.append(connection.connection.driver_connection.execute("PRAGMA synchronous").fetchone()[0])

    writer = Writer(engine)
    writer.register(host, [], "test", 1)
    writer.save_run(a_run(writer))
    writer.save_profile(Profile("p", "run", 1, "onnx", "{}"))
    with pytest.raises(StoreError):
        writer.save_profile(Profile("q", "no such run", 1, "onnx", "{}"))
    writer.save_run(a_run(writer))
    normal, full = 1, 2
    assert levels == [normal, normal, full, normal]


def test_a_durable_transaction_takes_the_write_lock(engine):
    with durable(engine).begin() as connection:
        assert connection.connection.driver_connection.execute("PRAGMA synchronous").fetchone() == (2,)
    with write_engine(engine).begin() as connection:
        assert connection.connection.driver_connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_a_failed_batch_leaves_nothing(engine, host, probes):
    writer = Writer(engine)
    [rapl, _] = writer.register(host, probes, "test", 1)
    good, bad = (Tick(layout, 5, 5, (1.0, 2.0, 3.0)) for layout in (rapl.id, 999))
    with pytest.raises(StoreError, match="FOREIGN KEY constraint failed"):
        writer.append([good, bad])
    writer.append([])
    assert Reader(engine).series(writer.recording, 0, 10, ALL)[0].values == ()


def test_invalid_unicode_and_nuls_in_names_do_not_stop_a_recording(engine, host):
    named = Channel(Device("psu-\udcff", Kind.PSU, "mod\udce8le\0"), "wall", "power_watts")
    duplicate = Channel(Device("psu-\udcfe", Kind.PSU, "another"), "wall", "power_watts")
    for at in (1, 2):
        writer = Writer(engine)
        [layout] = writer.register(replace(host, name="h\udcffst"), [("psu", (named, duplicate))], "test", at)
        writer.append([Tick(layout.id, at, at, (float(at), 3.0))])
        assert Reader(engine).series(writer.recording, 0, 9, WATTS)[0].values == (float(at),)
    writer.save_run(replace(a_run(writer), settings='{"path": "/models/caf\udce9.onnx"}'))
    writer.save_profile(Profile("p", "run", 1, "onnx", '"caf\udce9"'))
    assert Reader(engine).profiles()[0].document == '"caf?"'
    assert Reader(engine).layouts(writer.recording)[0].channels[0].device.name == "mod?le"


@pytest.mark.parametrize("at", [2**63, -(2**63) - 1, 10**30])
def test_an_impossible_time_is_refused_and_the_next_batch_is_stored(engine, host, probes, at):
    writer = Writer(engine)
    [_, nvml] = writer.register(host, probes, "test", 1)
    with pytest.raises(StoreError, match=r"does not fit 64 bits of nanoseconds .*Set the host's clock"):
        writer.append([Tick(nvml.id, 1, 1, (1.0,)), Tick(nvml.id, at, 1, (1.0,))])
    writer.append([Tick(nvml.id, 1, 1, (1.0,))])
    run = Run("run", host.id, writer.recording, "onnx", "{}", RunStatus.RUNNING, at)
    with pytest.raises(StoreError, match="it cannot hold a value"):
        writer.save_run(run)
    [_, board] = Reader(engine).series(writer.recording, 0, 2**62, frozenset({"power_watts"}))
    assert board.values == (1.0,)


def test_the_views_of_profiles_have_a_row_for_each_point_and_each_cost(engine, host):
    store_documents(engine, host)
    assert_views(engine)
