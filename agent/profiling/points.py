"""Derives the points of a profile from the windows and samples of a run; pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from agent.host.records import RunEnvironment
from agent.profiling.analysis.background import attribute_background
from agent.profiling.analysis.conditions import changed_settings, conditions, power_limits
from agent.profiling.analysis.cross_check import cross_check
from agent.profiling.analysis.idle import (
    BASELINES,
    IDLE_LOADED,
    IDLE_UNLOADED,
    derive_baselines,
    derive_drift,
    idle_windows,
    loaded_watts,
)
from agent.profiling.analysis.intervals import interval, token_rate
from agent.profiling.analysis.metrics import (
    Repeat,
    Sensors,
    joules_per_inference,
    point_energy,
    point_power,
    seconds_per_inference,
    sensor_windows,
    tokens_per_inference,
)
from agent.profiling.analysis.precision import interval_widening, precision
from agent.profiling.analysis.request_times import request_times
from agent.profiling.analysis.serving import latencies, load_of, serving_figures, widen_edges
from agent.profiling.analysis.stability import power_by_repeat, power_within
from agent.profiling.analysis.statistics import summarize_latencies
from agent.profiling.pricing import price_points
from agent.profiling.records import PhaseSpeed, Point
from agent.profiling.validation.evidence import Evidence, ServingEvidence
from agent.profiling.validation.measurement import valid, validate
from agent.workloads.point import decode_point, point_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.tariff import Tariff
    from agent.energy.bounds import Energy
    from agent.profiling.analysis.metrics import SensorWindows
    from agent.profiling.analysis.request_times import RequestTimes
    from agent.profiling.analysis.sequential import Widening
    from agent.profiling.analysis.serving import PointLoad
    from agent.profiling.records import PointEnergy
    from agent.profiling.run_facts import IdleDrift
    from agent.profiling.serving_records import Lengths, ServiceLevel, ServingFigures
    from agent.workloads.point import Value
    from store.records import Window

NOTHING_KNOWN = RunEnvironment()


@dataclass(frozen=True, slots=True)
class _SharedInputs:
    """The inputs that all points of a run share; `idle` are its idle windows."""

    idle: tuple[Window, ...]
    sensors: Sensors
    drift: tuple[IdleDrift, ...]
    run_environment: RunEnvironment
    level: ServiceLevel | None


def analyze(
    windows: Sequence[Window],
    sensors: Sensors,
    tariff: Tariff | None,
    run_environment: RunEnvironment = NOTHING_KNOWN,
    level: ServiceLevel | None = None,
) -> tuple[Point, ...]:
    """Return one point for every setting with a complete repeat, in the order of their first run.

    Without a tariff they have no cost. A `level` gives the points of a load their goodput.
    """
    idle = tuple(window for window in windows if window.phase in BASELINES)
    shared = _SharedInputs(idle, sensors, derive_drift(idle, sensors), run_environment, level)
    points = []
    for point, repeats in repeats_of(windows).items():
        load = load_of((window,) for window in windows if window.point == point)
        points.append(_point(decode_point(point), repeats, load, shared))
    return price_points(points, derive_baselines(idle, sensors), tariff)


def repeats_of(windows: Sequence[Window]) -> dict[str, tuple[Repeat, ...]]:
    """Return the complete repeats of each point that has any, by the encoded point, in the order of their first run."""
    phases = tuple(dict.fromkeys(window.phase for window in windows if window.point))
    own: dict[str, list[Window]] = {}
    for window in windows:
        if window.point:
            own.setdefault(window.point, []).append(window)
    found = {point: complete_repeats(each, phases) for point, each in own.items()}
    return {point: repeats for point, repeats in found.items() if repeats}


def complete_repeats(windows: Sequence[Window], phases: Sequence[str]) -> tuple[Repeat, ...]:
    """Return the repeats in which every phase of the run did work, with their phases in the order of the run.

    A window of a load did work if at least one of its requests succeeded.
    """
    repeats = []
    for number in dict.fromkeys(window.repeat for window in windows):
        own = {
            window.phase: window for window in windows if window.repeat == number and window.inferences and window.work
        }
        if len(own) == len(phases):
            repeats.append(tuple(own[phase] for phase in phases))
    return tuple(repeats)


def _point(
    parameters: dict[str, Value], repeats: tuple[Repeat, ...], load: PointLoad | None, shared: _SharedInputs
) -> Point:
    """Return a point; `load` is the client's report on all of its windows, those without a success included."""
    sensors = shared.sensors
    found = sensor_windows(repeats, sensors.series)
    totals = joules_per_inference(repeats, sensors.total_of(found))
    tolerance = shared.run_environment.tolerance
    widening, speed_widening = _widening(repeats, totals, tolerance), _widening(repeats, None, tolerance)
    times = request_times(repeats, load, speed_widening)
    serving = None if load is None else serving_figures(load, shared.level)
    evidence = _evidence(repeats, shared, found, totals, _serving_evidence(shared, load, serving, times))
    checks = validate(evidence)
    speed, tokens = interval(evidence.rates, speed_widening), tokens_per_inference(repeats)
    unloaded = idle_windows(shared.idle, IDLE_UNLOADED)
    baseline = unloaded or idle_windows(shared.idle, IDLE_LOADED)
    found = attribute_background(found, repeats, sensors.series, shared.run_environment.loads, baseline)
    counted = sensors.total_of(found)
    known = joules_per_inference(repeats, counted) if valid(checks) else None
    others = _background_share(totals, known) if known and shared.run_environment.loads else None
    energy = _energy(repeats, shared, found, unloaded, others, load_of(repeats), widening) if known else None
    tokens_in, tokens_out = fmean(tokens.inputs) or None, fmean(tokens.outputs) or None
    return Point(
        name=point_name(parameters),
        parameters=parameters,
        valid=valid(checks),
        repeats=len(repeats),
        input_tokens_per_inference=_mean_length(serving.input_tokens if serving else None, tokens_in),
        output_tokens_per_inference=_mean_length(serving.output_tokens if serving else None, tokens_out),
        mean_latency_seconds=times.mean_seconds,
        latency_seconds=times.latency,
        time_to_first_token_seconds=times.first_token,
        inter_token_latency_seconds=times.next_token,
        inferences_per_second=speed,
        input_tokens_per_second=token_rate(tokens.inputs, evidence.rates, speed_widening),
        output_tokens_per_second=token_rate(tokens.outputs, evidence.rates, speed_widening),
        phases=_phases(repeats, load),
        energy=energy,
        power=point_power(repeats, counted, known, sensors.source, widening) if known else None,
        cost=None,
        convergence=evidence.precision,
        sensor_agreement=evidence.agreement,
        conditions=evidence.conditions,
        checks=checks,
        serving=serving,
    )


