"""From the windows and samples of a run to the points of its profile; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cost.interval import Interval
from agent.cost.model import PointCost, price_point
from agent.profiling.figures import (
    Reading,
    Repeat,
    Sensors,
    idle_watts,
    interval,
    joules_per_inference,
    point_energy,
    point_power,
    provenance,
    quantity,
    readings,
    seconds_of,
    seconds_per_inference,
    tokens_per_inference,
)
from agent.profiling.gates import Evidence, judge, valid
from agent.profiling.profile import Baseline, IdlePower, PhaseSpeed, Point
from agent.profiling.statistics import summarize_latencies

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.cost.model import Cost
    from agent.cost.tariff import Tariff
    from agent.profiling.profile import PointEnergy
    from agent.profiling.statistics import LatencySummary
    from store.records import Window

IDLE_UNLOADED = "idle_unloaded"
IDLE_LOADED = "idle_loaded"
PREFILL = "prefill"


def derive_points(windows: Sequence[Window], sensors: Sensors, tariff: Tariff | None) -> tuple[Point, ...]:
    """Derive one point for every setting that has a complete repeat, in the order they were first run.

    Without a tariff there is energy and time, and no money.
    """
    idle = _baseline_windows(windows)
    phases = tuple(dict.fromkeys(window.phase for window in windows if window.point))
    points = []
    for name in dict.fromkeys(window.point for window in windows if window.point):
        repeats = _complete_repeats([window for window in windows if window.point == name], phases)
        if repeats:
            points.append(_point(name, repeats, sensors, idle, tariff))
    return tuple(points)


def derive_baselines(windows: Sequence[Window], sensors: Sensors) -> tuple[Baseline, ...]:
    """Derive the power while nothing ran, by sensor and in total."""
    found = []
    for phase, window in _baseline_windows(windows).items():
        power = []
        for series in sensors.series:
            watts = idle_watts(window, (series,))
            if watts is not None:
                channel = series.channel
                power.append(IdlePower(channel.device.id, channel.domain, quantity([watts], provenance([channel]))))
        total = idle_watts(window, sensors.included)
        if total is not None:
            power.append(IdlePower("total", sensors.coverage.boundary.value, quantity([total], sensors.source)))
        found.append(Baseline(phase.removeprefix("idle_"), seconds_of(window), tuple(power)))
    return tuple(found)


def _baseline_windows(windows: Iterable[Window]) -> dict[str, Window]:
    return {window.phase: window for window in windows if window.phase in {IDLE_UNLOADED, IDLE_LOADED}}


def _complete_repeats(windows: Sequence[Window], phases: Sequence[str]) -> tuple[Repeat, ...]:
    """Return the repeats in which every phase of the run did some work, their phases in the run's order."""
    repeats = []
    for number in dict.fromkeys(window.repeat for window in windows):
        own = {window.phase: window for window in windows if window.repeat == number and window.inferences}
        if len(own) == len(phases):
            repeats.append(tuple(own[phase] for phase in phases))
    return tuple(repeats)


