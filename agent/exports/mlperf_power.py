"""Logs like those of a power submission to MLPerf Inference: of LoadGen, and of the meter. Not an MLPerf result.

A run has a folder with `mlperf_log_detail.txt`, `mlperf_log_summary.txt` and `spl.txt`. The format of the first two:
https://github.com/mlcommons/inference, folder loadgen; of the power: https://github.com/mlcommons/power-dev.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from agent.exports.costs import left_out
from agent.exports.records import Exported, Exporter, ExportError
from agent.profiling.analysis.statistics import percentile
from agent.render.profile_summary import model_name
from agent.runtime.console import printable_line
from agent.workloads.load_records import LoadWindow
from agent.workloads.point import decode_point, point_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.exports.records import ExportRequest
    from agent.exports.run_power import PoweredWindow
    from agent.profiling.records import Document
    from store.records import Window

_LEAST_SECONDS = 10
"""The meter of MLPerf reads once a second."""
_LEAST_PARTS = 5
_PHASES = {"serving", "inference"}
"""The phases that execute whole requests."""
_WARNING = "NOT an MLPerf result: measured by Inferometer, without LoadGen, without the meter and the rules of MLPerf"
_README = f"""{_WARNING}.
The files have the layout of MLPerf's logs, so that tools that read those logs can read them.

Scenario/POINT/performance/run_N is repeat N of a point. Every run is INVALID. The power in spl.txt is the mean of
seconds, of the boundary {{boundary}}, {{source}}; the mark of each line says so. Voltage, current and power factor are
not measured (nan). The folders power and ranging, with the log of the meter's program, do not exist.
Profile: {{profile}}
"""
_PERCENTILES = (50, 90, 95, 99)
_NANOSECONDS = 1e9


def _export(request: ExportRequest) -> Exported:
    if len(request.documents) > 1:
        raise ExportError(["one profile: its points and repeats are the runs"])
    document = request.documents[0]
    defensible = [point.parameters for point in document.points if point.energy is not None]
    runs = [each for each in request.windows(document) if decode_point(each.window.point) in defensible]
    missing = list(_missing(document, runs))
    if missing:
        raise ExportError(missing, "" if document.coverage.source is None else _command(document))
    source = str(document.coverage.source)
    texts = {"boundary": document.coverage.boundary, "source": source, "profile": _mark(document.id)}
    files = {"NOT_AN_MLPERF_RESULT.txt": _README.format(**texts)}
    for run in runs:
        files |= _run(document, run, source)
    notes = (_WARNING, f"the power is {source}", *left_out(document))
    return Exported({name: text.encode() for name, text in files.items()}, notes)


EXPORTER = Exporter(
    name="mlperf-power",
    summary="logs in the layout of MLPerf's power submissions, which are not an MLPerf result",
    files=_export,
    folder=True,
)


def _command(document: Document) -> str:
    name = document.workload.name
    if name == "transformer":
        return "inferometer profile onnx --model MODEL.onnx --standard"
    return f"inferometer profile {name} ... --standard"


def _missing(document: Document, runs: Sequence[PoweredWindow]) -> Iterator[str]:
    if document.coverage.source is None:
        yield f"{document.id}: power (`inferometer doctor` names the sensors)"
    elif not {phase.phase for point in document.points for phase in point.phases} <= _PHASES:
        yield f"{document.id}: whole requests; its phases were measured one by one"
    elif not any(point.energy for point in document.points):
        yield f"{document.id}: a point with energy (`inferometer profiles show {document.id}` names the failed checks)"
    elif not runs:
        yield f"{document.id}: its stored samples: export it by its id from the database of the host that measured it"
    elif any(len(each.power) < _LEAST_PARTS or each.window.seconds < _LEAST_SECONDS for each in runs):
        yield f"{document.id}: windows of at least {_LEAST_SECONDS} s with power throughout"


def _run(document: Document, run: PoweredWindow, source: str) -> dict[str, str]:
    window, point = run.window, decode_point(run.window.point)
    scenario, name = _scenario(window, point), point_name(point)
    values = _values(window, scenario)
    folder = f"{scenario}/{_slug(name) or 'point'}/performance/run_{window.repeat}"
    model = model_name(msgspec.to_builtins(document.workload))
    return {
        f"{folder}/mlperf_log_detail.txt": _detail(window, {"sut_name": model, **values}),
        f"{folder}/mlperf_log_summary.txt": _summary(model, scenario, values),
        f"{folder}/spl.txt": _meter(run, _mark(f"{document.id} {source}")),
    }


def _scenario(window: Window, point: Mapping[str, Any]) -> str:
    """Return the scenario that resembles the load most: arrivals of an open loop, one request at a time, or batches."""
    load = _load(window)
    if load is not None and load.arrivals in {"poisson", "constant"}:
        return "Server"
    at_once = point.get("batch" if load is None else "concurrency", 1)
    return "SingleStream" if at_once == 1 else "Offline"


def _load(window: Window) -> LoadWindow | None:
    return None if window.load is None else msgspec.json.decode(window.load, type=LoadWindow)


def _values(window: Window, scenario: str) -> dict[str, Any]:
    """Return the entries of LoadGen's log with its names: rates per second, latencies in nanoseconds."""
    load = _load(window)
    latencies = (
        list(window.latencies_seconds)
        if load is None
        else [each.end_to_end_seconds for each in load.requests if each.ok]
    )
    work = window.inferences if window.requests_in_window is None else window.requests_in_window
    completed = "completed_" if scenario == "Server" else ""
    rate = "result_completed_samples_per_sec" if completed else "result_samples_per_second"
    values: dict[str, Any] = {
        "effective_scenario": scenario,
        "effective_test_mode": "PerformanceOnly",
        "effective_samples_per_query": 1,
        "power_begin": _time(window.start_ns),
        "power_end": _time(window.end_ns),
        "result_validity": "INVALID",
        "result_query_count": len(latencies) or window.inferences,
        rate: work / window.seconds,
    }
    if window.output_tokens:
        values[f"result_{completed}tokens_per_second"] = window.output_tokens / window.seconds
    if latencies:
        values["result_mean_latency_ns"] = round(sum(latencies) / len(latencies) * _NANOSECONDS)
        for each in _PERCENTILES:
            values[f"result_{each}.00_percentile_latency_ns"] = round(percentile(latencies, each / 100) * _NANOSECONDS)
    return values


