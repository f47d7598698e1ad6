"""A run's samples come back whole from a store that is read in stretches."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.profiling.context import RunContext
from agent.runtime.clock import Timebase
from probes.model import Channel, Device, Kind, Reason, Rejection, Roots
from probes.registry import Discovery
from store.database import open_database
from store.records import Host, Tick
from store.writer import Writer
from stored import prepared

if TYPE_CHECKING:
    from pathlib import Path

SECOND_NS = 1_000_000_000
PACKAGE = Channel(Device("package-0", Kind.CPU), "package", "energy_joules")
WATTS = Channel(Device("package-0", Kind.CPU), "package", "power_watts", refresh_seconds=1.0)
METRICS = frozenset({"energy_joules", "power_watts"})


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    engine = open_database(str(prepared(tmp_path / "store.db")))
    writer = Writer(engine)
    layouts = writer.register(Host("h", "bench"), [("rapl", (PACKAGE, WATTS))], "test", 1)
    host = Host("h", "bench")
    return RunContext(host, Roots(), Discovery((), (), ()), tuple(layouts), (), Timebase.now(), engine, writer)


@pytest.mark.parametrize("ends", [(0, 300), (17, 59), (60, 119), (59, 60)])
def test_samples_of_several_chunks_are_one_series(context: RunContext, ends: tuple[int, int]) -> None:
    refused = (Rejection(0, Reason.RESET),)
    ticks = [
        Tick(context.layouts[0].id, at * SECOND_NS, at * SECOND_NS + 4, (float(at), 5.0), refused if at == 60 else ())
        for at in range(200)
    ]
    context.writer.append(ticks)
    counted, gauged = context.series(ends[0] * SECOND_NS, ends[1] * SECOND_NS, METRICS)
    within = range(ends[0], min(ends[1] + 1, 200))
    assert list(counted.values) == [float(at) for at in within]
    assert list(counted.times_ns) == [at * SECOND_NS + 2 for at in within]
    assert list(counted.halves_ns) == [2] * len(within)
    assert counted.rejections == (((60 * SECOND_NS, Reason.RESET),) if 60 in within else ())
    assert list(gauged.values) == [5.0] * len(within)
    assert gauged.channel == WATTS


def test_samples_that_could_not_be_stored_follow_those_that_were(context: RunContext) -> None:
    refused = (Rejection(0, Reason.RESET),)
    ticks = [
        Tick(context.layouts[0].id, at * SECOND_NS, at * SECOND_NS + 4, (math.nan if at == 7 else float(at), 5.0))
        for at in range(12)
    ]
    ticks[8] = ticks[8]._replace(rejections=refused)
    context.writer.append(ticks[:6])
    unstored = replace(context, unstored=lambda: ticks[4:])
    counted, gauged = unstored.series(2 * SECOND_NS, 10 * SECOND_NS, METRICS)
    assert list(counted.values) == [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0]
    assert list(counted.times_ns) == [int(at) * SECOND_NS + 2 for at in counted.values]
    assert list(counted.halves_ns) == [2] * 8
    assert counted.rejections == ((8 * SECOND_NS, Reason.RESET),)
    assert (list(gauged.values), gauged.rejections) == ([5.0] * 9, ())
