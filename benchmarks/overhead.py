"""Measures the cost of the whole service with its store: CPU time and memory, by rate and number of channels.

The service reads a simulated host on tmpfs, powercap zones and hwmon chips. Three loops read the same files at the same
rate beside it: one in C that stores the same rows in a SQLite file of its own (reading.c), a minimal one in Python
(reading.py), and one in C that appends the values to a plain file, which no service with queries can undercut.
Then the service runs beside CodeCarbon and perun, each at its default interval, on one host whose counters move. A
share is of one CPU: the median of some periods, with the least and the most.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c_programs import compile_program
from discovering import Discovery, discovery_without_sensors
from family_host import family_host, reading_probes
from peer_environments import PEERS, Peer, PeerUnavailableError, python_of
from process_usage import Share, resident_mib, shares
from reporting import Bar, arguments, finish, table
from simulated_powercap import Zone, simulated_powercap
from static_host import StaticHost, daemon, static_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATES_HZ, CHANNELS = (1, 10, 100, 1000), (10, 50, 200)
QUICK = ((10, 50), (1000, 10))
SECONDS = {1: 12.0, 10: 6.0, 100: 4.0, 1000: 4.0}
STRETCHES = 4
SETTLE_SECONDS = 2.0
FAMILY_CHANNELS, FAMILY_LIMITS_PERCENT = 200, {1: 0.2, 10: 1.0}
LIMITS_PERCENT = {(1, 50): 0.05, (10, 50): 0.25, (100, 50): 2.0, (1000, 10): 5.0}
MOST_TIMES_C = 2.0
MOST_DISCOVERY_SECONDS = 0.2
DISCOVERIES, QUICK_DISCOVERIES = 9, 3
MOST_MIB = 50.0
FEWEST_TIMES_LESS = 5.0
PEER_SECONDS, PEER_START_SECONDS = 30.0, 12.0
MINIMAL_PROGRAM = (sys.executable, "-I", "-S", Path(__file__).parent / "reading.py")
WHY = "after each sleep code and values have left the caches, and Python has more of both"
KEPT_IN_MEMORY = "its readings stay in memory; ours are in the database within a second"
ZONES = (
    Zone("intel-rapl:0", "package-0", 1.0),
    Zone("intel-rapl:0:0", "core", 0.7),
    Zone("intel-rapl:0:1", "dram", 0.2),
)


@dataclass(frozen=True, slots=True)
class Row:
    """The service and the loops at one rate, on one number of channels: in C, in Python, and in C without SQLite."""

    rate_hz: int
    channels: int
    service: Share
    loop: Share
    barest: Share
    plain: Share
    mib: float

    @property
    def setting(self) -> str:
        """The setting as text."""
        return f"{self.rate_hz} Hz x {self.channels}"


@dataclass(frozen=True, slots=True)
class PeerComparison:
    """A peer at its own interval, and the service at the same; `reason` explains a missing share of the peer."""

    peer: str
    interval_seconds: float
    theirs: Share | None = None
    ours: Share | None = None
    reason: str = ""

    @property
    def times_less(self) -> float:
        """The peer's cost divided by the service's."""
        return self.theirs.over(self.ours) if self.theirs and self.ours else 0.0


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """The service at one rate on a host with sensors of many families.

    Beside it, one on as many channels of two families, and a loop that reads the same probes and stores nothing.
    """

    rate_hz: int
    channels: int
    by_family: str
    service: Share
    of_two: Share
    reads: Share
    mib: float

    @property
    def setting(self) -> str:
        """The setting as text."""
        return f"{self.rate_hz} Hz x {self.channels}"


def main() -> None:
    """Measure the settings and then the peers, and compare both with their limits."""
    options = arguments(__doc__.splitlines()[0])
    settings = QUICK if options.quick else tuple((rate, count) for rate in RATES_HZ for count in CHANNELS)
    rows = [measured(rate, count, 2.0 if options.quick else SECONDS[rate]) for rate, count in settings]
    table(
        "The service and its store, beside a loop in C (percent of one processor; median, least to most)",
        ("SETTING", "SERVICE>", "", "US A READ>", "C, SQLITE>", "US A READ>", "TIMES C>", "BAREST PYTHON>", "TIMES C>",
         "C, FILE>", "RESIDENT MIB>"),
        [
            (row.setting, row.service.median, _spread(row.service), _us(row, row.service), row.loop.median,
             _us(row, row.loop), row.service.over(row.loop), row.barest.median, row.barest.over(row.loop),
             row.plain.median, row.mib)
            for row in rows
        ],
    )  # fmt: skip
    beside = [] if options.quick else [compare_with_peer(peer) for peer in PEERS if peer.interval_seconds]
    if beside:
        table(
            "The service beside others, at their intervals (percent of one CPU)",
            ("PEER", "INTERVAL S>", "THEIRS>", "OURS>", "TIMES LESS>", "NOTE"),
            [
                (each.peer, each.interval_seconds, each.theirs.median if each.theirs else "-",
                 each.ours.median if each.ours else "-", each.times_less or "-", each.reason)
                for each in beside
            ],
        )  # fmt: skip
    families = [measured_families(rate, 2.0 if options.quick else SECONDS[rate]) for rate in FAMILY_LIMITS_PERCENT]
    table(
        "The service with sensors of many families (percent of one CPU)",
        (
            "SETTING",
            "SERVICE>",
            "",
            "READS ALONE>",
            "TIMES>",
            "OF TWO FAMILIES>",
            "RESIDENT MIB>",
            "CHANNELS BY FAMILY",
        ),
        [
            (
                row.setting,
                row.service.median,
                _spread(row.service),
                row.reads.median,
                row.service.over(row.reads),
                row.of_two.median,
                row.mib,
                row.by_family,
            )
            for row in families
        ],
    )
    found = discovery_without_sensors(QUICK_DISCOVERIES if options.quick else DISCOVERIES)
    table(
        "Discovery on a host without any sensor (milliseconds of CPU time, imports included)",
        ("FAMILY", "MEDIAN ms>"),
        [("all, in parallel", found.median * 1e3), *((name, spent * 1e3) for name, spent in found.families.items())],
    )
    figures = {
        "service": [asdict(row) for row in rows],
        "peers": [asdict(each) for each in beside],
        "families": [asdict(row) for row in families],
        "discovery": asdict(found),
    }
    finish(options.json, figures, [*bars(rows, beside), *map(family_bar, families), discovery_bar(found)])


def measured(rate_hz: int, channels: int, seconds: float) -> Row:
    """Run the service and the loop in C side by side."""
    with (
        static_host(channels) as host,
        daemon(host, 1 / rate_hz) as service,
        loop_program(host, rate_hz, "loop.db", [compile_program("reading", static=False)]) as loop,
        loop_program(host, rate_hz, "barest.db", MINIMAL_PROGRAM) as barest,
        loop_program(host, rate_hz, "loop", [compile_program("reading", static=False)]) as plain,
    ):
        time.sleep(SETTLE_SECONDS)
        found = shares((service.pid, loop.pid, barest.pid, plain.pid), seconds, STRETCHES)
        return Row(rate_hz, channels, *found, resident_mib(service.pid))


def measured_families(rate_hz: int, seconds: float) -> FamilyRow:
    """Run the service on a host of many families, a loop that reads it, and the service on one of two families."""
    with (
        family_host(FAMILY_CHANNELS) as made,
        static_host(FAMILY_CHANNELS) as host,
        daemon(made.host, 1 / rate_hz) as service,
        daemon(host, 1 / rate_hz) as of_two,
        reading_probes(made.host, rate_hz) as reads,
    ):
        time.sleep(SETTLE_SECONDS)
        found = shares((service.pid, of_two.pid, reads.pid), seconds, STRETCHES)
        by_family = ", ".join(f"{family} {count}" for family, count in made.channels.items())
        return FamilyRow(rate_hz, sum(made.channels.values()), by_family, *found, resident_mib(service.pid))


@contextmanager
def loop_program(
    host: StaticHost, rate_hz: int, output: str, program: Sequence[str | Path]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a loop on the files of a host, into a SQLite file if `output` ends in .db."""
    line = [*program, str(round(1e9 / rate_hz)), host.folder / output, *host.files]
    process = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or process.stdout.readline() != b"reading\n":
            raise RuntimeError(f"{program[-1]} does not read: it ended with {process.wait()}")
        yield process
    finally:
        process.kill()
        process.communicate()


