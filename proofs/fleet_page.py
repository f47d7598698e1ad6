"""Writes the tables of docs/scale.md from the results of `make proof-fleet`: .venv/bin/python proofs/fleet_page.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = Path(__file__).resolve().parent.parent / "docs/scale.md"
_NAMES = {"victoria-metrics": "VictoriaMetrics", "prometheus": "Prometheus"}


def main() -> None:
    """Replace each table between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    runs = _runs()
    tables = {
        "servers": _servers(runs),
        "queries": _queries(runs),
        "outage": _outage(_figures("outage")),
        "disk": _disk(_figures("disk")),
    }
    for name, lines in tables.items():
        pattern = rf"(?s)(<!-- fleet: {name} -->\n).*?(<!-- end of fleet -->)"
        text, count = re.subn(pattern, lambda found, lines=lines: found[1] + "\n".join(lines) + "\n" + found[2], text)
        if count != 1:
            raise SystemExit(f"{PAGE} has no place for the table {name}")
    PAGE.write_text(text, encoding="utf-8")


def _runs() -> Sequence[dict[str, Any]]:
    """Return the last run of each server and size."""
    found = {}
    for path in sorted((CACHE / "results").glob("fleet_scale*.json"), key=lambda path: path.stat().st_mtime):
        if not path.stem.endswith("quick"):
            runs = json.loads(path.read_text(encoding="utf-8"))["figures"]["runs"]
            found.update({(run["server"], run["hosts"]): run for run in runs})
    if not found:
        raise SystemExit('no run is stored: run make proof-fleet PROOF_ARGS="scale"')
    return [found[key] for key in sorted(found, key=lambda key: (key[0] == "prometheus", key[1]))]


def _figures(part: str) -> dict[str, Any]:
    path = CACHE / f"results/fleet_{part}.json"
    if not path.exists():
        raise SystemExit(f'{path} is missing: run make proof-fleet PROOF_ARGS="{part}"')
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def _servers(runs: Sequence[dict[str, Any]]) -> Iterable[str]:
    return _table(
        ("server", "hosts", "series", "samples per second", "CPU", "CPU of the rules", "CPU time a host and minute",
         "memory", "memory a host"),
        (
            (
                _NAMES[run["server"]], f"{run['hosts']:,}", f"{run['series']:,}", f"{run['samples_per_second']:,.0f}",
                f"{100 * run['cpu_share']:.1f} %", f"{100 * run['rules_cpu_share']:.1f} %",
                f"{60_000 * (run['cpu_share'] + run['rules_cpu_share']) / run['hosts']:.1f} ms",
                f"{run['memory_mib']:,.0f} MiB", f"{1024 * run['memory_mib'] / run['hosts']:,.0f} KiB",
            )
            for run in runs
        ),
    )  # fmt: skip


def _queries(runs: Sequence[dict[str, Any]]) -> Iterable[str]:
    columns = ("panel", *(f"{_NAMES[run['server']]}, {run['hosts']:,} hosts" for run in runs))
    rows = ((panel, *(f"{1000 * run['queries'][panel][0]:,.0f} ms" for run in runs)) for panel in runs[0]["queries"])
    return _table(columns, rows)


def _outage(figures: dict[str, Any]) -> Iterable[str]:
    differences = figures["largest_relative_difference"]
    rows = (
        ("largest relative difference of a host's joules, VictoriaMetrics", f"{differences['VictoriaMetrics']:.1g}"),
        ("the same, Prometheus", f"{differences['Prometheus']:.1g}"),
        ("scrapes that VictoriaMetrics lacks, of both sites", f"{sum(figures['missing_scrapes'].values())}"),
        ("scrapes that Prometheus lacks", f"{figures['missing_scrapes_prometheus']}"),
        ("bytes in the queues of vmagent at the end of the outage", f"{figures['queued_bytes']:,.0f}"),
        ("time until the queues were empty", f"{figures['drained_seconds']:.0f} s"),
        (
            "recorded values missing before the replay",
            f"{figures['missing_before']} in {figures['recorded_series']} series",
        ),
        ("after it", f"{figures['missing_after']}"),
        ("recorded values that the replay doubled", f"{figures['doubled']}"),
    )
    return _table(("quantity", "value"), rows)


def _disk(figures: dict[str, Any]) -> Iterable[str]:
    rows = (
        ("hosts, series, samples", f"{figures['hosts']}, {figures['series']:,}, {figures['samples']:,.0f}"),
        ("bytes a sample", f"{figures['bytes_per_sample']:.2f}"),
        ("bytes of index a series", f"{figures['index_bytes_per_series']:.0f}"),
        ("a host and day", f"{figures['bytes_per_host_and_day'] / 1e6:.2f} MB"),
    )
    return _table(("quantity", "value"), rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
