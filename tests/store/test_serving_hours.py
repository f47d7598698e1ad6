from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from store.errors import StoreError
from store.maintenance.retention import Retention, prune
from store.reader import Reader
from store.records import ServingHour
from store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from probes.model import Channel
    from store.records import Host

HOUR_NS = 3600 * 10**9
HOUR = ServingHour("5e1f", "chat", "m/1", 100, "arrivals", "measured", 360, 2, "[[0.0,360,2]]", "[]", 7.0, 0.0, 1.5)


def writer_of(engine: Engine, host: Host, probes: list[tuple[str, tuple[Channel, ...]]]) -> Writer:
    writer = Writer(engine)
    writer.register(host, probes, "daemon", 1)
    return writer


def test_an_hour_of_traffic_is_read_as_it_was_stored(engine, host, probes) -> None:
    writer = writer_of(engine, host, probes)
    writer.save_serving_hours([HOUR, replace(HOUR, model="m\0\udcff2", hour=101)])
    assert Reader(engine).serving_hours(0, 2**62) == (HOUR, replace(HOUR, model="m?2", hour=101))
    assert Reader(engine).serving_hours(101 * HOUR_NS, 102 * HOUR_NS)[0].hour == 101
    assert Reader(engine).serving_hours(102 * HOUR_NS, 103 * HOUR_NS) == ()


def test_storing_an_hour_again_replaces_it(engine, host, probes) -> None:
    writer = writer_of(engine, host, probes)
    for bins in (1, 2):
        writer.save_serving_hours([replace(HOUR, bins=bins, model="m\0\udcff2")])
    (found,) = Reader(engine).serving_hours(0, 2**62)
    assert found.bins == 2


def test_a_changed_hour_is_reported_as_damaged(engine, host, probes) -> None:
    writer_of(engine, host, probes).save_serving_hours([HOUR])
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE serving_hours SET requests = 8")
    with pytest.raises(StoreError, match="damaged"):
        Reader(engine).serving_hours(0, 2**62)


def test_hours_beyond_the_age_of_summaries_are_pruned(engine, host, probes) -> None:
    writer = writer_of(engine, host, probes)
    writer.save_serving_hours([HOUR, replace(HOUR, hour=150)])
    assert prune(engine, Retention(None, None, 10 * 3600.0), 160 * HOUR_NS).serving_hours == 1
    assert [each.hour for each in Reader(engine).serving_hours(0, 2**62)] == [150]
