"""Compares the power gauge of a domain with the counter of the same domain; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.energy.window import why_the_counter
from agent.profiling.run_facts import SensorAgreement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.profiling.analysis.metrics import Reading
    from probes.model import Channel


def agreement(found: Iterable[Reading], twins: Iterable[Reading]) -> tuple[SensorAgreement, ...]:
    """Compare the gauges in `twins` with the counters in `found`, over all windows that both measured."""
    counters = {_place(each.channel): _joules(each) for each in found}
    told = []
    for twin in twins:
        counted, integrated = counters.get(_place(twin.channel)), _joules(twin)
        if counted and integrated is not None:
            device, domain = _place(twin.channel)
            reason = why_the_counter(twin.channel)
            told.append(SensorAgreement(device, domain, integrated / counted - 1, "counter", reason))
    return tuple(told)


def _place(channel: Channel) -> tuple[str, str]:
    return channel.device.id, channel.domain


def _joules(reading: Reading) -> float | None:
    energies = [window.energy for own in reading.windows for window in own]
    return sum(energy.joules for energy in energies if energy) if all(energies) else None
