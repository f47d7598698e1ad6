"""Measures known energies with Inferometer and with the peers, on counters that move as those of hardware do.

A process in C writes the powercap counters of a simulated host in place every millisecond, from a page with the steps
of the power, so the true energy of any period of CLOCK_MONOTONIC is known. Every tool finds these counters in /sys, in
a mount namespace of its own, and measures the same work.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from c_programs import HERE, compile_program
from peer_environments import PEERS, Peer, PeerUnavailableError, python_of
from reporting import Bar, arguments, finish, table
from simulated_powercap import Zone, simulated_powercap

LIMIT_PERCENT = 0.5
LONG_SECONDS = 1.0
TIMEOUT_SECONDS = 90.0
OURS = "inferometer"
SETTINGS = ("INFEROMETER_", "XDG_", "CODECARBON_", "PERUN_", "ZEUS_")
_SAID = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A host, and the work that is measured on it: `repeats` windows of the same (watts, seconds)."""

    name: str
    zones: tuple[Zone, ...]
    idle_watts: float
    work: tuple[tuple[float, float], ...]
    repeats: int = 3

    @property
    def seconds(self) -> float:
        """The length of a window in seconds."""
        return round(sum(seconds for _, seconds in self.work), 6)

    def share(self, *names: str) -> float:
        """Return the share of the power that the zones of these names count together."""
        return sum(zone.share for zone in self.zones if zone.name in names)


@dataclass(frozen=True, slots=True)
class Window:
    """One window as a tool measured it, and the truth of the work in it; joules.

    The start and the end of a process belong to a command and not to its work, so the window that our tool reports is
    longer: by `longer_seconds`, at the power that the host draws around the work. `own_percent` is its error over that
    window, and `held` whether its bounds contain the energy of that window.
    """

    joules: float
    truth: float
    longer_seconds: float = 0.0
    own_percent: float | None = None
    held: bool | None = None

    @property
    def error_percent(self) -> float:
        """The error in percent of the truth."""
        return 100 * (self.joules / self.truth - 1)


@dataclass(frozen=True, slots=True)
class Row:
    """A tool on a case: its windows, or the reason for their absence."""

    case: str
    seconds: float
    tool: str
    reads: str
    against: str
    windows: tuple[Window, ...] = ()
    reason: str = ""

    @property
    def worst_percent(self) -> float:
        """The largest error of a window, in percent of its truth."""
        return max((window.error_percent for window in self.windows), key=abs)


PACKAGE, CORE = Zone("intel-rapl:0", "package-0", 1.0), Zone("intel-rapl:0:0", "core", 0.7)
DRAM = Zone("intel-rapl:0:1", "dram", 0.25, 53_190_236_372, 65_712_999_613)
PSYS = Zone("intel-rapl:1", "psys", 1.6, 218_821_284_256)
_BEFORE_WRAP_UJ = 40_000_000
WRAPPING = Zone(PACKAGE.folder, PACKAGE.name, 1.0, PACKAGE.range_uj - _BEFORE_WRAP_UJ)
_UNEVEN = ((90.0, 0.35), (30.0, 0.3), (60.0, 0.35))
CASES = (
    Case("steady", (PACKAGE, CORE), 50.0, ((50.0, 1.0),)),
    Case("DRAM", (PACKAGE, CORE, DRAM), 20.0, _UNEVEN),
    Case("psys present", (PACKAGE, CORE, DRAM, PSYS), 20.0, _UNEVEN),
    # Idle power is so small that the counter wraps in the work, for any start-up time of a tool.
    Case("a wrap inside", (WRAPPING, CORE), 1.0, ((60.0, 2.0),), repeats=1),
    Case("bursts at the edges", (PACKAGE, CORE), 20.0, ((200.0, 0.05), (20.0, 0.9), (200.0, 0.05))),
    Case("ten of 0.2 s", (PACKAGE, CORE), 20.0, ((80.0, 0.2),), repeats=10),
)


