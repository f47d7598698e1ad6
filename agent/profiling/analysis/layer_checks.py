"""Compares the layers of a host's meters over the windows of a run, as records of the profile; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.energy.crosscheck import cross_check_layers, powers
from agent.energy.layers import WorkingChannels
from agent.profiling.analysis.idle import BASELINES
from agent.profiling.device_facts import IncludedSensor, LayerCheck

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.energy.crosscheck import CheckedLayer
    from agent.profiling.analysis.metrics import Sensors
    from probes.model import Channel
    from store.records import Window


def check_layers(windows: Iterable[Window], sensors: Sensors) -> tuple[LayerCheck, ...]:
    """Compare the layers over the idle baselines and the windows of all points, which are the levels of load."""
    working = WorkingChannels()
    working.add(each.series for each in sensors.series)
    levels = (window for window in windows if window.point or window.phase in BASELINES)
    found = cross_check_layers(
        working.channels, [powers(sensors.series, each.start_ns, each.end_ns) for each in levels]
    )
    return tuple(map(layer_check, found))


def layer_check(found: CheckedLayer) -> LayerCheck:
    """Return the record of a comparison."""
    return LayerCheck(
        meters=tuple(map(_sensor, found.layer.meters)),
        below=tuple(map(_sensor, found.layer.below)),
        windows=found.windows,
        slope=found.slope,
        offset_watts=found.offset_watts,
        slope_limit=found.slope_limit,
        verdict=found.verdict,
        reason=found.reason,
    )


def _sensor(channel: Channel) -> IncludedSensor:
    return IncludedSensor(*channel.place)
