"""Exports the host's totals, the channels they count, and the uncertainty of estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from probes.model import ENERGY_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from agent.energy.bounds import Energy
    from agent.sampling.host_total import HostReading
    from store.records import Layout

_TOTAL_LABELS = ("boundary", "source")


def host_families(reading: HostReading) -> Iterator[Family]:
    """Yield the host's power, energy and cost, an info series per counted channel and per part without a sensor."""
    labels = (reading.boundary.value, reading.source)
    if reading.watts is not None:
        watts = GaugeMetricFamily(
            "inferometer_host_power_watts",
            "Power of the host, the sum of the counted channels, in watts.",
            labels=_TOTAL_LABELS,
            unit="watts",
        )
        watts.add_metric(labels, reading.watts)
        yield watts
    if reading.modeled_wall is not None:
        yield _modeled_wall(reading.modeled_wall)
    joules = CounterMetricFamily(
        "inferometer_host_energy_joules",
        "Energy of the host since its first start, the sum of the counted channels, in joules.",
        labels=_TOTAL_LABELS,
        unit="joules",
    )
    joules.add_metric(labels, reading.joules)
    yield joules
    if reading.cost is not None:
        cost = CounterMetricFamily(
            "inferometer_host_cost",
            "Cost of the host's energy, and of the machine if the tariff prices it, in the tariff's currency.",
            labels=("currency",),
        )
        cost.add_metric((reading.currency,), reading.cost)
        yield cost
    counted = InfoMetricFamily("inferometer_host_channel", "A channel that the host's totals count; always 1.")
    for channel in reading.counted:
        counted.add_metric(
            (),
            {
                "boundary": reading.boundary.value,
                "device": channel.device.id,
                "kind": channel.device.kind.value,
                "domain": channel.domain,
                "metric": channel.metric,
                "source": channel.source.value,
            },
        )
    yield counted
    uncovered = InfoMetricFamily("inferometer_host_uncovered", "A part of the host that no sensor covers; always 1.")
    for part in reading.uncovered:
        uncovered.add_metric((), {"part": part})
    yield uncovered


def _modeled_wall(power: Energy) -> Family:
    """Return the modeled power at the wall with both ends of its interval, all estimated."""
    family = GaugeMetricFamily(
        "inferometer_host_modeled_wall_watts",
        "Power at the wall by a factor that was learned with a meter, in watts; no total contains it.",
        labels=(*_TOTAL_LABELS, "value"),
        unit="watts",
    )
    for name, watts in (("mean", power.joules), ("lower", power.lower), ("upper", power.upper)):
        family.add_metric(("wall (modeled)", "estimated", name), watts)
    return family


def uncertainty_family(layouts: Sequence[Layout]) -> Family:
    """Return the stated half-width of each estimated energy or power as a share of its value."""
    family = GaugeMetricFamily(
        "inferometer_power_uncertainty_ratio",
        "Stated half-width of an estimated power or energy, as a ratio of its value.",
        labels=("device", "kind", "domain", "source"),
        unit="ratio",
    )
    shown = set()
    for layout in layouts:
        for channel in layout.channels:
            labels = (channel.device.id, channel.device.kind.value, channel.domain, channel.source.value)
            if channel.uncertainty and channel.metric in ENERGY_METRICS and labels not in shown:
                shown.add(labels)
                family.add_metric(labels, channel.uncertainty)
    return family
