"""Kills the servers of a fleet for ten minutes, and compares the joules that they show with the hosts' own stores.

Six services measure simulated hosts, whose counters move. Two vmagents, one for each site, scrape them and send to one
VictoriaMetrics, where vmalert records the rules of a fleet. One Prometheus scrapes all services directly. Then
VictoriaMetrics, vmalert and Prometheus are killed; meanwhile a service and a vmagent restart.
"""

from __future__ import annotations

import json
import math
import signal
import tempfile
import time
from bisect import bisect_left
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fleet_hosts
import fleet_servers
from fleet_progress import wait
from reporting import Bar, table

import daemons
from store.database import open_database
from store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet_servers import Server

SITES = {"north": (0, 1, 2), "south": (3, 4, 5)}
RESTARTED = "south"
"""The site whose vmagent restarts, which may miss a scrape of each host."""
ENERGY = "inferometer_host_energy_joules_total"
SAMPLED = 'inferometer_probe_sample_timestamp_seconds{probe="rapl"}'
DRAIN_SECONDS = 180.0
"""vmagent tries again at least once a minute."""
AGREEMENT = 1e-9
"""The largest relative difference of joules: that of 64-bit floating point."""
_LARGEST_WAIT_SECONDS = 120.0
_LOST_SECONDS = 10.0
"""A killed VictoriaMetrics loses the last seconds that it has taken."""


@dataclass(frozen=True, slots=True)
class Times:
    """The intervals of scrapes and rules, the time before, during and after the outage, in seconds."""

    scrape: float
    rules: float
    before: float
    outage: float
    after: float


FULL = Times(15.0, 60.0, 180.0, 600.0, 150.0)
QUICK = Times(5.0, 5.0, 30.0, 45.0, 20.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """The energy of a host that a server shows: joules between the samples read at two Unix times."""

    joules: float
    first: float
    last: float


def prove(quick: bool) -> tuple[dict[str, Any], list[Bar]]:
    """Run the outage, and return the figures and the bars."""
    times = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="inferometer-fleet-") as folder, ExitStack() as stack:
        rig = _Rig(Path(folder), times, stack)
        began = rig.run()
        time.sleep(5.0)  # VictoriaMetrics shows samples after a second or two
        return rig.compared(began, time.time())