def _detail(window: Window, values: Mapping[str, Any]) -> str:
    start = datetime.fromtimestamp(window.start_ns / _NANOSECONDS, UTC)
    entries = {"generic_message": _WARNING, "test_datetime": start.strftime("%Y-%m-%dT%H:%M:%SZ"), **values}
    elapsed = {"power_end": window.seconds * 1000}
    return "".join(_entry(key, value, elapsed.get(key, 0.0)) for key, value in entries.items())


def _entry(key: str, value: object, time_ms: float) -> str:
    place = {"is_error": False, "is_warning": False, "file": "inferometer", "line_no": 0, "pid": 0, "tid": 0}
    entry = {
        "key": key,
        "value": value,
        "time_ms": time_ms,
        "namespace": "mlperf::logging",
        "event_type": "POINT_IN_TIME",
        "metadata": place,
    }
    return f":::MLLOG {json.dumps(entry, allow_nan=False)}\n"


def _summary(model: str, scenario: str, values: Mapping[str, Any]) -> str:
    lines = [
        f"{_WARNING}.",
        f"SUT name : {json.dumps(model)[1:-1]}",
        f"Scenario : {scenario}",
        "Mode     : PerformanceOnly",
        *(
            f"{key} : {value}"
            for key, value in values.items()
            if key.startswith("result_") and key != "result_validity"
        ),
        "Result is : INVALID",
    ]
    return "\n".join(lines) + "\n"


def _meter(run: PoweredWindow, mark: str) -> str:
    """Return a line of the meter's program for each part of a window."""
    return "".join(
        f"Time,{_time(middle)},Watts,{watts:.6f},Volts,nan,Amps,nan,PF,nan,Mark,{mark}\n" for middle, watts in run.power
    )


def _mark(text: str) -> str:
    """Return a text as the last field of a line."""
    return printable_line(text).replace(",", ";")


def _time(unix_ns: int) -> str:
    moment = datetime.fromtimestamp(unix_ns // 1_000_000 / 1000, UTC)
    return f"{moment:%m-%d-%Y %H:%M:%S}.{unix_ns // 1_000_000 % 1000:03d}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", text).strip("._")[:100]
