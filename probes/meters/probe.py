"""Reads one meter: its power, its energy counter, or both, at most once for each refresh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from probes.counter import Counter
from probes.errors import ProbeUnavailableError, ReadError
from probes.meters.device import channel_of, device_of, id_of
from probes.meters.exchange import Exchange
from probes.model import Reason, Rejection
from probes.plausibility import check_gauge, max_watts
from probes.polling import INTERVAL_SHARE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.model import Channel
    from probes.settings import MeterConfig

READ_SECONDS = 10.0
"""The time limit of a read."""
_PER_JOULE = 1e6
"""Counters count in microjoules."""
_MOST_JOULES = 1e15
"""The highest plausible count: 20 kW in 1,500 years."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a meter in SI units, None for a value that it lacks, and the interval in which it was taken."""

    watts: float | None
    joules: float | None
    taken_ns: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value of a meter: `energy_joules` or `power_watts`, with the properties of its channel."""

    metric: str
    method: str
    refresh_seconds: float
    resolution: float


class MeterSource(Protocol):
    """The connection to one meter.

    `quantities` are the values that it has, `reported` is its description of itself. `read` returns None if there is
    nothing new, and raises ReadError. `interval_seconds` is the shortest time between two requests.
    """

    @property
    def quantities(self) -> tuple[Quantity, ...]: ...  # noqa: D102

    @property
    def reported(self) -> Mapping[str, str]: ...  # noqa: D102

    @property
    def interval_seconds(self) -> float: ...  # noqa: D102

    def read(self) -> Reading | None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class MeterProbe:
    """One configured meter of a family; `taken_ns` is None after a read without a new value."""

    files_only = False

    def __init__(
        self,
        family: str,
        meter: MeterConfig,
        source: MeterSource,
        meters: Sequence[MeterConfig] = (),
        seconds: float = READ_SECONDS,
    ) -> None:
        self.name = f"{family}/{id_of(meter)}"
        device = device_of(meter, source.reported, meters)
        self.channels: tuple[Channel, ...] = tuple(
            channel_of(
                meter,
                meters,
                device,
                each.metric,
                method=each.method,
                refresh_seconds=each.refresh_seconds,
                resolution=each.resolution,
            )
            for each in source.quantities
        )
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._counters = [_counter(channel) for channel in self.channels]
        self._source = source
        self._exchange = Exchange(meter.name, seconds)
        self._interval_ns = round(source.interval_seconds * 1e9)
        self._next_ns = 0

    def read(self, at_ns: int) -> list[float]:
        """Return the power in watts and the energy in joules, as far as the meter has them.

        All are NaN if the meter has nothing new, or was asked less than a refresh ago. Raises ReadError.
        """
        self.taken_ns = None
        nothing = [math.nan] * len(self.channels)
        if at_ns < self._next_ns:
            return nothing
        self._next_ns = at_ns + round(self._interval_ns * INTERVAL_SHARE)
        try:
            reading = self._exchange.run(self._source.read)
        except ProbeUnavailableError as error:  # its remedy is shown at discovery
            raise ReadError(error.reason) from error
        if reading is None:
            return nothing
        if reading.watts is None and reading.joules is None:
            raise ReadError(f"{self.name} reports neither power nor energy")
        self.taken_ns = reading.taken_ns
        return [self._value(position, reading, at_ns) for position in range(len(self.channels))]

    def close(self) -> None:
        """End the connection."""
        self._source.close()

    def _value(self, position: int, reading: Reading, at_ns: int) -> float:
        counter, channel = self._counters[position], self.channels[position]
        found = reading.joules if counter else reading.watts
        if found is None:
            return math.nan
        if counter is None:
            value = check_gauge(channel, found)
            return self._reject(position, value) if isinstance(value, Reason) else value
        if not 0 <= found <= _MOST_JOULES:
            return self._reject(position, Reason.IMPOSSIBLE)
        if reason := counter.advance(round(found * _PER_JOULE), at_ns):
            return self._reject(position, reason)
        return counter.total / _PER_JOULE

    def _reject(self, position: int, reason: Reason) -> float:
        self.rejections.append(Rejection(position, reason))
        return math.nan


def _counter(channel: Channel) -> Counter | None:
    if channel.metric != "energy_joules":
        return None
    return Counter(
        0,
        max_watts(channel) * _PER_JOULE,
        channel.refresh_seconds,
        resolution=channel.resolution * _PER_JOULE,
    )
