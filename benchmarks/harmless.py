"""Measures the cost of `inferometer measure --duration` on a host of many sensors, idle and beside busy programs.

A separate process rewrites the power files of 8, 64 or 256 hwmon chips on tmpfs, in place. Two spinning processes, or
none, run beside it. Every setting runs as root, which may use real-time scheduling, and without CAP_SYS_NICE, like
other users. CPU times are those of the scheduler, over all threads, in the window. The loss of the spinning processes
is the difference to the same setting beside `sleep`.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c_programs import compile_program
from reporting import Bar, arguments, finish, table
from static_host import ROOT, TMPFS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHIPS, HOGS, REPEATS = (8, 64, 256), (0, 2), 5
WINDOW_SECONDS = 1.0
MOST_LATE_SECONDS, MOST_IDLE_PERCENT, MOST_BUSY_PERCENT, MOST_LOSS_POINTS = 0.2, 30.0, 10.0, 2.0
REWRITE_SECONDS, LOOK_SECONDS, TIMEOUT_SECONDS = 0.02, 0.02, 120.0
_SCHEDULED = 2  # the scheduler's CPU clock in the numbering of clock_getcpuclockid(3)
WITHOUT_NICE = ("setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice")


@dataclass(frozen=True, slots=True)
class Window:
    """One run: the delay of its window's end, and its and the spinning processes' CPU use in percent."""

    late_seconds: float
    own_percent: float
    hogs_percent: float
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A setting, the medians of its windows, and the spinning processes' CPU use beside `sleep`."""

    chips: int
    hogs: int
    user: str
    policy: str
    late_seconds: float
    own_percent: float
    hogs_percent: float
    control_percent: float

    @property
    def loss_points(self) -> float:
        """The loss of the spinning processes beyond our own CPU use, in percent of one CPU."""
        return self.control_percent - self.hogs_percent - self.own_percent


def main() -> None:
    """Run every setting and compare it with the bars."""
    options = arguments(__doc__.splitlines()[0])
    repeats = 1 if options.quick else REPEATS
    rows = []
    for chips in CHIPS[:1] if options.quick else CHIPS:
        for count in HOGS:
            with changing(chips) as folder, hogs(count) as spinning:
                rows += measured(folder, chips, spinning, repeats)
        print(f"{chips} chips: done", file=sys.stderr, flush=True)
    show(rows)
    finish(options.json, {"rows": [asdict(row) for row in rows]}, bars(rows))


def measured(folder: Path, chips: int, spinning: Sequence[int], repeats: int) -> list[Row]:
    """Return the rows of one host: as each user in turn, with a control in each turn."""
    users = {"root": (), "without CAP_SYS_NICE": WITHOUT_NICE} if os.geteuid() == 0 else {"this user": ()}
    found: dict[str, list[Window]] = {user: [] for user in users}
    control = []
    for _ in range(repeats):
        control.append(idle_window(spinning))
        for user, before in users.items():
            found[user].append(ours(folder, before, spinning))
    beside_sleep = statistics.median(window.hogs_percent for window in control)
    return [
        Row(
            chips,
            len(spinning),
            user,
            windows[0].policy,
            statistics.median(window.late_seconds for window in windows),
            statistics.median(window.own_percent for window in windows),
            statistics.median(window.hogs_percent for window in windows),
            beside_sleep,
        )
        for user, windows in found.items()
    ]


