"""Reads the energy, the utilization and the memory of one Intel GPU from Level Zero Sysman."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from probes.busy_time import BusyTime
from probes.counter import Counter
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.integer_attributes import merged
from probes.intel_gpu.sysman import ForbiddenError, Sysman, SysmanGpu
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, check_gauge, highest_limit_watts, max_watts
from probes.sysfs import RuntimeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from probes.driver_devices import DriverDevice
    from probes.settings import SensorSettings

WINDOW_SECONDS = 0.1
_REMEDY = "let this user open /dev/dri/renderD* (group render), or run as root; see the kernel log (dmesg)"
_FORBIDDEN = "run as root: the driver shows this sensor to root alone"


@dataclass(frozen=True, slots=True)
class SysmanQuery:
    """One call to the driver: `ask` takes the time of the read and returns one value per channel, in order."""

    channels: tuple[Channel, ...]
    ask: Callable[[int], Sequence[float | Reason]]


class SysmanProbe:
    """The sensors of one GPU; `runtime_status` is the file with its suspend state, None if there is none."""

    files_only = False

    def __init__(self, name: str, queries: Sequence[SysmanQuery], runtime_status: Path | None) -> None:
        self.name = name
        self.channels = tuple(channel for query in queries for channel in query.channels)
        self.rejections: list[Rejection] = []
        self._queries = tuple(queries)
        self._status = RuntimeStatus(runtime_status)

    def read(self, at_ns: int) -> list[float]:
        """Return one value per channel; all NaN while the GPU sleeps, because a call would wake it.

        Raises ReadError if every call failed, DeviceLostError if the GPU is lost.
        """
        return self._read(at_ns, counters_only=False)

    def read_counters(self, at_ns: int) -> list[float]:
        """Return the energy, NaN for everything else."""
        return self._read(at_ns, counters_only=True)

    def close(self) -> None:
        """Close the file of the suspend state; the library has nothing to close."""
        self._status.close()

    def _read(self, at_ns: int, *, counters_only: bool) -> list[float]:
        if self._status.is_suspended():
            return [math.nan] * len(self.channels)
        values: list[float] = []
        failure: ReadError | None = None
        answered = False
        for query in self._queries:
            found: Sequence[float | Reason] = [math.nan] * len(query.channels)
            if not counters_only or query.channels[0].metric == "energy_joules":
                try:
                    found, answered = query.ask(at_ns), True
                except ReadError as error:
                    found, failure = [Reason.READ_ERROR] * len(query.channels), error
            values += [self._checked(len(values) + position, value) for position, value in enumerate(found)]
        if failure and not answered:
            raise failure
        return values

    def _checked(self, position: int, value: float | Reason) -> float:
        if isinstance(value, Reason):
            self.rejections.append(Rejection(position, value))
            return math.nan
        return value


def find_sysman(roots: Roots, settings: SensorSettings, cards: Sequence[DriverDevice]) -> DiscoveryResult:
    """Return the probes of those cards that Level Zero lists, and a problem for each other card.

    The library is loaded only if a card is awake and not excluded.
    """
    entries = {card: settings.exclusions(_name(card), card.pci.address) for card in cards}
    excluded = frozenset(chain.from_iterable(entries.values()))
    wanted = [card for card in cards if not entries[card]]
    problems = tuple(_asleep(card) for card in wanted if card.pci.is_suspended)
    awake = [card for card in wanted if not card.pci.is_suspended]
    try:
        listed = {gpu.address(): gpu for gpu in Sysman(roots).gpus()} if awake else {}
    except ProbeUnavailableError as error:
        missing = (_missing(card, error.reason, error.remedy) for card in awake)
        return DiscoveryResult((), (*problems, *missing), excluded)
    except (ReadError, DeviceLostError) as error:
        missing = (_missing(card, str(error), _REMEDY) for card in awake)
        return DiscoveryResult((), (*problems, *missing), excluded)
    found = (_found(card, listed.get(card.pci.address), settings) for card in awake)
    return merged((DiscoveryResult((), problems, excluded), *found))


def _found(card: DriverDevice, gpu: SysmanGpu | None, settings: SensorSettings) -> DiscoveryResult:
    """Return the probe of one card, without the excluded sensors, and the problem of its energy."""
    if gpu is None:
        return DiscoveryResult((), (_missing(card, "Level Zero does not list this card", _REMEDY),))
    queries, problems = _queries(gpu, card)
    kept, excluded = settings.select(_name(card), queries, lambda query: query.channels[0])
    probes = (SysmanProbe(_name(card), kept, card.pci.runtime_status),) if kept else ()
    return DiscoveryResult(probes, tuple(problems), excluded)


def _name(card: DriverDevice) -> str:
    return f"intel_gpu/{card.pci.address}-sysman"


def _queries(gpu: SysmanGpu, card: DriverDevice) -> tuple[list[SysmanQuery], list[Problem]]:
    """Return the queries of a card that answer now, energy first, and the problem of its energy."""
    device = card.as_device(Kind.GPU)
    queries: list[SysmanQuery] = []
    problems: list[Problem] = []
    try:
        query = _energy(gpu, device)
        query.ask(0)
        queries.append(_energy(gpu, device))
    except (ReadError, DeviceLostError) as error:
        remedy = _FORBIDDEN if isinstance(error, ForbiddenError) else _REMEDY
        problems.append(_missing(card, str(error), remedy))
    with suppress(ReadError, DeviceLostError):
        queries += _utilization(gpu, device)
    with suppress(ReadError, DeviceLostError):
        queries += _memory(gpu, device)
    return queries, problems


def _energy(gpu: SysmanGpu, device: Device) -> SysmanQuery:
    domain, handle = gpu.power_domain()
    limit = highest_limit_watts([gpu.limit_milliwatts(handle)], 1000, Kind.GPU)
    channel = Channel(
        device,
        domain,
        "energy_joules",
        method="counter",
        resolution=1e-6,
        max_plausible=PLAUSIBLE_LIMIT_FACTOR * limit,
    )
    counter = Counter(0, max_watts(channel) * 1e6)

    def ask(at_ns: int) -> list[float | Reason]:
        return [counter.advance(gpu.microjoules(handle), at_ns) or counter.total / 1e6]

    return SysmanQuery((channel,), ask)


def _utilization(gpu: SysmanGpu, device: Device) -> Iterator[SysmanQuery]:
    """Yield the busy share of all engines; the driver gives the time of each value."""
    engines = gpu.engines()
    if engines is None:
        return
    gpu.busy_microseconds(engines)
    channel = Channel(device, "card", "utilization_ratio", method="engine time", refresh_seconds=WINDOW_SECONDS)
    time = BusyTime(1_000_000, WINDOW_SECONDS)

    def ask(_: int) -> list[float | Reason]:
        busy, at_us = gpu.busy_microseconds(engines)
        return [time.advance(busy, at_us * 1000)]

    yield SysmanQuery((channel,), ask)


def _memory(gpu: SysmanGpu, device: Device) -> Iterator[SysmanQuery]:
    memories = gpu.memories()
    if not memories:
        return
    gpu.memory_bytes(memories)
    channels = tuple(Channel(device, "memory", f"memory_{which}_bytes") for which in ("used", "total"))

    def ask(_: int) -> list[float | Reason]:
        return list(map(check_gauge, channels, map(float, gpu.memory_bytes(memories))))

    yield SysmanQuery(channels, ask)


def _missing(card: DriverDevice, reason: str, remedy: str) -> Problem:
    stand_in = Channel(card.as_device(Kind.GPU), "card", "utilization_ratio")
    return Problem(_name(card), f"hwmon has no energy of this card, and {reason}", remedy, device=stand_in)


def _asleep(card: DriverDevice) -> Problem:
    reason = "hwmon has no energy of this card, and it sleeps: Level Zero would wake it"
    return Problem(_name(card), reason, "run the command again while the card is in use", is_unreadable=False)
