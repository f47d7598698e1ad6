"""Adds the counted channels to the host's energy, power and cost while the service samples.

The channels are those of the boundary (`agent.energy.counted_sensors`), chosen from the latest samples and checked
every minute, so that a dead zone, a mirror or a sleeping device is never added. There is no host total before the first
choice, or while a counted sensor has no fresh value: a sum without one of its parts is not a total.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.lines import capital_per_hour
from agent.energy.bounds import Energy
from agent.energy.counted_sensors import Boundary, best_series, cover
from agent.energy.provenance import provenance
from agent.energy.wall_factor import WallFactorError
from agent.runtime.logs import get_logger
from agent.sampling.channel_energy import ChannelEnergy, Key, channel_energies
from probes.model import ENERGY_METRICS, Source
from store.records import Total

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.cost.tariff import Tariff
    from agent.energy.counted_sensors import Coverage
    from agent.energy.wall_factor import AppliedFactor
    from agent.sampling.channel_energy import ChannelJoules
    from agent.sampling.counter_accumulator import CounterAccumulator, Totals
    from probes.model import Channel
    from store.records import Host, Layout, Tick

FIRST_CHOICE_SAMPLES = 12
"""The number of samples, at least a second apart, before the first choice: ten show whether a counter changes."""
FIRST_CHOICE_SECONDS = 180.0
"""The longest time before the first choice, however slow the sampling is."""
CHOICE_SECONDS = 60.0
_JOULES_PER_KWH = 3.6e6
_SECONDS_PER_HOUR = 3600
_WATTS_SECONDS = 1.0
"""The time over which the power of a channel is a mean."""
_PROBE, _COST = "host", "cost"

logger = get_logger("host_total")


@dataclass(frozen=True, slots=True)
class HostReading:
    """The host's totals at `at_ns` (Unix time): joules since the first start, watts over the last second or more.

    `watts` is None before two readings of every counted counter. `cost` is in the tariff's currency, None without a
    price. `stale_ns` is the age from which the reading is no longer exported. `modeled_wall` is the power at the wall
    in watts with its bounds, by a wall factor; None without one.
    """

    boundary: Boundary
    source: str
    counted: tuple[Channel, ...]
    uncovered: tuple[str, ...]
    joules: float
    watts: float | None
    cost: float | None
    currency: str
    at_ns: int
    stale_ns: int
    modeled_wall: Energy | None = None


class HostTotal:
    """The host's energy and cost of one recording, which continue the totals in `before`.

    Each pair of boundary and source has its own total, so that no series contains joules of another one. `store_ticks`
    runs in the recorder's thread; any thread may read `reading` and `channels`, the joules of every channel of energy
    or power, and call `watts_and_joules`. `wall_factor` models the power at the wall, beside the total.
    """

    def __init__(
        self,
        host: Host,
        layouts: Sequence[Layout],
        periods: Sequence[float],
        before: Totals,
        tariff: Tariff | None = None,
    ) -> None:
        self.reading: HostReading | None = None
        self.channels: tuple[ChannelJoules, ...] = ()
        self.wall_factor: AppliedFactor | None = None
        self._host = host
        self._tariff = tariff
        self._capital = (capital_per_hour(tariff) or 0.0) / _SECONDS_PER_HOUR if tariff else 0.0
        own = [total for total in before.values() if total.device == host.id]
        self._joules = {(total.domain, _source_of(total)): total.total for total in own if total.metric != _COST}
        self._cost = {total.domain: total.total for total in own if total.metric == _COST}
        self._channels = tuple(channel_energies(layouts, periods, before))
        self._by_key = {each.channel.key: each for each in self._channels}
        self._others = [
            channel for layout in layouts for channel in layout.channels if channel.metric not in ENERGY_METRICS
        ]
        self._by_layout: dict[int, list[ChannelEnergy]] = {}
        for each in self._channels:
            self._by_layout.setdefault(each.layout, []).append(each)
        slowest = max((period for period in periods), default=0.0)
        self._first_choice_ns = round(min(FIRST_CHOICE_SAMPLES * max(1.0, slowest), FIRST_CHOICE_SECONDS) * 1e9)
        self._coverage: Coverage | None = None
        self._included: tuple[ChannelEnergy, ...] = ()
        self._latest_ns: dict[int, int] = {}
        self._chosen_ns = self._priced_ns = 0
        self._stored = True

    def watts_and_joules(self, key: Key) -> tuple[float | None, float | None]:
        """Return a channel's power, and its energy; that of a power gauge is counted from the start of this process.

        A counter's power is its mean over about a second. Each is None if it is unknown.
        """
        each = self._by_key.get(key)
        return (each.watts(), each.joules) if each else (None, None)

    def store_ticks(
        self,
        ticks: Sequence[Tick],
        totals: CounterAccumulator,
        append: Callable[[Sequence[Tick], Sequence[Total]], None],
    ) -> None:
        """Add ticks and pass them to `append` with every total; raises its errors, and may be repeated.

        A reading is published after its totals were stored, so that a kill cannot make it decrease, or while the store
        fails.
        """

        def append_all(ticks: Sequence[Tick], counters: Sequence[Total]) -> None:
            reading, own = self._take(ticks, totals)
            if not self._stored:
                self.reading = reading
            self._stored = False
            append(ticks, [*counters, *own])
            self._stored, self.reading = True, reading

        totals.store_ticks(ticks, append_all)

    def _take(self, ticks: Sequence[Tick], totals: CounterAccumulator) -> tuple[HostReading | None, tuple[Total, ...]]:
        """Add ticks that were not taken before; return what to publish and what to store."""
        for tick in ticks:
            if tick.end_ns > self._latest_ns.get(tick.layout, 0):
                self._latest_ns[tick.layout] = tick.end_ns
                for each in self._by_layout.get(tick.layout, ()):
                    if not math.isnan(value := tick.values[each.position]):
                        each.record(tick.end_ns, value)
        for each in self._channels:
            if each.is_counter and each.latest is not None:
                each.joules = totals.current(each.layout, each.position)
                each.added = each.joules if each.added is None else each.added
        readings = (each.reading() for each in self._channels)
        self.channels = tuple(reading for reading in readings if reading)
        now_ns = max(self._latest_ns.values(), default=0)
        self._choose(now_ns)
        return self._add(now_ns)

    def _choose(self, now_ns: int) -> None:
        """Choose the counted channels by their latest samples."""
        self._chosen_ns = self._chosen_ns or now_ns
        if now_ns - self._chosen_ns < (CHOICE_SECONDS * 1e9 if self._coverage else self._first_choice_ns):
            return
        self._chosen_ns = now_ns
        covered = cover(best_series(each.series() for each in self._channels), self._others)
        if covered == self._coverage:
            return
        keys = {channel.key for channel in covered.includes}
        included = tuple(each for each in self._channels if each.channel.key in keys)
        for each in included if self._coverage else ():
            if each not in self._included:
                each.added = each.joules  # the joules so far belong to the total of the boundary before
        self._coverage, self._included = covered, included
        names = [each.channel.path for each in included]
        logger.info("host total", boundary=covered.boundary.value, counted=names)

    def _add(self, now_ns: int) -> tuple[HostReading | None, tuple[Total, ...]]:
        covered, included = self._coverage, self._included
        if covered is None or not included:
            return None, ()
        source = provenance(covered.includes)
        key = (covered.boundary.value, source.value)
        step = 0.0
        for each in included:
            if each.joules is not None:
                step += max(0.0, each.joules - (each.added or 0.0))
                each.added = each.joules
        joules = self._joules[key] = self._joules.get(key, 0.0) + step
        cost = self._price(step, now_ns)
        totals = [self._total(f"{_PROBE}/{source.value}", key[0], "energy_joules", joules, now_ns)]
        if cost is not None:
            totals.append(self._total(_PROBE, self._currency, _COST, cost, now_ns))
        return self._read(covered, source.value, joules, cost, now_ns), tuple(totals)

    def _read(
        self, covered: Coverage, source: str, joules: float, cost: float | None, now_ns: int
    ) -> HostReading | None:
        latest = [each.latest for each in self._included if each.latest and now_ns - each.latest[0] <= each.stale_ns]
        if len(latest) < len(self._included):
            return None
        watts = {each.channel: power for each in self._included if (power := each.watts()) is not None}
        total = math.fsum(watts.values()) if len(watts) == len(self._included) else None
        return HostReading(
            covered.boundary,
            source,
            covered.includes,
            covered.not_covered,
            joules,
            total,
            cost,
            self._currency,
            min(at_ns for at_ns, _ in latest),
            max(each.stale_ns for each in self._included),
            None if total is None else self._modeled(covered, total, watts),
        )

    def _modeled(self, covered: Coverage, total: float, watts: Mapping[Channel, float]) -> Energy | None:
        """Return the modeled power at the wall; None without a factor that holds, or if the total is at the wall."""
        if self.wall_factor is None or covered.boundary is Boundary.WALL:
            return None
        try:
            return self.wall_factor.power(Energy(total, total, total), watts, _WATTS_SECONDS)
        except WallFactorError:
            return None

    @property
    def _currency(self) -> str:
        return (self._tariff.currency if self._tariff else None) or ""

    def _price(self, joules: float, now_ns: int) -> float | None:
        """Add the cost of these joules and of the time since the last ones; None without an energy price."""
        price = self._tariff.price_at(_hour_of_week(now_ns)) if self._tariff else None
        if self._tariff is None or price is None:
            return None
        longest_ns = max(each.stale_ns for each in self._included)
        seconds = min(now_ns - self._priced_ns, longest_ns) / 1e9 if self._priced_ns else 0.0
        self._priced_ns = now_ns
        energy = joules / _JOULES_PER_KWH * self._tariff.overhead * price
        cost = self._cost.get(self._currency, 0.0) + energy + self._capital * max(0.0, seconds)
        self._cost[self._currency] = cost
        return cost

    def _total(self, probe: str, domain: str, metric: str, total: float, at_ns: int) -> Total:
        host, source = self._host, Source.ESTIMATED if probe.endswith("estimated") else Source.MEASURED
        return Total(host.id, probe, host.id, domain, metric, source, host.boot_id, None, total, at_ns)


def _source_of(total: Total) -> str:
    return total.probe.partition("/")[2]


def _hour_of_week(at_ns: int) -> float:
    """Return the local hour of the week, from 0 at Monday's midnight."""
    local = time.localtime(at_ns / 1e9)
    return local.tm_wday * 24 + local.tm_hour + local.tm_min / 60
