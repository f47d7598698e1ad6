"""Builds a profile of production traffic from stored hours: each hour with requests is a repeat; pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import fmean
from typing import TYPE_CHECKING
from uuid import uuid4

from agent.energy.bounds import Energy
from agent.energy.counted_sensors import Boundary
from agent.energy.provenance import Provenance
from agent.profiling.analysis.intervals import interval, per_token, quantity, token_rate
from agent.profiling.analysis.precision import precision
from agent.profiling.analysis.statistics import summarize
from agent.profiling.device_facts import CoverageFacts, IncludedSensor
from agent.profiling.document.codec import host_facts
from agent.profiling.pricing import price_points
from agent.profiling.records import (
    SCHEMA_VERSION,
    Document,
    EnergyBreakdown,
    Point,
    PointEnergy,
    PointPower,
)
from agent.profiling.run_facts import UNKNOWN_CONDITIONS, EngineFacts, HostState, PlanFacts, WorkloadFacts
from agent.workloads.point import point_name
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.tariff import Tariff
    from store.records import Host, ServingHour

WORKLOAD = "serving"
_HOUR_SECONDS = 3600
_PARTS = ("idle", "attributed")


class NoTrafficError(ValueError):
    """The stored hours of a server do not suffice for a profile; the message has the reason and the remedy."""


def build_production_profile(
    server: str, hours: Sequence[ServingHour], host: Host, tariff: Tariff | None, created_ns: int, kind: str = ""
) -> Document:
    """Return the profile of a server with one point for each model. Raises NoTrafficError.

    An inference is a request. Its energy is the energy attributed to the model, with its share of idle energy.
    """
    if not hours:
        raise NoTrafficError(f"no traffic of {server} is stored for this time; see `inferometer serving history`")
    used = [hour for hour in hours if hour.requests and hour.bins and hour.seconds]
    if not used:
        reason = f"{server} counts no requests, so an inference has no energy"
        if any(hour.requests is not None for hour in hours):
            reason = f"{server} had no request in this time"
        raise NoTrafficError(f"{reason}; `inferometer serving history` has its joules per token")
    if any(not hour.duration for hour in used):
        raise NoTrafficError(f"{server} reports no durations of requests; set the metric `duration` of its [[serving]]")
    models = dict.fromkeys(hour.model for hour in used)
    points = [_point(model, [hour for hour in used if hour.model == model]) for model in models]
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=uuid4().hex,
        created=datetime.fromtimestamp(created_ns // 10**9, UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=RunStatus.COMPLETE,
        plan=_plan(points),
        host=host_facts(host),
        engine=EngineFacts(kind or "unknown", "", "server", None),
        workload=WorkloadFacts(
            WORKLOAD,
            {"server": server, "since": _moment(used[0].hour), "until": _moment(used[-1].hour + 1)},
            None,
            None,
            None,
            None,
        ),
        devices=(),
        coverage=_coverage(server, used),
        host_state=HostState(None, None),
        sampler=None,
        baselines=(),
        idle_drift=(),
        points=price_points(points, (), tariff),
        tariff=tariff,
        notes=_notes(used),
    )


def _coverage(server: str, hours: Sequence[ServingHour]) -> CoverageFacts:
    """Return the coverage: the parts of devices that are attributed to a server count as one sensor."""
    if not any(hour.source for hour in hours):
        return CoverageFacts(Boundary.NONE, (), (), None, None)
    included = IncludedSensor(f"server {server}", "attributed")
    return CoverageFacts(Boundary.COMPONENTS, (included,), ("the rest of the host",), _source(hours), None)


def _plan(points: Sequence[Point]) -> PlanFacts:
    return PlanFacts(
        mode="production",
        idle_seconds=0.0,
        warmup_seconds=0.0,
        repeats=max(point.repeats for point in points),
        window_seconds=float(_HOUR_SECONDS),
        min_iterations=0,
        tolerance=None,
        budget_seconds=None,
        limiting_sensor=None,
        sweep={"model": [str(point.parameters["model"]) for point in points]},
        order_seed=None,
    )


def _point(model: str, hours: Sequence[ServingHour]) -> Point:
    requests = [hour.requests or 0.0 for hour in hours]
    rates = [count / (hour.seconds or 1.0) for count, hour in zip(requests, hours, strict=True)]
    inputs, outputs = _per_request(hours, "input_tokens"), _per_request(hours, "output_tokens")
    totals = [own.times(1 / (hour.requests or 1.0)) for hour in hours if (own := _energy_of(hour))]
    complete = len(totals) == len(hours)
    source, speed = _source(hours), interval(rates)
    energy = _energy(totals, inputs, outputs, hours, source) if complete else None
    parameters: dict[str, str | int | float | bool] = {"model": model}
    tokens = (fmean(inputs) or None, fmean(outputs) or None)
    return Point(
        name=point_name(parameters),
        parameters=parameters,
        valid=energy is not None,
        repeats=len(hours),
        input_tokens_per_inference=tokens[0],
        output_tokens_per_inference=tokens[1],
        mean_latency_seconds=interval(_per_request(hours, "duration")),
        latency_seconds=None,
        time_to_first_token_seconds=None,
        inter_token_latency_seconds=None,
        inferences_per_second=speed,
        input_tokens_per_second=token_rate(inputs, rates),
        output_tokens_per_second=token_rate(outputs, rates),
        phases=(),
        energy=energy,
        power=_power(totals, rates, source) if complete else None,
        cost=None,
        convergence=precision([total.joules for total in totals] if complete else [], rates, None),
        sensor_agreement=(),
        conditions=UNKNOWN_CONDITIONS,
        checks=(),
    )


def _per_request(hours: Sequence[ServingHour], name: str) -> list[float]:
    return [(getattr(hour, name) or 0.0) / (hour.requests or 1.0) for hour in hours]


def _energy_of(hour: ServingHour) -> Energy | None:
    """Return idle and attributed energy of an hour; None if no energy was attributed, as no device is known."""
    parts = [[getattr(hour, f"{part}_{bound}") for bound in ("joules", "lower", "upper")] for part in _PARTS]
    if not hour.source or any(value is None for part in parts for value in part):
        return None
    return Energy(*(math.fsum(values) for values in zip(*parts, strict=True)))


def _energy(
    totals: Sequence[Energy],
    inputs: Sequence[float],
    outputs: Sequence[float],
    hours: Sequence[ServingHour],
    source: Provenance,
) -> PointEnergy:
    estimated = math.fsum(t.joules for t, hour in zip(totals, hours, strict=True) if hour.source != Provenance.MEASURED)
    return PointEnergy(
        joules_per_inference=EnergyBreakdown(quantity(totals, source), None, None),
        repeats=summarize([total.joules for total in totals]),
        estimated_share=estimated / (math.fsum(total.joules for total in totals) or 1.0),
        background_share=None,
        joules_per_input_token=per_token(totals, inputs, source),
        joules_per_output_token=per_token(totals, outputs, source),
        joules_per_total_token=per_token(totals, [a + b for a, b in zip(inputs, outputs, strict=True)], source),
        sensors=(),
        phases=(),
    )


def _power(totals: Sequence[Energy], rates: Sequence[float], source: Provenance) -> PointPower:
    watts = [total.times(rate) for total, rate in zip(totals, rates, strict=True)]
    return PointPower(quantity(watts, source), None, source)


def _source(hours: Sequence[ServingHour]) -> Provenance:
    sources = {hour.source for hour in hours} - {""}
    return Provenance(sources.pop()) if len(sources) == 1 else Provenance.MIXED


def _moment(hour: int) -> str:
    return datetime.fromtimestamp(hour * _HOUR_SECONDS, UTC).isoformat(timespec="minutes")


def _notes(hours: Sequence[ServingHour]) -> tuple[str, ...]:
    censored = sum(hour.censored_bins for hour in hours) / sum(hour.bins for hour in hours)
    basis = "received" if hours[-1].basis == "arrivals" else "finished"
    waited = f"in {100 * censored:.0f} % of the time requests waited or failed, so the demand was higher"
    return (
        "this is production traffic, not a load of known requests: lengths and load are those of the users",
        "the energy is attributed to the server by its share of its devices, and contains idle energy",
        f"each hour with requests is a repeat, and requests count when they are {basis}; {waited}",
    )
