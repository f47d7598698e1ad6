"""Stores the ticks of the service, adds up its counters, and detects a step of the wall clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.daemon.supervision import clock_step_ns
from agent.sampling.counter_accumulator import CounterAccumulator
from agent.sampling.host_total import HostTotal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.cost.tariff import Tariff
    from agent.runtime.clock import Timebase
    from agent.sampling.counter_accumulator import Totals
    from agent.sampling.schedule import ScheduledProbe
    from agent.sampling.store_state import StoreErrorLog
    from store.records import Host, Tick, Total
    from store.writer import Writer


class TickStore:
    """Adds up the counters of `probes` and stores every tick with `writer`.

    The totals continue those in the database (`saved`), or those of this process (`memory`), which are newer if the
    store could not be written; `memory` receives the new ones. `wake` is called after a step of the wall clock, as new
    ticks would have wrong times.
    """

    def __init__(
        self,
        host: Host,
        probes: Sequence[ScheduledProbe],
        saved: Sequence[Total],
        memory: Totals,
        tariff: Tariff | None,
        timebase: Timebase,
        writer: Writer,
        store_errors: StoreErrorLog,
        wake: Callable[[], object],
    ) -> None:
        layouts = [probe.layout for probe in probes]
        before = {total.key: total for total in saved} | memory
        self.totals = CounterAccumulator(host, layouts, before, timebase)
        self.host_total = HostTotal(host, layouts, [probe.period_seconds for probe in probes], before, tariff)
        self._memory = memory
        self._timebase = timebase
        self._writer = writer
        self._store_errors = store_errors
        self._wake = wake

    def take(self, ticks: Sequence[Tick]) -> None:
        """Store the ticks of about a second. Raises StoreError."""
        if clock_step_ns(self._timebase):
            self._wake()
        self.host_total.store_ticks(ticks, self.totals, self._append)
        self._store_errors.committed(self._timebase.now_ns())

    def _append(self, ticks: Sequence[Tick], totals: Sequence[Total]) -> None:
        self._memory.update((total.key, total) for total in totals)
        self._writer.append(ticks, totals)