def main() -> None:
    """Run every case with every tool and compare ours with its limit."""
    options = arguments(__doc__.splitlines()[0])
    rows = []
    for case in CASES:
        rows.append(ours(case, 1 if options.quick else case.repeats))
        if not options.quick:
            rows += [row for peer in PEERS for row in rows_of(peer, case)]
        print(f"{case.name}: done", file=sys.stderr, flush=True)
    if options.quick:
        print("--quick: the peers were left out, and each case has one window")
    show(rows)
    finish(options.json, {"rows": [asdict(row) for row in rows]}, bars(rows))


def ours(case: Case, repeats: int) -> Row:
    """Measure with `inferometer measure -- COMMAND`, one process a window."""
    names = ("psys",) if case.share("psys") else ("package-0", "dram")
    row = Row(case.name, case.seconds, OURS, "default", against(case, names))
    with simulated_powercap(case.zones, case.idle_watts) as host, tempfile.NamedTemporaryFile() as spans:
        work = [
            compile_program("load"),
            host.page,
            spans.name,
            *(number for stretch in case.work for number in stretch),
        ]
        program = [sys.executable, "-c", "from agent.cli.main import main; main()"]
        found = [run(host.seen_by([*program, "measure", "--json", "--", *work])) for _ in range(repeats)]
        if reason := next((said for code, _, said in found if code), ""):
            return replaced(row, reason=reason)
        ends = [tuple(map(int, line.split())) for line in Path(spans.name).read_text(encoding="utf-8").splitlines()]
        truths = [case.share(*names) * host.steps.joules(start, end) for start, end in ends]
    answers = [json.loads(printed) for _, printed, _ in found]
    windows = (
        own_window(answer, truth, (end - start) / 1e9, case.share(*names) * case.idle_watts)
        for answer, truth, (start, end) in zip(answers, truths, ends, strict=True)
    )
    return replaced(row, windows=tuple(windows))


def own_window(answer: dict[str, Any], truth: float, seconds: float, watts: float) -> Window:
    """Read the report of `inferometer measure`, given the work's span and energy and the power around it."""
    total, longer = answer["total"], answer["duration_seconds"] - seconds
    own = truth + watts * longer
    held = total["lower"] <= own <= total["upper"]
    return Window(total["joules"], truth, longer, 100 * (total["joules"] / own - 1), held)


def rows_of(peer: Peer, case: Case) -> list[Row]:
    """Measure with a peer at its best interval and, in the first case, also with its default."""
    intervals = [peer.best_seconds]
    if case is CASES[0] and peer.interval_seconds != peer.best_seconds:
        intervals.append(peer.interval_seconds)
    return [theirs(peer, case, seconds) for seconds in intervals]


def theirs(peer: Peer, case: Case, interval_seconds: float) -> Row:
    """Measure with a peer, one process for all windows of a case; 0 s: it reads at the edges."""
    reads = f"{interval_seconds:g} s" if interval_seconds else "at the edges"
    # CodeCarbon uses an interval only between its start and its stop, and only once.
    repeats = 1 if interval_seconds and peer.name == "codecarbon" else case.repeats
    psys = peer.name == "codecarbon" and case.share("psys")
    names = ("psys",) if psys else ("package-0", "dram")
    row = Row(case.name, case.seconds, peer.name, reads, against(case, names))
    try:
        python = python_of(peer)
    except PeerUnavailableError as error:
        return replaced(row, reason=f"cannot be installed: {error}")
    numbers = [number for stretch in case.work for number in stretch]
    with simulated_powercap(case.zones, case.idle_watts) as host:
        argv = [python, peer.script, host.page, interval_seconds, repeats, asked_of(peer, case), *numbers]
        code, printed, said = run(host.seen_by(argv))
        if code:
            return replaced(row, reason=said)
        counted = ("package", "dram") if case.share("dram") and not psys else ("package",)
        windows = tuple(
            Window(
                sum(window["joules"].get(domain, 0.0) for domain in counted),
                case.share(*names) * host.steps.joules(window["start_ns"], window["end_ns"]),
            )
            for window in json.loads(printed.splitlines()[-1])
        )
    if silent := sum(not window.joules for window in windows):
        return replaced(row, reason=f"it reports 0 J for {silent} of {len(windows)} windows")
    return replaced(row, windows=windows)