def compare_with_peer(peer: Peer) -> PeerComparison:
    """Let a peer and the service measure one host whose counters move, at the same interval."""
    interval = peer.interval_seconds
    seconds = max(PEER_SECONDS, 2 * interval)
    try:
        python = python_of(peer)
    except PeerUnavailableError as error:
        return PeerComparison(peer.name, interval, reason=f"it cannot be installed: {error}")
    with simulated_powercap(ZONES, 100.0) as made, static_host(0) as home:
        host = StaticHost(home.folder, made.sysfs, ())
        window = ["100", str(PEER_START_SECONDS + seconds + 60.0)]
        line = made.seen_by([python, peer.script, made.page, interval, 1, "-", *window])
        with daemon(host, interval) as service:
            theirs = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
            try:
                time.sleep(PEER_START_SECONDS)
                if theirs.poll() is not None:
                    said = (theirs.stderr.read() if theirs.stderr else b"").decode(errors="replace").strip()
                    return PeerComparison(peer.name, interval, reason=f"it ended: {said.splitlines()[-1:]}")
                found = shares((theirs.pid, service.pid), seconds, 2)
            finally:
                os.killpg(theirs.pid, signal.SIGKILL)  # with its helpers
                theirs.communicate()
    return PeerComparison(peer.name, interval, *found)