def ours(folder: Path, before: Sequence[str], spinning: Sequence[int]) -> Window:
    """Measure for a second and return the cost."""
    line = [
        *before, sys.executable, "-m", "agent.cli.entry", "--path.sysfs", str(folder / "sys"), "--path.procfs",
        str(folder / "proc"), "--path.nvml-library", str(folder / "none"), "--no-estimates",
        "measure", "--duration", str(WINDOW_SECONDS), "--json",
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:  # more than a pipe holds
        process = subprocess.Popen(line, env=environ, stdout=printed, stderr=said)
        looks = watched(process, spinning)
        process.wait(TIMEOUT_SECONDS)
        for file in (printed, said):
            file.seek(0)
        if process.returncode:
            raise RuntimeError(f"inferometer measure failed: {said.read().decode(errors='replace')}")
        answer = json.loads(printed.read())
    start_ns, seconds = answer["start_ns"], answer["duration_seconds"]
    own, theirs = used(looks, start_ns, start_ns + round(seconds * 1e9))
    return Window(seconds - WINDOW_SECONDS, 100 * own / seconds, 100 * theirs / seconds, answer["sampler"]["policy"])


def idle_window(spinning: Sequence[int]) -> Window:
    """Return the CPU use of the spinning processes beside an idle program."""
    began_ns = time.time_ns()
    process = subprocess.Popen(["sleep", str(WINDOW_SECONDS)])
    looks = watched(process, spinning)
    ended_ns = looks[-1][0]
    own, theirs = used(looks, began_ns, ended_ns)
    seconds = (ended_ns - began_ns) / 1e9
    return Window(seconds - WINDOW_SECONDS, 100 * own / seconds, 100 * theirs / seconds)


def watched(process: subprocess.Popen[bytes], spinning: Sequence[int]) -> list[tuple[int, ...]]:
    """Return (Unix time, CPU time of a process, that of the spinning ones), in nanoseconds, until it ends."""
    looks = [(time.time_ns(), 0, sum(map(cpu_ns, spinning)))]
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        looks.append((time.time_ns(), max(cpu_ns(process.pid), looks[-1][1]), sum(map(cpu_ns, spinning))))
        time.sleep(LOOK_SECONDS)
    return looks


def used(looks: Sequence[tuple[int, ...]], start_ns: int, end_ns: int) -> tuple[float, float]:
    """Return the CPU seconds of the process and the spinning ones between two moments, interpolated."""
    own, theirs = ([(look[0], look[which]) for look in looks] for which in (1, 2))
    return (at(own, end_ns) - at(own, start_ns)) / 1e9, (at(theirs, end_ns) - at(theirs, start_ns)) / 1e9


def at(looks: Sequence[tuple[int, int]], moment_ns: int) -> float:
    """Return the value at a moment, interpolated between the samples on either side."""
    after = next((number for number, (at_ns, _) in enumerate(looks) if at_ns >= moment_ns), len(looks) - 1)
    (left_ns, left), (right_ns, right) = looks[max(after - 1, 0)], looks[after]
    share = (moment_ns - left_ns) / (right_ns - left_ns) if right_ns > left_ns else 1.0
    return left + (right - left) * min(max(share, 0.0), 1.0)


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process with all its threads, ended ones included; 0 once it has ended."""
    try:
        return time.clock_gettime_ns(~pid << 3 | _SCHEDULED)
    except OSError:
        return 0


@contextmanager
def changing(chips: int) -> Iterator[Path]:
    """Make a host of hwmon chips, whose power files another process rewrites fifty times a second."""
    folder = Path(tempfile.mkdtemp(prefix="inferometer-bench-", dir=TMPFS))
    (folder / "proc").mkdir()
    files = [chip(folder / "sys", number) for number in range(chips)]
    folder.chmod(0o755)
    writer = os.fork()
    if writer == 0:
        rewrite(files)
    try:
        yield folder
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        shutil.rmtree(folder)


def chip(sysfs: Path, number: int) -> Path:
    """Make one chip with one power sensor; return the sensor's file."""
    folder = sysfs / f"devices/platform/meter.{number}/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text("meter\n", encoding="ascii")
    (folder / "device").symlink_to("../..")
    link = sysfs / f"class/hwmon/hwmon{number}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(folder, link.parent))
    power = folder / "power1_input"
    power.write_text("12000000\n", encoding="ascii")
    return power


def rewrite(files: Sequence[Path]) -> None:
    """Rewrite every file in place, forever."""
    opened = [os.open(file, os.O_WRONLY) for file in files]
    while True:
        for fd in opened:
            os.pwrite(fd, b"%d\n" % random.randrange(10_000_000, 14_000_000), 0)
        time.sleep(REWRITE_SECONDS)


@contextmanager
def hogs(count: int) -> Iterator[list[int]]:
    """Run spinning processes and yield their ids."""
    program = compile_program("spin")
    spinning = [subprocess.Popen([program]) for _ in range(count)]
    try:
        yield [process.pid for process in spinning]
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table(
        f"A window of {WINDOW_SECONDS:g} s; percent of one processor",
        (
            "CHIPS>", "HOGS>", "USER", "GOT", "LATE MS>", "WE USE %>", "HOGS GET %>", "BESIDE SLEEP %>",
            "LOST BEYOND OURS>",
        ),
        [
            (
                row.chips, row.hogs, row.user, row.policy, f"{1e3 * row.late_seconds:.1f}", f"{row.own_percent:.1f}",
                f"{row.hogs_percent:.1f}", f"{row.control_percent:.1f}", f"{row.loss_points:.1f}" if row.hogs else "",
            )
            for row in rows
        ],
    )  # fmt: skip


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Compare the worst row of each kind with its bar."""
    idle, busy = ([row for row in rows if bool(row.hogs) is beside] for beside in (False, True))
    return [
        Bar("window ends late", max(row.late_seconds for row in rows), MOST_LATE_SECONDS, "s"),
        Bar("our share, idle", max(row.own_percent for row in idle), MOST_IDLE_PERCENT, "%"),
        Bar("our share, beside hogs", max(row.own_percent for row in busy), MOST_BUSY_PERCENT, "%"),
        Bar("hogs lose beyond ours", max(row.loss_points for row in busy), MOST_LOSS_POINTS, "points"),
    ]


if __name__ == "__main__":
    main()
