"""Builds the profile document of an import: windows over stored samples, and the figures of the tool."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from agent.host.records import CONDITION_METRICS, RunEnvironment
from agent.imports.uncertain_time import UncertainTimeEnergy
from agent.imports.values import shown
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.document.codec import coverage_facts, device_facts, host_facts
from agent.profiling.points import analyze
from agent.profiling.records import SCHEMA_VERSION, Document
from agent.profiling.run_facts import EngineFacts, HostState, PlanFacts, WorkloadFacts, checked
from agent.profiling.tool_records import ToolReport
from agent.profiling.validation.evidence import IMPORTED
from agent.workloads.point import decode_point, encode_point
from probes.model import ENERGY_METRICS, Source
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.tariff import Tariff
    from agent.imports.records import ToolRun
    from agent.imports.samples import StoredSamples
    from agent.imports.windows import PlacedRun
    from agent.profiling.records import Point
    from agent.profiling.run_facts import CheckResult
    from agent.workloads.point import Value
    from store.records import Host, Run, Window

NOT_OBSERVED = {
    "settings_unchanged": "the governors and limits of the host were not read during the load",
    "cpu_quota_not_reached": "the quotas of the server and of the client are unknown",
    "arrivals_uncapped": "the tool does not state whether it sent every request when it was due",
    "server_elsewhere": "without an idle baseline the samples do not show whether the server ran on the measured host",
}
"""The checks that need an observer during the load, with the reason why an import has none."""


def build_document(
    run: Run,
    host: Host,
    placed: Sequence[PlacedRun],
    windows: Sequence[Window],
    samples: StoredSamples,
    tariff: Tariff | None,
    created_ns: int,
) -> Document:
    """Return the profile of the windows, each of which belongs to the run at its position."""
    energetic = (each for each in samples.series if each.channel.metric in ENERGY_METRICS)
    halves_ns = {
        (window.start_ns, window.end_ns): each.start.half_ns for window, each in zip(windows, placed, strict=True)
    }
    sensors = Sensors.of(
        energetic,
        samples.sampling_period_seconds,
        samples.channels,
        lambda series: UncertainTimeEnergy(series, halves_ns),
    )
    points = analyze(windows, sensors, tariff, _environment(samples))
    first = placed[0].run
    return Document(
        schema="inferometer.profile",
        schema_version=SCHEMA_VERSION,
        id=run.id,
        created=datetime.fromtimestamp(created_ns // 10**9, UTC).isoformat(timespec="seconds"),
        inferometer_version=version("inferometer"),
        status=RunStatus.COMPLETE,
        plan=_plan(placed),
        host=host_facts(host),
        engine=_engine(first),
        workload=_workload(first),
        devices=device_facts(samples.channels, sensors.coverage),
        coverage=coverage_facts(sensors.coverage, samples.channels),
        host_state=HostState(None, None),
        sampler=None,
        baselines=(),
        idle_drift=(),
        points=tuple(_completed(point, placed) for point in points),
        tariff=tariff,
        notes=_notes(placed, host),
    )


def _environment(samples: StoredSamples) -> RunEnvironment:
    measuring = {c.device.id for c in samples.channels if c.metric in ENERGY_METRICS and c.source is Source.MEASURED}
    reporting = {
        each.channel.device.id for each in samples.series if each.channel.metric in ENERGY_METRICS and each.times_ns
    }
    return RunEnvironment(
        series=tuple(each for each in samples.series if each.channel.metric in CONDITION_METRICS),
        silent=tuple(sorted(measuring - reporting)),
        mode=IMPORTED,
    )


def _completed(point: Point, placed: Sequence[PlacedRun]) -> Point:
    """Return a point with the figures of the tool, and with the checks that nobody could make as unknown."""
    own = [each for each in placed if decode_point(encode_point(each.run.parameters)) == point.parameters]
    return msgspec.structs.replace(
        point,
        checks=tuple(_observed(check) for check in point.checks),
        reported=tuple(_report(each) for each in own),
    )


def _observed(check: CheckResult) -> CheckResult:
    reason = NOT_OBSERVED.get(check.name)
    return check if reason is None or check.failed else checked(check.name, None, reason, check.severity)


def _report(placed: PlacedRun) -> ToolReport:
    run = placed.run
    return ToolReport(
        tool=run.tool,
        version=run.version,
        file=run.file.rpartition("/")[2],
        started=shown(placed.start.middle_ns),
        duration_seconds=run.duration_ns / 1e9,
        start_uncertainty_seconds=placed.start.half_ns / 1e9,
        figures=dict(run.figures),
    )


def _plan(placed: Sequence[PlacedRun]) -> PlanFacts:
    points = [encode_point(each.run.parameters) for each in placed]
    sweep: dict[str, list[Value]] = {}
    for each in placed:
        for name, value in each.run.parameters.items():
            values = sweep.setdefault(name, [])
            if value not in values:
                values.append(value)
    return PlanFacts(
        mode=IMPORTED,
        idle_seconds=0.0,
        warmup_seconds=0.0,
        repeats=max(map(points.count, points)),
        window_seconds=min(each.run.duration_ns for each in placed) / 1e9,
        min_iterations=1,
        tolerance=None,
        budget_seconds=None,
        limiting_sensor=None,
        sweep=sweep,
        order_seed=None,
    )


def _engine(run: ToolRun) -> EngineFacts:
    engine = run.engine
    if engine is None:
        return EngineFacts("unknown", "", "server", None)
    return EngineFacts(engine.name, engine.version, engine.provider, engine.threads)


def _workload(run: ToolRun) -> WorkloadFacts:
    engine, settings = run.engine, {"workload": run.tool, "tool_version": run.version, "model": run.model}
    return WorkloadFacts(
        name=run.tool,
        settings={name: value for name, value in settings.items() if value is not None},
        precision=engine.precision if engine else None,
        parameter_count=engine.parameter_count if engine else None,
        model_bytes=engine.model_bytes if engine else None,
        model_sha256=None,
    )


def _notes(placed: Sequence[PlacedRun], host: Host) -> tuple[str, ...]:
    first = placed[0].run
    tool = f"{first.tool} {first.version}" if first.version else first.tool
    files = ", ".join(dict.fromkeys(each.run.file.rpartition("/")[2] for each in placed))
    notes = [f"imported from {files} of {tool}; the energy is that of {host.name} in the stored samples"]
    half_ns = max(each.start.half_ns for each in placed)
    if half_ns:
        notes.append(
            f"the result gives its start to within ±{half_ns / 1e9:.3g} s only: the bounds of the energy contain "
            "every start within that"
        )
    notes.append("no idle baseline was measured: the energy includes idle power, and is not split")
    points = [encode_point(each.run.parameters) for each in placed]
    if len(points) == len(set(points)):
        notes.append("one run of each point: the intervals have the bounds of the sensors, not the spread of runs")
    if any(each.run.totals for each in placed):
        notes.append("the result has no single requests: latencies are those that the tool reports, without a check")
    cut = sum(each.run.in_flight_end for each in placed)
    if cut:
        notes.append(f"the tool ended {cut} requests unfinished: the energy includes them, the counts do not")
    return tuple(notes)
