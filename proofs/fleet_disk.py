"""Measures the disk of a day of metrics in VictoriaMetrics: pages of simulated hosts are imported, then merged."""

from __future__ import annotations

import http.client
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fleet_hosts
import fleet_servers
from fleet_progress import progress
from reporting import Bar, table

if TYPE_CHECKING:
    from simulated_fleet import Fleet

HOSTS, QUICK_HOSTS = 100, 5
DAY_SECONDS, SCRAPE_SECONDS = 86_400, 60
MERGE_SECONDS = 600.0
LARGEST_BYTES_PER_SAMPLE = 1.5


def prove(quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    """Import a day of whole pages, and return the bytes of a sample and of a series."""
    hosts = QUICK_HOSTS if quick else HOSTS
    with tempfile.TemporaryDirectory(prefix="inferometer-fleet-") as name:
        folder = Path(name)
        fleet = fleet_hosts.fleet(time.time() - 2 * DAY_SECONDS)
        server = fleet_servers.victoria_metrics(folder)
        with fleet_servers.started(server):
            _import(fleet, hosts, int(server.port))
            server.read("internal/force_flush")
            server.read("internal/force_merge")
            time.sleep(2.0)
            deadline = time.monotonic() + MERGE_SECONDS
            while server.own_metrics()["vm_active_force_merges"] and time.monotonic() < deadline:
                time.sleep(1.0)
            own = server.own_metrics()
    rows = own['vm_rows{type="storage/small"}'] + own['vm_rows{type="storage/big"}']
    size = own['vm_data_size_bytes{type="storage/small"}'] + own['vm_data_size_bytes{type="storage/big"}']
    series = sum(len(fleet.page(host).samples) for host in range(hosts))
    figures = {
        "hosts": hosts, "series": series, "samples": rows, "bytes_per_sample": size / rows,
        "index_bytes_per_series": own['vm_data_size_bytes{type="indexdb"}'] / series,
        "bytes_per_host_and_day": size / hosts,
    }  # fmt: skip
    table(
        f"A day of {hosts} hosts in VictoriaMetrics, merged",
        ("SERIES>", "SAMPLES>", "BYTES/SAMPLE>", "INDEX BYTES/SERIES>", "MB/HOST AND DAY>"),
        [(series, int(rows), size / rows, figures["index_bytes_per_series"], size / hosts / 1e6)],
    )
    return figures, [
        Bar("samples that the server lacks", series * DAY_SECONDS / SCRAPE_SECONDS - rows, 0),
        Bar("bytes of a sample", size / rows, LARGEST_BYTES_PER_SAMPLE, note="" if not quick else "few hosts"),
    ]


def _import(fleet: Fleet, hosts: int, port: int) -> None:
    """Import the pages of a day, host by host."""
    end = int(time.time()) // SCRAPE_SECONDS * SCRAPE_SECONDS
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for host in range(hosts):
        if host % 10 == 0:
            progress(f"importing a day: {host} of {hosts} hosts")
        for at in range(end - DAY_SECONDS, end, SCRAPE_SECONDS):
            labels = [("extra_label", "job=inferometer"), ("extra_label", f"instance=host{host}")]
            query = urllib.parse.urlencode([("timestamp", str(at * 1000)), *labels])
            path = f"/api/v1/import/prometheus?{query}"
            connection.request("POST", path, fleet.text(host, float(at)))
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in (200, 204):
                raise SystemExit(f"VictoriaMetrics refuses a page: {content.decode()[:500]}")
    connection.close()