class _Rig:
    """The hosts and the servers of the proof; they run until the stack closes."""

    def __init__(self, folder: Path, times: Times, stack: ExitStack) -> None:
        self.times = times
        self.homes = [fleet_hosts.create(folder / f"host{number}") for number in range(6)]
        stack.enter_context(fleet_hosts.moving(self.homes))
        self.runs = [stack.enter_context(ExitStack()) for _ in self.homes]
        self.services = [self._serve(number) for number in range(len(self.homes))]
        self.addresses = [service.address for service in self.services]
        self.central = fleet_servers.victoria_metrics(_folder(folder / "central"))
        self.alert = fleet_servers.vmalert(_folder(folder / "vmalert"), self.central, times.rules)
        groups = [self._group(site, number) for site, numbers in SITES.items() for number in numbers]
        scrapes = fleet_servers.config(_folder(folder / "prometheus"), groups, times.scrape)
        self.direct = fleet_servers.prometheus(folder / "prometheus", scrapes)
        self.agents = {}
        for site, numbers in SITES.items():
            own = [self._group("", number) for number in numbers]
            scrapes = fleet_servers.config(_folder(folder / site), own, times.scrape, site=site)
            self.agents[site] = fleet_servers.vmagent(folder / site, scrapes, self.central)
        stack.enter_context(fleet_servers.started(self.central, self.direct, *self.agents.values(), self.alert))

    def _serve(self, number: int) -> daemons.Daemon:
        return self.runs[number].enter_context(daemons.running(self.homes[number]))

    def _group(self, site: str, number: int) -> dict[str, Any]:
        labels = {"rack": "rack1", "owner": "research", **({"site": site} if site else {})}
        return {"targets": [self.addresses[number]], "labels": labels}

    def run(self) -> float:
        """Run the outage, and return the Unix time from which the energy is compared."""
        deadline = time.monotonic() + _LARGEST_WAIT_SECONDS
        while len(self.central.query(ENERGY)) < len(self.homes) or len(self.direct.query(ENERGY)) < len(self.homes):
            if time.monotonic() > deadline:
                raise SystemExit("the servers show no host total of some hosts")
            time.sleep(1.0)
        began = time.time()
        wait("before the outage", self.times.before)
        for server in (self.alert, self.central, self.direct):
            server.stop(signal.SIGKILL)
        wait("outage, first half", self.times.outage / 2)
        self.services[0].end()
        self.runs[0].close()
        self.services[0] = self._serve(0)
        self.agents[RESTARTED].stop()
        self.agents[RESTARTED].start()
        wait("outage, second half", self.times.outage / 2)
        self.queued = sum(map(_queued, self.agents.values()))
        self.central.start()
        self.direct.start()
        returned = time.monotonic()
        while sum(map(_queued, self.agents.values())):
            if time.monotonic() - returned > DRAIN_SECONDS:
                raise SystemExit("the queues of vmagent did not empty")
            time.sleep(0.5)
        self.drained_seconds = time.monotonic() - returned
        self.alert.start()
        wait("after the outage", self.times.after)
        return began

    def compared(self, began: float, ended: float) -> tuple[dict[str, Any], list[Bar]]:
        """Compare the servers with the stores of the hosts, and fill the gap of the recorded series."""
        bars, rows = [], []
        central, direct = (_shown(server, began, ended) for server in (self.central, self.direct))
        errors: dict[str, list[float]] = {"VictoriaMetrics": [], "Prometheus": []}
        fleet = [0.0] * 4
        for home, address in zip(self.homes, self.addresses, strict=True):
            row: list[float] = []
            for name, shown in (("VictoriaMetrics", central[address]), ("Prometheus", direct[address])):
                own = _stored(home, shown)
                errors[name].append(abs(shown.joules - own) / own)
                row += [own, shown.joules]
            rows.append((home.name, *(f"{joules:.6f}" for joules in row)))
            fleet = [total + joules for total, joules in zip(fleet, row, strict=True)]
        rows.append(("fleet", *(f"{joules:.6f}" for joules in fleet)))
        columns = ("HOST", "OWN STORE J>", "VICTORIAMETRICS J>", "OWN STORE J>", "PROMETHEUS J>")
        table("Energy over the outage, between the first and the last scrape of each server", columns, rows)
        for name, relative in errors.items():
            bars.append(Bar(f"{name}: largest relative difference of a host's joules", max(relative), AGREEMENT))
        missing = {site: self._missed(self.central, site, began, ended) for site in SITES}
        lost = 1 + int(_LOST_SECONDS // self.times.scrape)
        limits = {site: len(hosts) * (lost + (site == RESTARTED)) for site, hosts in SITES.items()}
        bars += [
            *(Bar(f"scrapes of the site {site} that did not arrive", missing[site], limits[site]) for site in SITES),
            Bar("bytes in the queues before VictoriaMetrics answered", self.queued, 1, at_least=True),
        ]  # fmt: skip
        gaps = _replayed(self.alert, self.central, self.times.rules, began, ended)
        bars += [
            Bar("intervals without a recorded value before the replay", gaps["missing_before"], 1, at_least=True),
            Bar("intervals without a recorded value after the replay", gaps["missing_after"], 0),
            Bar("recorded values that the replay doubled", gaps["doubled"], 0),
        ]
        figures = {
            "joules": rows, "largest_relative_difference": {name: max(each) for name, each in errors.items()},
            "missing_scrapes": missing, "queued_bytes": self.queued, "drained_seconds": self.drained_seconds, **gaps,
            "missing_scrapes_prometheus": sum(self._missed(self.direct, site, began, ended) for site in SITES),
        }  # fmt: skip
        return figures, bars

    def _missed(self, server: Server, site: str, began: float, ended: float) -> int:
        """Return the scrapes of a site that a server lacks; a failed scrape is a sample of `up` too."""
        missed = 0
        for _, at, _ in server.samples(f'up{{job="inferometer", site="{site}"}}', ended - began, ended):
            missed += round((at[-1] - at[0]) / self.times.scrape) + 1 - len(at)
        return missed


def _replayed(alert: Server, central: Server, seconds: float, began: float, ended: float) -> dict[str, int]:
    """Fill the gap of the recorded series, and return the number of missing and of doubled values."""
    groups = json.loads(alert.read("api/v1/rules"))["data"]["groups"]
    names = [rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "recording"]
    grid = _recorded(central, names, began, ended)
    shown = sorted(set().union(*grid.values()))
    missing = _absent(shown, seconds)
    if missing:
        fleet_servers.replay(alert.folder, central, seconds, missing[0], missing[-1])
    time.sleep(5.0)
    after = _recorded(central, names, began, ended)
    return {
        "rules": len(names),
        "interval_seconds": round(seconds),
        "recorded_series": len(after),
        "missing_before": sum(len(_absent(sorted(set(each)), seconds)) for each in grid.values()),
        "missing_after": sum(len(_absent(sorted(set(each)), seconds)) for each in after.values()),
        "doubled": sum(len(each) - len(set(each)) for each in after.values()),
    }


def _recorded(central: Server, names: Sequence[str], began: float, ended: float) -> dict[str, list[float]]:
    """Return the times of the values of each recorded series."""
    return {
        f"{name}{sorted(labels.items())}": at
        for name in names
        for labels, at, _ in central.samples(f'{{__name__="{name}"}}', ended - began, ended)
    }


def _absent(at: Sequence[float], seconds: float) -> list[float]:
    """Return the times of a grid between the first and the last that are missing."""
    if not at:
        return []
    expected = (at[0] + step * seconds for step in range(round((at[-1] - at[0]) / seconds) + 1))
    return [each for each in expected if each not in set(at)]


def _shown(server: Server, began: float, ended: float) -> dict[str, Shown]:
    """Return the joules of each host between the first and the last scrape."""
    sampled = {labels["instance"]: (at, values) for labels, at, values in server.samples(SAMPLED, ended - began, ended)}
    found = {}
    for labels, at, values in server.samples(ENERGY, ended - began, ended):
        scrapes = [(when, value) for when, value in zip(at, values, strict=True) if not math.isnan(value)]
        times = dict(zip(*sampled[labels["instance"]], strict=True))
        (first, start), (last, end) = scrapes[0], scrapes[-1]
        found[labels["instance"]] = Shown(end - start, times[first], times[last])
    return found


def _stored(home: Path, shown: Shown) -> float:
    """Return the joules between two samples of the store, those read at these times.

    A scrape may fall between the update of a total and that of its time, so the sample before or after counts as well.
    """
    engine = open_database(str(home / "state/inferometer/inferometer.db"), create=False)
    try:
        reader, found = Reader(engine), {}
        for recording in reader.recordings(0, time.time_ns()):
            for series in reader.series(recording.id, 0, time.time_ns(), {"energy_joules"}):
                ends = (at + half for at, half in zip(series.times_ns, series.halves_ns, strict=True))
                for at, value in zip(ends, series.values, strict=True):
                    found.setdefault(at, []).append(value)
    finally:
        engine.dispose()
    ordered = sorted(found)
    totals = [math.fsum(found[at]) for at in ordered]
    first, last = (bisect_left(ordered, round(at * 1e9) - 1_000_000) for at in (shown.first, shown.last))
    near = ((a, b) for a in (first - 1, first, first + 1) for b in (last - 1, last, last + 1))
    pairs = [totals[b] - totals[a] for a, b in near if 0 <= a < b < len(totals)]
    return min(pairs, key=lambda joules: abs(joules - shown.joules))


def _queued(agent: Server) -> float:
    """Return the bytes that wait in the queue of a vmagent; a block that is being sent counts as one byte."""
    own = agent.own_metrics()

    def total(name: str, status: str = "") -> float:
        start = f"vmagent_remotewrite_{name}"
        return sum(value for each, value in own.items() if each.startswith(start) and status in each)

    taken = total("requests_total", "2XX") + total("packets_dropped_total")
    return total("pending_data_bytes") + max(0.0, total("blocks_sent_total") - taken)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