def _point(
    name: str, repeats: tuple[Repeat, ...], sensors: Sensors, idle: dict[str, Window], tariff: Tariff | None
) -> Point:
    found = readings(repeats, sensors.series)
    counted = sensors.total_of(found)
    totals = joules_per_inference(repeats, counted)
    rates = tuple(1 / seconds_per_inference(repeat) for repeat in repeats)
    findings = judge(
        Evidence(
            windows=repeats,
            energies=tuple(window for reading in counted for own in reading.windows for window in own),
            devices_expected=len(sensors.coverage.includes),
            beat_seconds=sensors.beat_seconds,
            joules_per_inference=tuple(energy.joules for energy in totals or ()),
            rates=rates,
            disagreement=disagreement(found, readings(repeats, sensors.twins)),
        )
    )
    speed = interval(rates)
    tokens_in, tokens_out = tokens_per_inference(repeats[0])
    known = totals if valid(findings) else None
    energy = point_energy(repeats, sensors, found, known, idle.get(IDLE_UNLOADED)) if known else None
    steps = [step for repeat in repeats for window in repeat for step in window.step_seconds]
    first = [
        latency
        for repeat in repeats
        for window in repeat
        if window.phase == PREFILL
        for latency in window.latencies_seconds
    ]
    return Point(
        name=name,
        batch=_batch(repeats[0]),
        valid=valid(findings),
        repeats=len(repeats),
        input_tokens_per_inference=tokens_in,
        output_tokens_per_inference=tokens_out,
        latency_seconds=_request_latency(repeats),
        time_to_first_token_seconds=summarize_latencies(first) if first else None,
        inter_token_latency_seconds=summarize_latencies(steps) if steps else None,
        inferences_per_second=speed,
        input_tokens_per_second=speed.times(tokens_in) if tokens_in else None,
        output_tokens_per_second=speed.times(tokens_out) if tokens_out else None,
        phases=_phases(repeats),
        energy=energy,
        power=point_power(repeats, counted, known, sensors.source) if known else None,
        cost=_cost(tariff, energy, speed, idle_watts_of(idle, sensors), (tokens_in, tokens_out)),
        findings=findings,
    )


def disagreement(found: Iterable[Reading], twins: Iterable[Reading]) -> float | None:
    """Return by how much, as a share, a power gauge and the counter of the same domain differ at most over all windows.

    None where no domain has both, or neither is known.
    """
    counters = {(each.channel.device.id, each.channel.domain): _joules(each) for each in found}
    shares = []
    for twin in twins:
        counted, integrated = counters.get((twin.channel.device.id, twin.channel.domain)), _joules(twin)
        if counted and integrated is not None:
            shares.append(abs(integrated / counted - 1))
    return max(shares, default=None)


def _joules(reading: Reading) -> float | None:
    energies = [window.energy for own in reading.windows for window in own]
    return sum(energy.joules for energy in energies if energy) if all(energies) else None


def idle_watts_of(idle: dict[str, Window], sensors: Sensors) -> Interval | None:
    """Return the total power with the model loaded and nothing asked, in watts; None where it was not measured."""
    watts = idle_watts(idle.get(IDLE_LOADED), sensors.included)
    return None if watts is None else Interval(watts.joules, watts.lower, watts.upper)


def _cost(
    tariff: Tariff | None,
    energy: PointEnergy | None,
    speed: Interval,
    loaded_watts: Interval | None,
    tokens: tuple[float | None, float | None],
) -> Cost | None:
    if tariff is None or energy is None:
        return None
    total = energy.per_inference.total
    joules = Interval(total.mean, total.lower, total.upper)
    return price_point(tariff, PointCost(joules, speed, loaded_watts, *tokens))


def _batch(repeat: Repeat) -> int:
    window = repeat[0]
    return window.inferences // window.iterations if window.iterations else 0


def _request_latency(repeats: Sequence[Repeat]) -> LatencySummary:
    """Pair the iterations of a repeat's phases in order, the shorter list going round, and add them up."""
    latencies: list[float] = []
    for repeat in repeats:
        lists = [window.latencies_seconds for window in repeat]
        longest = max(map(len, lists))
        latencies.extend(sum(entries[i % len(entries)] for entries in lists) for i in range(longest))
    return summarize_latencies(latencies)


def _phases(repeats: Sequence[Repeat]) -> tuple[PhaseSpeed, ...]:
    found = []
    for windows in zip(*repeats, strict=True):
        latencies = [latency for window in windows for latency in window.latencies_seconds]
        found.append(
            PhaseSpeed(
                phase=windows[0].phase,
                repeats=len(windows),
                iterations=sum(window.iterations for window in windows),
                inferences=sum(window.inferences for window in windows),
                input_tokens=sum(window.input_tokens for window in windows),
                output_tokens=sum(window.output_tokens for window in windows),
                duration_seconds=sum(map(seconds_of, windows)),
                latency_seconds=summarize_latencies(latencies),
            )
        )
    return tuple(found)
