"""From the energies of windows to figures per inference, per token and per second, with their intervals; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.interval import Interval
from agent.profiling.energy import Energy, window_energy
from agent.profiling.profile import (
    DeviceEnergy,
    PhaseEnergy,
    PointEnergy,
    PointPower,
    Provenance,
    Quantity,
    Split,
)
from agent.profiling.statistics import summarize
from probes.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.profiling.boundary import Coverage
    from agent.profiling.energy import WindowEnergy
    from probes.model import Channel
    from store.records import Series, Window

Repeat = tuple["Window", ...]
"""The windows of one repeat, one a phase."""


@dataclass(frozen=True, slots=True)
class Sensors:
    """The samples to derive from: one series a (device, domain), and which of them make up the total.

    `beat_seconds` is the longest time between two reads that was asked for.
    """

    series: tuple[Series, ...]
    coverage: Coverage
    beat_seconds: float

    @property
    def included(self) -> tuple[Series, ...]:
        """The series that make up the total."""
        return tuple(series for series in self.series if self.counted(series.channel))

    @property
    def source(self) -> Provenance:
        """What the total may be called."""
        return provenance(self.coverage.includes)

    def counted(self, channel: Channel) -> bool:
        """Tell whether a channel is part of the total."""
        return channel.key in {included.key for included in self.coverage.includes}


def provenance(channels: Iterable[Channel]) -> Provenance:
    """Return what a sum over these channels may be called."""
    sources = {channel.source for channel in channels}
    if sources == {Source.MEASURED, Source.ESTIMATED}:
        return Provenance.MIXED
    return Provenance.ESTIMATED if Source.ESTIMATED in sources else Provenance.MEASURED


def seconds_of(window: Window) -> float:
    """Return the length of a window in seconds."""
    return (window.end_ns - window.start_ns) / 1e9


def seconds_per_inference(repeat: Repeat) -> float:
    """Return the time of one inference: over all phases, window time over inferences."""
    return sum(seconds_of(window) / window.inferences for window in repeat)


def tokens_per_inference(repeat: Repeat) -> tuple[float | None, float | None]:
    """Return input and output tokens of one inference, None where the work has none."""
    tokens_in = sum(window.input_tokens / window.inferences for window in repeat)
    tokens_out = sum(window.output_tokens / window.inferences for window in repeat)
    return tokens_in or None, tokens_out or None


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of repeats that cannot be negative, with its 95 % interval."""
    summary = summarize(values)
    return Interval(summary.mean, None if summary.low is None else max(0.0, summary.low), summary.high)


def quantity(energies: Sequence[Energy], source: Provenance) -> Quantity:
    """Return the mean of repeats with their 95 % interval, widened on each side by the sensors' mean bound."""
    summary = summarize([energy.joules for energy in energies])
    half = 0.0 if summary.high is None else summary.high - summary.mean
    below = sum(energy.joules - energy.lower for energy in energies) / len(energies)
    above = sum(energy.upper - energy.joules for energy in energies) / len(energies)
    return Quantity(summary.mean, max(0.0, summary.mean - half - below), summary.mean + half + above, source)


def window_total(window: Window, series: Iterable[Series]) -> Energy | None:
    """Add the sensors' energies of one window; None if one of them has none, or there is no sensor."""
    total = None
    for each in series:
        found = window_energy(each, window.start_ns, window.end_ns).energy
        if found is None:
            return None
        total = found if total is None else total.plus(found)
    return total


def joules_per_inference(
    repeats: Iterable[Repeat], series: Sequence[Series], phase: int | None = None
) -> list[Energy] | None:
    """Return the sensors' summed energy per inference of each repeat, of one phase or of all.

    None if the energy of some window is not known.
    """
    found = []
    for repeat in repeats:
        total = Energy(0.0, 0.0, 0.0)
        for window in repeat if phase is None else (repeat[phase],):
            energy = window_total(window, series)
            if energy is None:
                return None
            total = total.plus(energy.times(1 / window.inferences))
        found.append(total)
    return found


