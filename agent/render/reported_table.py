"""The table of the own figures of a tool whose results were imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.tables import plain, titled_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Json = dict[str, Any]
_COLUMNS = ("mean", "p50", "p90", "p99")
_LATENCIES = {
    "time_to_first_token_seconds": "TTFT",
    "inter_token_latency_seconds": "ITL",
    "inter_chunk_latency_seconds": "chunk gap",
    "time_per_output_token_seconds": "TPOT",
    "request_latency_seconds": "E2E",
}
_MILLISECONDS = 1e3


def reported_table(points: Sequence[_Json], width: int) -> str:
    """Return the latencies that a tool reports, a row for each; empty without any."""
    rows = [row for point in points for row in _rows(point)]
    if not rows:
        return ""
    report = next(report for point in points for report in point["reported"])
    tool = " ".join(filter(None, (report["tool"], report["version"])))
    title = f"As {tool} reports them, in ms, by its own definitions (docs/import.md)."
    return titled_table(title, ["POINT", "LATENCY", *(f"{c}>" for c in _COLUMNS)], rows, width)


def _rows(point: _Json) -> Iterator[list[str]]:
    for report in point.get("reported", ()):
        for name, words in _LATENCIES.items():
            if own := report["figures"].get(name):
                values = (own[column] for column in _COLUMNS)
                yield [
                    point["name"],
                    words,
                    *(plain(None if value is None else value * _MILLISECONDS) for value in values),
                ]
