"""Holds the power gauge of a domain against the counter of the same domain, and says which to believe; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.profiling.facts import Agreement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.profiling.figures import Reading
    from probes.model import Channel

_MISSES_NOTHING = "a counter misses nothing between two reads"


def agreement(found: Iterable[Reading], twins: Iterable[Reading]) -> tuple[Agreement, ...]:
    """Return what the gauges in `twins` say beside the counters in `found`, over all windows that both measured."""
    counters = {_place(each.channel): _joules(each) for each in found}
    told = []
    for twin in twins:
        counted, integrated = counters.get(_place(twin.channel)), _joules(twin)
        if counted and integrated is not None:
            device, domain = _place(twin.channel)
            told.append(Agreement(device, domain, integrated / counted - 1, "counter", _because(twin.channel)))
    return tuple(told)


def _place(channel: Channel) -> tuple[str, str]:
    return channel.device.id, channel.domain


def _joules(reading: Reading) -> float | None:
    energies = [window.energy for own in reading.windows for window in own]
    return sum(energy.joules for energy in energies if energy) if all(energies) else None


def _because(gauge: Channel) -> str:
    """Say why the counter is believed.

    That power of NVML on A100 and H100 averages over 25 of every 100 ms was measured by Yang, Adamek and Armour,
    "Part-time Power Measurements: nvidia-smi's Lack of Attention" (2023).
    """
    if gauge.aliased:
        return f"{_MISSES_NOTHING}, and this gauge sees only a part of the time (on NVIDIA A100 and H100 25 of 100 ms)"
    if gauge.method == "average":
        return f"{_MISSES_NOTHING}, and this gauge averages over what was before each reading"
    return f"{_MISSES_NOTHING}, and this gauge shows single moments"
