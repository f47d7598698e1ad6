"""A counter with a store for its totals, and restarts of its recording."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.runtime.clock import Timebase
from agent.sampling.counter_accumulator import CounterAccumulator, Totals
from probes.model import Channel, Device, Kind, Rejection
from store.records import Host, Layout, Tick, Total

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = Device("package-0", Kind.CPU)
SECOND = 1_000_000_000
WRAPS_AT = 1000.0
RAPL = Channel(CPU, "package", "energy_joules", refresh_seconds=0.001, max_plausible=100.0, wraps_at=WRAPS_AT)
PLAIN = Channel(CPU, "package", "energy_joules", max_plausible=100.0)
HOST = Host("host", "name", boot_id="boot")
KEY = ("rapl", *RAPL.key)


@dataclass
class Store:
    """Stores totals, or fails while `fails` is set."""

    kept: Totals = field(default_factory=dict)
    refused: Totals = field(default_factory=dict)
    fails: bool = False

    def append(self, _ticks: Sequence[Tick], totals: Sequence[Total]) -> None:
        if self.fails:
            self.refused.update((total.key, total) for total in totals)
            raise OSError("the disk is full")
        self.kept.update((total.key, total) for total in totals)


def tick(at_seconds: float, *values: float, rejections: tuple[Rejection, ...] = ()) -> Tick:
    at_ns = round(at_seconds * SECOND)
    return Tick(1, at_ns, at_ns, values, rejections)


def started(
    store: Store,
    *channels: Channel,
    boot_id: str = "boot",
    memory: Totals | None = None,
    asleep_seconds: float = 0.0,
    probe: str = "rapl",
) -> CounterAccumulator:
    layout = Layout(1, probe, channels or (RAPL,))
    timebase = Timebase(0, round(asleep_seconds * SECOND))
    return CounterAccumulator(replace(HOST, boot_id=boot_id), [layout], store.kept | (memory or {}), timebase)
