"""The registration of hosts, devices and channels: names, identities and new properties."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from store import schema
from store.reader import Reader
from store.writer import Writer


def test_a_device_with_a_new_name_has_the_same_id_and_channels(engine, host, probes):
    Writer(engine).register(host, probes, "test", 1)
    rows = select(schema.devices.c.id, schema.devices.c.key, schema.devices.c.name).order_by(schema.devices.c.id)
    numbers = select(schema.layouts.c.channel_ids)
    with engine.connect() as connection:
        before = connection.execute(rows).all()
        channels_before = connection.execute(numbers).scalars().all()
    named = replace(probes[0][1][0].device, name="EPYC 9654", attributes=(("cores", "96"),))
    renamed = [("rapl", tuple(replace(channel, device=named) for channel in probes[0][1])), probes[1]]
    again = Writer(engine)
    again.register(host, renamed, "test", 2)
    with engine.connect() as connection:
        after = connection.execute(rows).all()
        assert connection.execute(numbers).scalars().all() == channels_before * 2
    assert [(row.id, row.key) for row in after] == [(row.id, row.key) for row in before]
    assert [row.name for row in after] == ["EPYC 9654", "Accelerator 9000"]
    assert Reader(engine).layouts(again.recording)[0].channels[0].device == named


def test_new_properties_of_a_channel_replace_the_old_ones(engine, host, probes):
    Writer(engine).register(host, probes, "test", 1)
    facts = {"wraps_at": 262143.3, "observed_refresh_seconds": 0.02, "read_seconds": 1e-5, "aliased": True}
    learned = replace(
        probes[1][1][0], refresh_seconds=0.1, max_plausible=700.0, contained_in=(("host", "wall"),), **facts
    )
    writer = Writer(engine)
    writer.register(host, [("nvml/GPU-1234", (learned,))], "test", 2)
    assert Reader(engine).layouts(writer.recording)[0].channels == (learned,)
    with engine.connect() as connection:
        assert len(connection.execute(select(schema.channels)).all()) == 4


def test_one_device_on_two_hosts_is_two_devices(engine, host, probes):
    Writer(engine).register(host, probes, "test", 1)
    Writer(engine).register(replace(host, id="0ther"), probes, "test", 1)
    with engine.connect() as connection:
        assert len(connection.execute(select(schema.devices)).all()) == 4


def test_a_host_is_stored_once_with_its_latest_properties(engine, host):
    Writer(engine).register(host, [], "test", 1)
    Writer(engine).register(replace(host, kernel="6.2.0"), [], "test", 2)
    with engine.connect() as connection:
        [row] = connection.execute(select(schema.hosts)).all()
        boots = connection.execute(select(schema.recordings.c.boot_id)).scalars().all()
    assert row[:-1] == ("5e1f", "bench", "6.2.0", "Debian 12", "A CPU", "zen4", "avx2 avx512f", 16, 2**40, True)
    assert boots == ["b007", "b007"]
