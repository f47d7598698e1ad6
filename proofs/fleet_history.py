"""A day of the host totals of a simulated fleet in VictoriaMetrics, with the rules of a fleet recorded over it."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import fleet_servers
import numpy as np
from fleet_progress import progress

import simulated_fleet
from simulated_fleet import COST, TOTAL, WATTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fleet_servers import Server

    from simulated_fleet import Fleet

HISTORY_SECONDS = 60.0
"""The time between two samples of the imported day."""
DAY_SECONDS = 86_400
_BLOCK_HOSTS = 50
_HISTORY = (TOTAL, WATTS, COST)


def server_with_history(folder: Path, fleet: Fleet, groups: Sequence[Mapping[str, Any]]) -> tuple[Server, float]:
    """Import a day of the host totals, record the rules over it, and return the server with the time of the latter."""
    server = fleet_servers.victoria_metrics(folder)
    now = time.time() // HISTORY_SECONDS * HISTORY_SECONDS
    with fleet_servers.started(server):
        for block in _history(fleet, groups, now - DAY_SECONDS, now):
            request = urllib.request.Request(f"{server.url}/api/v1/import", data=block, method="POST")
            with urllib.request.urlopen(request, timeout=300):
                pass
        began = time.monotonic()
        progress("recording the rules over the day")
        fleet_servers.replay(folder, server, HISTORY_SECONDS, now - DAY_SECONDS, now)
        took = time.monotonic() - began
    return server, took


def _history(fleet: Fleet, groups: Sequence[Mapping[str, Any]], start: float, end: float) -> Iterator[bytes]:
    """Yield the host totals of a time as lines of JSON, some hosts at a time."""
    at = np.arange(start, end, HISTORY_SECONDS)
    times = json.dumps([round(each * 1000) for each in at])
    lines: list[str] = []
    for group in groups:
        for target in group["targets"]:
            host = simulated_fleet.host_of(target)
            joules = fleet.joules(host, at)
            values = {
                TOTAL: joules,
                WATTS: fleet.joules(host, at + 1.0) - joules,
                COST: joules * simulated_fleet.PRICE_PER_JOULE,
            }
            for sample in (each for each in fleet.page(host).samples if each.name in _HISTORY):
                own = {"__name__": sample.name, "job": "inferometer", "instance": target}
                labels = {**own, **group["labels"], **sample.labels}
                shown = json.dumps(np.round(values[sample.name], 6).tolist())
                lines.append(f'{{"metric":{json.dumps(labels)},"values":{shown},"timestamps":{times}}}')
            if len(lines) >= _BLOCK_HOSTS * len(_HISTORY):
                yield "\n".join(lines).encode()
                lines = []
    yield "\n".join(lines).encode()
