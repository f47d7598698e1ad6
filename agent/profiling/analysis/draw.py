"""Derives the power of a machine under its real use from consecutive windows; pure."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from agent.cost.interval import Interval
from agent.cost.lines import capital_per_hour, demand_charge_per_hour
from agent.energy.bounds import Energy
from agent.energy.provenance import provenance
from agent.profiling.analysis.intervals import quantity
from agent.profiling.records import UncertainValue  # noqa: TC001  msgspec resolves the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.tariff import Tariff
    from agent.energy.measurement import Measurement
    from agent.energy.provenance import Provenance
    from agent.host.records import HostLoad

_WATTS_PER_KILOWATT = 1000


class SensorPower(msgspec.Struct, frozen=True):
    """The mean power of one sensor over the windows, None if one of them has no energy; `reasons` state why."""

    device: str
    kind: str
    domain: str
    watts: UncertainValue | None
    in_total: bool
    reasons: tuple[str, ...]


class CpuUse(msgspec.Struct, frozen=True):
    """The use of the CPUs: mean numbers of busy CPUs over the windows, and those of the busiest window.

    `self_cpus` are kept busy by this program, `other_cpus` by all others.
    """

    cpus: int
    self_cpus: float
    other_cpus: float
    max_other_cpus: float
    steal_share: float


class GpuUse(msgspec.Struct, frozen=True):
    """The mean share of the time in which processes kept a GPU busy, summed over the processes."""

    device: str
    busy_share: float


class HourCost(msgspec.Struct, frozen=True):
    """The cost of an hour of this draw; `energy` is None without a price, `machine` without capital or rent.

    `overhead` is the energy that is paid for over the measured energy: the PUE and the losses of power supplies.
    """

    currency: str | None
    overhead: float
    energy: Interval | None
    machine: float | None


class Draw(msgspec.Struct, frozen=True):
    """The mean power of the whole boundary over `windows` windows, with the 95 % interval of their mean and the bounds.

    `watts` is None if a sensor of the total has none. `window_watts` are the means of the windows. `cpu` is None if the
    kernel does not report the use of the CPUs, `cost_per_hour` without prices.
    """

    start_ns: int
    duration_seconds: float
    windows: int
    watts: UncertainValue | None
    window_watts: tuple[float | None, ...]
    boundary: str
    not_covered: tuple[str, ...]
    sensors: tuple[SensorPower, ...]
    cpu: CpuUse | None
    gpus: tuple[GpuUse, ...]
    cost_per_hour: HourCost | None


def derive_draw(
    measured: Sequence[Measurement], loads: Sequence[HostLoad | None], tariff: Tariff | None = None
) -> Draw:
    """Return the draw of at least one window; `loads` are those of the windows, None if unknown."""
    first, last = measured[0], measured[-1]
    powers = [_power(window.total, window.seconds) for window in measured]
    watts = None if first.source is None else _mean(powers, first.source)
    known = [load for load in loads if load is not None]
    return Draw(
        start_ns=first.start_ns,
        duration_seconds=(last.end_ns - first.start_ns) / 1e9,
        windows=len(measured),
        watts=watts,
        window_watts=tuple(None if power is None else power.joules for power in powers),
        boundary=first.coverage.boundary.value,
        not_covered=first.coverage.not_covered,
        sensors=tuple(_sensor(measured, number) for number in range(len(first.readings))),
        cpu=_cpu_use(known) if known else None,
        gpus=_gpu_use(known),
        cost_per_hour=None if tariff is None else _cost(tariff, watts, powers),
    )


def _power(energy: Energy | None, seconds: float) -> Energy | None:
    """Return the mean power in watts, in the form of an energy of one second."""
    if energy is None:
        return None
    return Energy(energy.joules / seconds, energy.lower / seconds, energy.upper / seconds)


def _mean(powers: Sequence[Energy | None], source: Provenance) -> UncertainValue | None:
    known = [power for power in powers if power is not None]
    return quantity(known, source) if len(known) == len(powers) else None


def _sensor(measured: Sequence[Measurement], number: int) -> SensorPower:
    readings = [window.readings[number] for window in measured]
    channel = readings[0].channel
    powers = [_power(reading.energy, window.seconds) for reading, window in zip(readings, measured, strict=True)]
    return SensorPower(
        device=channel.device.id,
        kind=channel.device.kind.value,
        domain=channel.domain,
        watts=_mean(powers, provenance([channel])),
        in_total=channel.key in {each.key for each in measured[0].coverage.includes},
        reasons=tuple(dict.fromkeys(reason for reading in readings for reason in reading.reasons)),
    )


def _cpu_use(loads: Sequence[HostLoad]) -> CpuUse:
    seconds = sum(load.seconds for load in loads)
    cpus = max(load.processors for load in loads)
    return CpuUse(
        cpus=cpus,
        self_cpus=sum(load.own for load in loads) / seconds,
        other_cpus=sum(load.others for load in loads) / seconds,
        max_other_cpus=max(load.others / load.seconds for load in loads),
        steal_share=sum(load.stolen for load in loads) / (seconds * cpus),
    )


def _gpu_use(loads: Sequence[HostLoad]) -> tuple[GpuUse, ...]:
    """Return the use of each GPU whose driver reports it for every process."""
    found: dict[str, list[float]] = {}
    for load in loads:
        for gpu in load.gpus:
            if gpu.own is not None and gpu.others is not None:
                found.setdefault(gpu.device, []).append(gpu.own + gpu.others)
    return tuple(GpuUse(device, fmean(shares)) for device, shares in found.items())


def _cost(tariff: Tariff, watts: UncertainValue | None, powers: Sequence[Energy | None]) -> HourCost:
    """Return the cost of an hour: price * overhead * watts / 1000, and the demand charge of the highest window."""
    price, energy = tariff.energy_price, None
    if price is not None and watts is not None:
        charge = demand_charge_per_hour(tariff, max(power.joules for power in powers if power is not None))
        power = Interval(watts.mean, watts.lower, watts.upper)
        energy = power.times(price * tariff.overhead / _WATTS_PER_KILOWATT).shifted(charge)
    return HourCost(tariff.currency, tariff.overhead, energy, capital_per_hour(tariff))
