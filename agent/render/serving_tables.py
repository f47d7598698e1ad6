"""The tables and texts of a load on a server: rates, goodput, latencies, the highest sustainable rate, the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.figures import figure, time_unit
from agent.render.tables import number, percent, plain, titled_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_Json = dict[str, Any]
_COLUMNS = ("mean", "p50", "p90", "p99")
_LATENCIES: Mapping[str, Callable[[_Json], _Json | None]] = {
    "TTFT": lambda point: point["time_to_first_token_seconds"],
    "ITL": lambda point: point["inter_token_latency_seconds"],
    "TPOT": lambda point: point["serving"]["time_per_output_token_seconds"],
    "E2E": lambda point: point["latency_seconds"],
}
_LIMITS = {"ttft_seconds": "TTFT", "tpot_seconds": "TPOT", "e2e_seconds": "E2E"}


def load_table(points: Sequence[_Json], width: int) -> str:
    """Return the rates of requests and tokens, goodput, and errors."""
    level = next((point["serving"]["goodput"]["level"] for point in points if point["serving"]["goodput"]), None)
    tokens = any(point["output_tokens_per_second"] for point in points)
    columns = ["POINT", "REQ/S>"]
    columns += ["OUTPUT TOK/S>"] if tokens else []
    columns += ["GOODPUT/S>", "MET>"] if level else []
    title = "Load."
    if level:
        title += f" GOODPUT/S: requests that met {level_text(level)}; MET: their share (its lower 95 % limit)."
    rows = [_load_row(point, tokens=tokens, level=bool(level)) for point in points]
    return titled_table(title, [*columns, "ERRORS>"], rows, width)


def _load_row(point: _Json, *, tokens: bool, level: bool) -> list[str]:
    serving, rate = point["serving"], point["output_tokens_per_second"]
    row = [point["name"], figure(point["inferences_per_second"])]
    if tokens:
        row.append(plain(rate["mean"]) if rate else "-")
    if level:
        row += _goodput(serving["goodput"])
    return [*row, f"{sum(serving['errors'].values()):,} of {serving['requests']:,}"]


def _goodput(goodput: _Json | None) -> list[str]:
    if goodput is None:
        return ["-", "-"]
    share = f"{percent(goodput['attained'])} ({percent(goodput['attained_lower'])})"
    return [plain(goodput["requests_per_second"]), share]


def level_text(level: Mapping[str, Any]) -> str:
    """Return the limits of a service level: `TTFT 500 ms, E2E 10 s`."""
    return ", ".join(
        f"{words} {number(level[name], 's')}" for name, words in _LIMITS.items() if level[name] is not None
    )


def latency_table(points: Sequence[_Json], width: int) -> str:
    """Return the percentiles of every latency that the points have, a row each; empty without any."""
    found = [(point, name, summary) for point in points for name, of in _LATENCIES.items() if (summary := of(point))]
    if not found:
        return ""
    factor, unit = time_unit([summary["p99"] or summary["p50"] for _, _, summary in found])
    columns = ["POINT", "LATENCY", *(f"{part}>" for part in _COLUMNS), "COUNT>"]
    rows = [
        [point["name"], name, *(_shown(summary[part], factor) for part in _COLUMNS), f"{summary['count']:,}"]
        for point, name, summary in found
    ]
    title = f"Latency in {unit}. {_loop(points)} - is unknown for too few."
    return titled_table(title, columns, rows, width)


def _shown(value: float | None, factor: float) -> str:
    return plain(None if value is None else value * factor)


def _loop(points: Sequence[_Json]) -> str:
    """Return the meaning of the latencies by the kind of arrivals."""
    arrivals = points[0]["serving"]["arrivals"]
    if arrivals == "closed":
        return "N clients, not queueing latency."
    if arrivals == "unknown":
        return "From the send: the times at which requests were due are unknown."
    return "From the intended send, queueing included."


def rate_text(found: _Json | None) -> str:
    """Return the result of the search for the highest sustainable rate, empty without one."""
    if found is None:
        return ""
    target = f"{percent(found['level']['attainment'])} within {level_text(found['level'])}"
    met, missed = found["highest_met"], found["lowest_missed"]
    bracket = f"; {plain(missed)} missed it" if missed is not None else ""
    if found["point"] is not None:
        return f"{plain(met)} requests/s met {target}, confirmed by {found['point']}{bracket}"
    if met is not None:
        return f"{plain(met)} requests/s met {target} in the search, and a fresh run did not confirm it{bracket}"
    return f"none met {target} in {len(found['trials'])} trials{bracket}"


def client_text(points: Sequence[_Json]) -> str:
    """Return the load and the lateness of the client in the worst point, empty if they are unknown."""
    serving = [point["serving"] for point in points if point.get("serving")]
    cpus = [each["client_cpus"] for each in serving if each["client_cpus"] is not None]
    parts = [f"{max(cpus):.2f} CPUs"] if cpus else []
    for name, words in (("send_lag_p99_seconds", "sends"), ("loop_lag_p99_seconds", "event loop")):
        known = [each[name] for each in serving if each[name] is not None]
        if known and max(known):
            parts.append(f"{words} up to {number(max(known), 's')} late (p99)")
    return f"{', '.join(parts)} (worst point)" if parts else ""