def bars(rows: Sequence[Row], beside: Sequence[PeerComparison]) -> list[Bar]:
    """Return every limit that was measured."""
    found = []
    for row in rows:
        limit = LIMITS_PERCENT.get((row.rate_hz, row.channels))
        if limit is None:
            continue
        service, loop = row.service, row.loop
        note = f"C: {loop.median:.3g} %, barest Python: {row.barest.median:.3g} %; {WHY}"
        found.append(
            Bar(f"share, {row.setting}", service.median, limit, "%", lower=service.least, upper=service.most, note=note)
        )
        note = f"barest Python: {row.barest.over(loop):.3g} times; {WHY}"
        found.append(Bar(f"times the loop in C, {row.setting}", service.over(loop), MOST_TIMES_C, note=note))
    small = [row for row in rows if (row.rate_hz, row.channels) == (1, 50)]
    found += [Bar("resident, 1 Hz x 50", row.mib, MOST_MIB, "MiB") for row in small]
    for each in beside:
        name = f"times less than {each.peer} at {each.interval_seconds:g} s"
        note = each.reason or KEPT_IN_MEMORY
        found.append(Bar(name, each.times_less, FEWEST_TIMES_LESS, at_least=True, note=note))
    return found


def family_bar(row: FamilyRow) -> Bar:
    """Return the limit of the service with sensors of many families: as many times that of 50 channels."""
    spread = {"lower": row.service.least, "upper": row.service.most}
    limit = FAMILY_LIMITS_PERCENT[row.rate_hz]
    note = f"as many channels of two families: {row.of_two.median:.3g} %; each driver has a thread of its own"
    return Bar(f"share, families, {row.setting}", row.service.median, limit, "%", **spread, note=note)


def discovery_bar(found: Discovery) -> Bar:
    """Return the limit of discovery on a host without any sensor."""
    spread = {"lower": found.least, "upper": found.most}
    return Bar("CPU time of discovery without sensors", found.median, MOST_DISCOVERY_SECONDS, "s", **spread)


def _spread(share: Share) -> str:
    return f"{share.least:.3g} to {share.most:.3g}"


def _us(row: Row, share: Share) -> float:
    return share.median * 1e4 / row.rate_hz


if __name__ == "__main__":
    sys.exit(main())