def asked_of(peer: Peer, case: Case) -> str:
    """Return the options with which a peer is most accurate in a case, as its script takes them."""
    if peer.name == "codecarbon":
        return "include_dram,prefer_psys" if case.share("psys") else "include_dram"
    return "wrap" if peer.name == "zeus" and WRAPPING in case.zones else "-"


def replaced(row: Row, windows: tuple[Window, ...] = (), reason: str = "") -> Row:
    """Return a row with the result."""
    return Row(row.case, row.seconds, row.tool, row.reads, row.against, windows, reason)


def against(case: Case, names: tuple[str, ...]) -> str:
    """Name the zones whose energy a figure is compared with."""
    return " + ".join(name for name in names if case.share(name))


def run(argv: list[str]) -> tuple[int, str, str]:
    """Run a tool without any user's settings; return its exit code, its output, and the last line of its errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    with tempfile.TemporaryDirectory() as home:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        process = subprocess.Popen(argv, cwd=HERE.parent, env={**kept, "HOME": home}, **pipes)
        try:
            printed, said = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return 1, "", f"it did not end within {TIMEOUT_SECONDS:g} s"
    last = (said.strip().splitlines() or [f"it ended with {process.returncode}"])[-1]
    return process.returncode, printed, last[:_SAID]


def show(rows: list[Row]) -> None:
    """Print the table."""
    cells = []
    for row in rows:
        if not row.windows:
            cells.append((row.case, row.tool, row.reads, row.against, 0, "", "", f"no result: {row.reason}"))
            continue
        median = statistics.median(window.error_percent for window in row.windows)
        errors = (f"{median:+.2f} %", f"{row.worst_percent:+.2f} %")
        cells.append((row.case, row.tool, row.reads, row.against, len(row.windows), *errors, note_of(row)))
    columns = ("CASE", "TOOL", "READS EVERY", "AGAINST", "WINDOWS>", "MEDIAN ERROR>", "WORST ERROR>", "")
    table("Error in percent of the true energy", columns, cells)


def note_of(row: Row) -> str:
    """Return the errors of ours over its own windows, and other remarks for the reader."""
    if row.tool == "codecarbon" and "dram" in row.against:
        return "its RAM is a model's"
    own = [window.own_percent for window in row.windows if window.own_percent is not None]
    if not own:
        return ""
    longer = 1e3 * statistics.median(window.longer_seconds for window in row.windows)
    held = sum(bool(window.held) for window in row.windows)
    worst = max(own, key=abs)
    return f"its windows: {longer:.1f} ms longer, {worst:+.2f} % off, bounds hold in {held} of {len(own)}"


def bars(rows: list[Row]) -> list[Bar]:
    """Compare our worst window of a second or more with the limit in every case, and all bounds with the truth."""
    mine = [row for row in rows if row.tool == OURS]
    held = [
        Bar(f"{OURS}, {row.case}", abs(row.worst_percent), LIMIT_PERCENT, "%", note=f"worst of {len(row.windows)}")
        if row.windows
        else Bar(f"{OURS}, {row.case}", 100.0, LIMIT_PERCENT, "%", note=f"no result: {row.reason}")
        for row in mine
        if row.seconds >= LONG_SECONDS
    ]
    long = [window for row in mine if row.seconds >= LONG_SECONDS for window in row.windows]
    windows = [window for row in mine for window in row.windows]
    if long:
        own = max(abs(window.own_percent or 0.0) for window in long)
        share = 100 * sum(bool(window.held) for window in windows) / len(windows)
        held.append(Bar(f"{OURS}, over its own windows", own, LIMIT_PERCENT, "%", note=f"worst of {len(long)}"))
        held.append(Bar("its bounds hold", share, 100.0, "%", at_least=True, note=f"of {len(windows)} windows"))
    return held


if __name__ == "__main__":
    main()