def idle_watts(window: Window | None, series: Sequence[Series]) -> Energy | None:
    """Return the mean power of an idle window with its bounds, in watts; None where it is not known."""
    total = None if window is None else window_total(window, series)
    if window is None or total is None:
        return None
    return total.times(1 / seconds_of(window))


def point_energy(
    repeats: tuple[Repeat, ...], sensors: Sensors, totals: Sequence[Energy], unloaded: Window | None
) -> PointEnergy:
    """Return a point's energy figures; `totals` are the whole boundary's joules per inference of each repeat."""
    split = _split(totals, repeats, sensors.included, unloaded)
    tokens_in, tokens_out = tokens_per_inference(repeats[0])
    tokens = (tokens_in or 0) + (tokens_out or 0)
    devices = []
    for series in sensors.series:
        own = joules_per_inference(repeats, (series,))
        if own is not None:
            devices.append(_device(series.channel, _split(own, repeats, (series,), unloaded), sensors))
    return PointEnergy(
        per_inference=split,
        per_input_token=_times(split.total, 1 / tokens_in) if tokens_in else None,
        per_output_token=_times(split.total, 1 / tokens_out) if tokens_out else None,
        per_token=_times(split.total, 1 / tokens) if tokens else None,
        devices=tuple(devices),
        phases=_phase_energies(repeats, sensors.included),
    )


def point_power(repeats: Sequence[Repeat], sensors: Sensors, energies: Sequence[WindowEnergy]) -> PointPower:
    """Return the mean and peak power over a point's windows; `energies` are its counted sensors'."""
    means = []
    for repeat in repeats:
        total = Energy(0.0, 0.0, 0.0)
        for window in repeat:
            total = total.plus(window_total(window, sensors.included) or Energy(0.0, 0.0, 0.0))
        means.append(total.times(1 / sum(map(seconds_of, repeat))))
    peaks: dict[tuple[str, str, str, str], float] = {}
    for energy in energies:
        if energy.peak_watts is not None:
            peaks[energy.channel.key] = max(peaks.get(energy.channel.key, 0.0), energy.peak_watts)
    complete = len(peaks) == len(sensors.included)
    return PointPower(quantity(means, sensors.source), sum(peaks.values()) if complete else None, sensors.source)


def _device(channel: Channel, split: Split, sensors: Sensors) -> DeviceEnergy:
    method = "counter" if channel.metric == "energy_joules" else "integrated"
    if channel.source is Source.ESTIMATED:
        method = "model"
    device = channel.device
    return DeviceEnergy(device.id, device.kind.value, channel.domain, method, sensors.counted(channel), split)


def _times(figure: Quantity, factor: float) -> Quantity:
    return Quantity(figure.mean * factor, figure.lower * factor, figure.upper * factor, figure.source)


def _phase_energies(repeats: tuple[Repeat, ...], included: Sequence[Series]) -> tuple[PhaseEnergy, ...]:
    source = provenance(series.channel for series in included)
    found = []
    for number, window in enumerate(repeats[0]):
        energies = joules_per_inference(repeats, included, number)
        if energies is None:
            continue
        figure = quantity(energies, source)
        tokens_in, tokens_out = window.input_tokens / window.inferences, window.output_tokens / window.inferences
        found.append(
            PhaseEnergy(
                window.phase,
                figure,
                _times(figure, 1 / tokens_in) if tokens_in else None,
                _times(figure, 1 / tokens_out) if tokens_out and not tokens_in else None,
            )
        )
    return tuple(found)


def _split(
    totals: Sequence[Energy], repeats: Sequence[Repeat], series: Sequence[Series], unloaded: Window | None
) -> Split:
    source = provenance(each.channel for each in series)
    total = quantity(totals, source)
    watts = idle_watts(unloaded, series)
    if watts is None:
        return Split(total, None, None)
    idle = quantity([watts.times(seconds_per_inference(repeat)) for repeat in repeats], source)
    dynamic = Quantity(total.mean - idle.mean, total.lower - idle.upper, total.upper - idle.lower, source)
    return Split(total, idle, dynamic)
