"""Derives metrics per inference, per token and per second from the energies of windows, with intervals; pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy
from agent.energy.counted_sensors import best_series, cover
from agent.energy.provenance import provenance
from agent.energy.window import SeriesEnergy, method_of
from agent.profiling.analysis.intervals import per_token, quantity
from agent.profiling.analysis.sequential import STUDENT
from agent.profiling.analysis.statistics import summarize
from agent.profiling.records import (
    EnergyBreakdown,
    PhaseEnergy,
    PointEnergy,
    PointPower,
    SensorEnergy,
    SensorJoules,
    UncertainValue,
)
from probes.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.energy.counted_sensors import Coverage
    from agent.energy.provenance import Provenance
    from agent.energy.window import Energies, WindowEnergy
    from agent.profiling.analysis.sequential import Widening
    from probes.model import Channel
    from store.records import Series, Window

Repeat = tuple["Window", ...]
"""The windows of one repeat, one for each phase."""


@dataclass(frozen=True, slots=True)
class SensorWindows:
    """The energies of one sensor in the windows of a point, by repeat and phase."""

    channel: Channel
    windows: tuple[tuple[WindowEnergy, ...], ...]


@dataclass(frozen=True, slots=True)
class Sensors:
    """The energies of a run: one series for each (device, domain), and the selection of the total.

    `sampling_period_seconds` is the longest requested time between two reads. `redundant_gauges` are the power gauges
    of domains that have a counter as well, for comparison.
    """

    series: tuple[Energies, ...]
    coverage: Coverage
    sampling_period_seconds: float
    redundant_gauges: tuple[Energies, ...] = ()

    @classmethod
    def of(
        cls,
        series: Iterable[Series],
        sampling_period_seconds: float,
        channels: Iterable[Channel] = (),
        energies_of: Callable[[Series], Energies] = SeriesEnergy,
    ) -> Sensors:
        """Select the total from all series of a host; `channels` has the devices without a sensor.

        `energies_of` returns the energies of the windows of a series.
        """
        found = tuple(series)
        best = best_series(found)
        counted = {each.channel.place for each in best if method_of(each.channel) == "counter"}
        gauges = (each for each in found if method_of(each.channel) == "integrated")
        redundant_gauges = (energies_of(each) for each in gauges if each.channel.place in counted)
        return cls(
            tuple(map(energies_of, best)), cover(best, channels), sampling_period_seconds, tuple(redundant_gauges)
        )

    @property
    def source(self) -> Provenance:
        """The provenance of the total."""
        return provenance(self.coverage.includes)

    @property
    def included(self) -> tuple[Energies, ...]:
        """The series of the total, each channel once."""
        return tuple({each.channel.key: each for each in self.series if self.counted(each.channel)}.values())

    def counted(self, channel: Channel) -> bool:
        """Return whether a channel is part of the total."""
        return channel.key in {included.key for included in self.coverage.includes}

    def total_of(self, found: Iterable[SensorWindows]) -> tuple[SensorWindows, ...]:
        """Return the energies of the sensors in the total, each channel once."""
        return tuple({each.channel.key: each for each in found if self.counted(each.channel)}.values())


def sensor_windows(repeats: Iterable[Repeat], series: Iterable[Energies]) -> tuple[SensorWindows, ...]:
    """Return the energies of each sensor in every window."""
    repeats = tuple(repeats)
    return tuple(
        SensorWindows(
            each.channel,
            tuple(tuple(each.between(window.start_ns, window.end_ns) for window in own) for own in repeats),
        )
        for each in series
    )


def seconds_per_inference(repeat: Repeat) -> float:
    """Return the time of one inference: the window time of all phases over the inferences."""
    return sum(window.seconds / window.work for window in repeat)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one inference in each repeat; 0 for a workload without them."""

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]

    @property
    def both(self) -> tuple[float, ...]:
        """Input and output tokens."""
        return tuple(map(sum, zip(self.inputs, self.outputs, strict=True)))


def tokens_per_inference(repeats: Sequence[Repeat]) -> TokenCounts:
    """Return the input and output tokens of one inference in each repeat."""
    return TokenCounts(
        tuple(sum(window.input_tokens / window.work for window in repeat) for repeat in repeats),
        tuple(sum(window.output_tokens / window.work for window in repeat) for repeat in repeats),
    )


def joules_per_inference(
    repeats: Sequence[Repeat], found: Sequence[SensorWindows], phase: int | None = None
) -> list[Energy] | None:
    """Return the energy per inference of each repeat, summed over sensors, for one phase or all.

    None if the energy of a window is unknown, or there is no sensor.
    """
    totals = []
    for number, repeat in enumerate(repeats):
        total = Energy(0.0, 0.0, 0.0)
        for position in range(len(repeat)) if phase is None else (phase,):
            for reading in found:
                energy = reading.windows[number][position].energy
                if energy is None:
                    return None
                total = total.plus(energy.times(1 / repeat[position].work))
        totals.append(total)
    return totals if found else None


def idle_watts(windows: Iterable[Window], series: Sequence[Energies]) -> Energy | None:
    """Return the power summed over sensors, in watts: the mean of idle windows, with bounds that span all of them.

    Windows of unknown power do not count; None if there are no others.
    """
    known = [watts for window in windows if (watts := _watts(window, series))]
    if not known:
        return None
    mean = sum(watts.joules for watts in known) / len(known)
    return Energy(mean, min(watts.lower for watts in known), max(watts.upper for watts in known))


