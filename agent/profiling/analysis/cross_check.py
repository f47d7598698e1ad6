"""Compares the power gauge of a domain with the counter of the same domain; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.energy.window import preference_reason
from agent.profiling.run_facts import SensorAgreement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.profiling.analysis.metrics import SensorWindows


def cross_check(
    found: Iterable[SensorWindows], redundant_gauges: Iterable[SensorWindows]
) -> tuple[SensorAgreement, ...]:
    """Compare the gauges in `redundant_gauges` with the counters in `found`, over all windows that both measured."""
    counters = {each.channel.place: _joules(each) for each in found}
    agreements = []
    for gauge in redundant_gauges:
        counted, integrated = counters.get(gauge.channel.place), _joules(gauge)
        if counted and integrated is not None:
            device, domain = gauge.channel.place
            reason = preference_reason(gauge.channel)
            agreements.append(SensorAgreement(device, domain, integrated / counted - 1, "counter", reason))
    return tuple(agreements)


def _joules(reading: SensorWindows) -> float | None:
    energies = [window.energy for own in reading.windows for window in own]
    return sum(energy.joules for energy in energies if energy) if all(energies) else None
