"""The totals of the service across a reload, with a store that can be written and with one that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.daemon.tick_store import TickStore
from agent.runtime.clock import Timebase
from agent.sampling.schedule import ScheduledProbe
from agent.sampling.store_state import StoreErrorLog
from probes.model import Channel, Device, Kind
from store.errors import TransientStoreError
from store.records import Host, Layout, Tick, Total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.sampling.counter_accumulator import Totals

SECOND = 1_000_000_000
HOST = Host("host-id", "name", boot_id="boot")
ENERGY = Channel(Device("package-0", Kind.CPU), "package", "energy_joules", max_plausible=500.0)
LAYOUT = Layout(1, "rapl", (ENERGY,))


class Probe:
    """The name and the channels of a probe; nothing here reads it."""

    name, channels = LAYOUT.probe, LAYOUT.channels


class Writer:
    """Stores totals, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.stored: list[Total] = []

    def append(self, _ticks: Sequence[Tick], totals: Sequence[Total]) -> None:
        if self.fails:
            raise TransientStoreError("x.db", "the disk is full", "")
        self.stored = list(totals)


def opened(writer: Writer, saved: Sequence[Total], memory: Totals) -> TickStore:
    probes = [ScheduledProbe(LAYOUT, Probe(), 1.0)]
    timebase = Timebase.now()
    return TickStore(HOST, probes, saved, memory, None, timebase, writer, StoreErrorLog(), lambda: None)


def tick(at_seconds: int, joules: float) -> Tick:
    return Tick(1, at_seconds * SECOND, at_seconds * SECOND, (joules,))


def test_the_next_recording_continues_the_stored_total() -> None:
    first, second = Writer(), Writer()
    opened(first, (), {}).take([tick(1, 100.0), tick(2, 110.0)])
    opened(second, first.stored, {}).take([tick(3, 115.0)])
    assert [(total.total, total.raw) for total in second.stored] == [(115.0, 115.0)]


def test_the_next_recording_continues_a_total_that_the_store_refused() -> None:
    first, memory, second = Writer(), {}, Writer()
    before = opened(first, (), memory)
    before.take([tick(1, 100.0)])
    first.fails = True
    with pytest.raises(TransientStoreError):
        before.take([tick(2, 110.0)])
    opened(second, first.stored, memory).take([tick(200, 20.0)])  # after a reset: the count since then is unknown
    assert [total.total for total in second.stored] == [110.0]