def _watts(window: Window, series: Sequence[Energies]) -> Energy | None:
    total = Energy(0.0, 0.0, 0.0)
    for each in series:
        energy = each.between(window.start_ns, window.end_ns).energy
        if energy is None:
            return None
        total = total.plus(energy)
    return total.times(1 / window.seconds) if series else None


def point_energy(
    repeats: Sequence[Repeat],
    sensors: Sensors,
    found: Sequence[SensorWindows],
    totals: Sequence[Energy],
    unloaded: Sequence[Window],
    background_share: float | None = None,
    widening: Widening = STUDENT,
) -> PointEnergy:
    """Return the energy metrics of a point.

    `found` are the energies of all sensors, `totals` the joules per inference of the whole boundary in each repeat,
    `unloaded` the idle windows without a workload.
    """
    split = _split(totals, repeats, sensors.included, unloaded, widening)
    tokens = tokens_per_inference(repeats)
    counted = sensors.total_of(found)
    measured = []
    for series, reading in zip(sensors.series, found, strict=True):
        own = joules_per_inference(repeats, (reading,))
        if own is not None:
            measured.append(_sensor(series.channel, _split(own, repeats, (series,), unloaded, widening), sensors))
    return PointEnergy(
        joules_per_inference=split,
        repeats=summarize([total.joules for total in totals]),
        estimated_share=_estimated_share(repeats, counted, totals),
        background_share=background_share,
        joules_per_input_token=per_token(totals, tokens.inputs, sensors.source, widening),
        joules_per_output_token=per_token(totals, tokens.outputs, sensors.source, widening),
        joules_per_total_token=per_token(totals, tokens.both, sensors.source, widening),
        sensors=tuple(measured),
        phases=_phase_energies(repeats, found, counted, sensors.source, widening),
    )


def point_power(
    repeats: Sequence[Repeat],
    counted: Sequence[SensorWindows],
    totals: Sequence[Energy],
    source: Provenance,
    widening: Widening = STUDENT,
) -> PointPower:
    """Return the mean power of consecutive inferences: their energy over their time.

    `counted` are the energies of the sensors in the total, `totals` the total joules per inference of each repeat.
    """
    watts = [total.times(1 / seconds_per_inference(repeat)) for repeat, total in zip(repeats, totals, strict=True)]
    peaks = [_peak_watts(reading) for reading in counted]
    known = [peak for peak in peaks if peak is not None]
    return PointPower(quantity(watts, source, widening), sum(known) if len(known) == len(peaks) else None, source)


def _peak_watts(reading: SensorWindows) -> float | None:
    peaks = [window.peak_watts for own in reading.windows for window in own if window.peak_watts is not None]
    return max(peaks, default=None)


def _estimated_share(repeats: Sequence[Repeat], counted: Sequence[SensorWindows], totals: Sequence[Energy]) -> float:
    estimated = [reading for reading in counted if reading.channel.source is Source.ESTIMATED]
    modelled = joules_per_inference(repeats, estimated) or []
    whole = sum(total.joules for total in totals)
    return sum(energy.joules for energy in modelled) / whole if whole else float(bool(estimated))


def _sensor(channel: Channel, split: EnergyBreakdown, sensors: Sensors) -> SensorEnergy:
    device = channel.device
    return SensorEnergy(
        device.id, device.kind.value, channel.domain, method_of(channel), sensors.counted(channel), split
    )


def _phase_energies(
    repeats: Sequence[Repeat],
    found: Sequence[SensorWindows],
    counted: Sequence[SensorWindows],
    source: Provenance,
    widening: Widening,
) -> tuple[PhaseEnergy, ...]:
    phases = []
    for number, window in enumerate(repeats[0]):
        totals = joules_per_inference(repeats, counted, number) or ()
        tokens = tokens_per_inference([(repeat[number],) for repeat in repeats])
        energies = ((each.channel, joules_per_inference(repeats, (each,), number)) for each in found)
        phases.append(
            PhaseEnergy(
                window.phase,
                quantity(totals, source, widening),
                per_token(totals, tokens.inputs, source, widening),
                None if any(tokens.inputs) else per_token(totals, tokens.outputs, source, widening),
                tuple(SensorJoules(*channel.place, fmean(e.joules for e in own)) for channel, own in energies if own),
            )
        )
    return tuple(phases)


def _split(
    totals: Sequence[Energy],
    repeats: Sequence[Repeat],
    series: Sequence[Energies],
    unloaded: Sequence[Window],
    widening: Widening,
) -> EnergyBreakdown:
    source = provenance(each.channel for each in series)
    total = quantity(totals, source, widening)
    watts = idle_watts(unloaded, series)
    if watts is None:
        return EnergyBreakdown(total, None, None)
    idle = quantity([watts.times(seconds_per_inference(repeat)) for repeat in repeats], source, widening)
    dynamic = UncertainValue(total.mean - idle.mean, total.lower - idle.upper, total.upper - idle.lower, source)
    return EnergyBreakdown(total, idle, dynamic)