def _widening(repeats: Sequence[Repeat], totals: Sequence[Energy] | None, tolerance: float | None) -> Widening:
    """Return the widening of the intervals of a point by its energy; without `totals`, by its speed."""
    rates = [1 / seconds_per_inference(repeat) for repeat in repeats]
    return interval_widening([energy.joules for energy in totals or ()], rates, tolerance)


def _mean_length(lengths: Lengths | None, tokens: float | None) -> float | None:
    """Return the mean length of requests whose lengths are known, else the `tokens` of a window over its work."""
    return lengths.mean if lengths else tokens


def _energy(
    repeats: Sequence[Repeat],
    shared: _SharedInputs,
    found: Sequence[SensorWindows],
    unloaded: Sequence[Window],
    background_share: float | None,
    load: PointLoad | None,
    widening: Widening,
) -> PointEnergy:
    """Return the energy of a point whose windows all have one; that of a load is uncertain by the cut requests."""
    sensors = shared.sensors
    own = found if load is None else widen_edges(found, load)
    totals = joules_per_inference(repeats, sensors.total_of(own)) or []
    return point_energy(repeats, sensors, own, totals, unloaded, background_share, widening)


def _evidence(
    repeats: tuple[Repeat, ...],
    shared: _SharedInputs,
    found: Sequence[SensorWindows],
    totals: Sequence[Energy] | None,
    serving: ServingEvidence | None,
) -> Evidence:
    sensors, known = shared.sensors, shared.run_environment
    joules = tuple(energy.joules for energy in totals or ())
    rates = tuple(1 / seconds_per_inference(repeat) for repeat in repeats)
    all_windows = [window for repeat in repeats for window in repeat]
    state = conditions(repeats, known, shared.idle)
    return Evidence(
        windows=repeats,
        energies=tuple(w for reading in sensors.total_of(found) for own in reading.windows for w in own),
        devices_expected=len(sensors.coverage.includes),
        sampling_period_seconds=sensors.sampling_period_seconds,
        joules_per_inference=joules,
        rates=rates,
        agreement=cross_check(found, sensor_windows(repeats, sensors.redundant_gauges)),
        precision=precision(joules, rates, known.tolerance, known.equivalent.get(repeats[0][0].point)),
        conditions=state,
        processors=max((load.processors for load in known.loads.values()), default=0),
        idle_drift=shared.drift,
        watts=power_by_repeat(repeats, totals),
        power_profiles=power_within(repeats, sensors),
        changed_settings=changed_settings(known, state.devices, power_limits(all_windows, known)),
        silent_devices=known.silent,
        mode=known.mode,
        faults=known.faults,
        serving=serving,
    )


def _serving_evidence(
    shared: _SharedInputs, load: PointLoad | None, figures: ServingFigures | None, times: RequestTimes
) -> ServingEvidence | None:
    if load is None or figures is None:
        return None
    typical = times.first_token or times.latency
    return ServingEvidence(
        figures=figures,
        typical_seconds=typical.p50 if typical else 0.0,
        capped=any(report.capped for report in load.reports),
        without_counts=load.without_counts,
        idle_watts=loaded_watts(shared.idle, shared.sensors),
    )


def _background_share(totals: Sequence[Energy] | None, known: Sequence[Energy]) -> float:
    """Return the share of other programs in the total: the part by which the lower bounds were widened."""
    whole = sum(total.joules for total in totals or ())
    theirs = sum(total.lower - own.lower for total, own in zip(totals or (), known, strict=True))
    return theirs / whole if whole else 0.0


def _phases(repeats: Sequence[Repeat], load: PointLoad | None) -> tuple[PhaseSpeed, ...]:
    """Return the speed of each phase; none if the latencies of single requests are unknown."""
    if load is not None and load.totals:
        return ()
    found = []
    for windows in zip(*repeats, strict=True):
        own = [latency for window in windows for latency in window.latencies_seconds]
        found.append(
            PhaseSpeed(
                phase=windows[0].phase,
                repeats=len(windows),
                iterations=sum(window.iterations for window in windows),
                inferences=sum(window.inferences for window in windows),
                input_tokens=sum(window.input_tokens for window in windows),
                output_tokens=sum(window.output_tokens for window in windows),
                duration_seconds=sum(window.seconds for window in windows),
                latency_seconds=summarize_latencies(own) if load is None else latencies(load),
            )
        )
    return tuple(found)
