"""A host total of one probe whose service restarts and whose store fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.runtime.clock import Timebase
from agent.sampling.counter_accumulator import CounterAccumulator, Totals
from agent.sampling.host_total import HostTotal
from probes.model import Channel, Device, Kind
from store.records import Host, Layout, Tick, Total

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.cost.tariff import Tariff

SECOND = 1_000_000_000
CPU = Device("package-0", Kind.CPU)
PACKAGE = Channel(CPU, "package", "energy_joules", refresh_seconds=0.001, max_plausible=500.0)
HOST = Host("host-id", "name", boot_id="boot")


class Service:
    """A host total of one probe that reads the channels once a second; `store` remains over restarts."""

    def __init__(self, *channels: Channel, tariff: Tariff | None = None) -> None:
        self.layout = Layout(1, "probe", channels)
        self.tariff = tariff
        self.store: dict[tuple[str, ...], Total] = {}
        self.memory: Totals = {}
        self.fails = False
        self.now = 0
        self.restart()

    def restart(self) -> None:
        before = self.store | self.memory
        self.totals = CounterAccumulator(HOST, [self.layout], before, Timebase(0, 0))
        self.host = HostTotal(HOST, [self.layout], [1.0], before, self.tariff)

    def run(self, seconds: int, values: Callable[[int], Sequence[float]]) -> None:
        for _ in range(seconds):
            self.now += 1
            tick = Tick(1, self.now * SECOND, self.now * SECOND, tuple(values(self.now)))
            try:
                self.host.store_ticks([tick], self.totals, self._append)
            except OSError:
                assert self.fails

    def _append(self, _ticks: Sequence[Tick], totals: Sequence[Total]) -> None:
        self.memory.update((total.key, total) for total in totals)
        if self.fails:
            raise OSError("the disk is full")
        self.store.update((total.key, total) for total in totals)


def constant(*watts: float, gauges: Sequence[int] = ()) -> Callable[[int], Sequence[float]]:
    """Return counters that grow at these powers; the channels in `gauges` return the powers."""
    return lambda now: [each if i in gauges else 1000.0 + each * now for i, each in enumerate(watts)]
