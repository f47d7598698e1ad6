"""The queries of one NVIDIA GPU: calls to the driver, and the conversion of its numbers to the values of channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ReadError
from probes.model import Channel, Reason
from probes.nvml.library import AbsentError, UnknownError
from probes.plausibility import BLANKS, check_gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from probes.counter import Counter
    from probes.model import Device
    from probes.nvml.library import Gpu, PciPlace

    Key = tuple[str, str]

_UNKNOWN_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """The identity of a GPU.

    `place` is None if it is not reported. `board` is shared by the GPUs of one board. `module` are the fields for the
    power of that whole board, the best first.
    """

    gpu: Gpu
    device: Device
    place: PciPlace | None
    mig: bool
    board: str
    module: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sensor:
    """One channel and its conversion: the driver's number times `times` over `over`, counted by a `counter`."""

    channel: Channel
    times: int = 1
    over: int = 1
    counter: Counter | None = None

    def value(self, raw: float | None, at_ns: int) -> float | Reason:
        """Return the value of the reading `raw` in the channel's unit, or the reason for its rejection."""
        if raw is None:
            return Reason.READ_ERROR
        if math.isnan(raw):
            return raw
        if self.counter is not None:
            return self.counter.advance(int(raw), at_ns) or self.counter.total * self.times / self.over
        return Reason.SENTINEL if raw in BLANKS else check_gauge(self.channel, raw * self.times / self.over)


def _release_nothing() -> None:
    """Release nothing: most queries hold nothing of the driver."""


@dataclass(frozen=True, slots=True)
class SensorQuery:
    """One call to the driver; `close` releases its buffers.

    `ask` returns one number per sensor, in order; None for each that failed, NaN for each without a value yet. `seldom`
    states that its sensors need no fast reads.
    """

    sensors: tuple[Sensor, ...]
    ask: Callable[[], Sequence[float | None]]
    seldom: bool = False
    close: Callable[[], None] = _release_nothing

    def answers(self) -> Sequence[float | None]:
        """Return the driver's answers, None for every sensor if the call failed. Raises DeviceLostError."""
        try:
            return self.ask()
        except ReadError:
            return [None] * len(self.sensors)


def exists(ask: Callable[[], object]) -> bool:
    """Return whether a sensor exists, even if it may answer only later.

    One that answers three times in a row with an unknown error does not.
    """
    for _ in range(_UNKNOWN_ANSWERS):
        try:
            ask()
        except AbsentError:
            return False
        except UnknownError:
            continue
        except ReadError:
            return True
        return True
    return False


def first_of(sensor: Sensor, *asks: Callable[[], int]) -> list[SensorQuery]:
    """Return the query of the first existing way, none if there is none."""
    for ask in asks:
        if exists(ask):
            return [SensorQuery((sensor,), _alone(ask))]
    return []


def _alone(ask: Callable[[], int]) -> Callable[[], tuple[int]]:
    return lambda: (ask(),)
