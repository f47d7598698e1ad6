"""Measures by how much the agent, reading 50 channels at 100 Hz, slows a computation down.

The computation is a fixed amount of arithmetic and of a random walk through 256 KiB of memory, pinned to one CPU. It
runs in pairs, once beside the agent and once with the agent stopped by SIGSTOP, in the order ABBA. The agent may run on
any CPU. One piece of work takes a fifth of a second, so that other load is the same for both of a pair, and every fifth
contains a commit of the agent. The figures are means over the pairs, without the tenth at either end, with 95 %
intervals by bootstrap.
"""

from __future__ import annotations

import os
import random
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

from c_programs import HERE, compile_program
from reporting import Bar, arguments, finish, table
from simulated_powercap import Zone, simulated_powercap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHANNELS, PERIOD_SECONDS = 50, 0.01
PAIRS, QUICK_PAIRS = 300, 5
SETTLE_SECONDS = 0.05
LIMIT_PERCENT = 1.0
RESAMPLES, SEED = 4000, 1
_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """One run of kernel.c: the CPU and wall seconds of its parts."""

    arithmetic_cpu: float
    arithmetic_wall: float
    memory_cpu: float
    memory_wall: float

    @property
    def cpu(self) -> float:
        """CPU seconds of both parts."""
        return self.arithmetic_cpu + self.memory_cpu

    @property
    def wall(self) -> float:
        """Wall seconds of both parts."""
        return self.arithmetic_wall + self.memory_wall


@dataclass(frozen=True, slots=True)
class Slowdown:
    """The slowdown of the same work beside the agent, in percent: trimmed mean, 95 % interval, and median."""

    name: str
    percent: float
    lower: float
    upper: float
    median: float
    spread: float


MEASURES: dict[str, Callable[[Work], float]] = {
    "processor time, all": lambda work: work.cpu,
    "processor time, arithmetic": lambda work: work.arithmetic_cpu,
    "processor time, memory": lambda work: work.memory_cpu,
    "wall time, all": lambda work: work.wall,
}


def main() -> None:
    """Run the pairs and compare the slowdown of CPU time with its limit."""
    options = arguments(__doc__.splitlines()[0])
    pairs = QUICK_PAIRS if options.quick else PAIRS
    cpu = max(os.sched_getaffinity(0))
    zones = [Zone(f"intel-rapl:{number}", f"package-{number}", 1.0) for number in range(CHANNELS)]
    with (
        simulated_powercap(zones, 100.0, period_us=10_000) as host,
        computing(cpu) as kernel,
        agent(host.sysfs) as process,
    ):
        os.sched_setaffinity(host.mover, os.sched_getaffinity(0) - {cpu} or {cpu})
        reads, seconds, share = reading(process.pid)
        work(kernel)  # warm-up, not counted: fetches the memory and raises the clock
        found = [pair(kernel, process.pid, agent_first=number % 2 == 1) for number in range(pairs)]
    slowdowns = [slowdown(name, measure, found) for name, measure in MEASURES.items()]
    rows = [
        (
            s.name,
            f"{s.percent:+.2f} %",
            f"{s.lower:+.2f} .. {s.upper:+.2f} %",
            f"{s.median:+.2f} %",
            f"{s.spread:.2f} %",
        )
        for s in slowdowns
    ]
    columns = ("OF", "SLOWER BY>", "95 % INTERVAL>", "MEDIAN PAIR>", "SPREAD OF A PAIR>")
    table(f"The same work beside the agent, {pairs} pairs, the work on processor {cpu}", columns, rows)
    rate = reads / seconds / CHANNELS
    print(f"\nthe agent read {CHANNELS} channels {rate:.0f} times a second and took {100 * share:.2f} % of a processor")
    all_of_it = slowdowns[0]
    bar = Bar(
        "slowdown per CPU-second", all_of_it.percent, LIMIT_PERCENT, "%", lower=all_of_it.lower, upper=all_of_it.upper,
        note=f"{all_of_it.lower:+.2f} .. {all_of_it.upper:+.2f} %, {pairs} pairs",
    )  # fmt: skip
    figures = {
        "pairs": pairs, "reads_per_second_and_channel": rate, "agent_cpu_share": share, "cpu": cpu,
        "slowdowns": [asdict(one) for one in slowdowns],
    }  # fmt: skip
    finish(options.json, figures, [bar])


@contextmanager
def computing(cpu: int) -> Iterator[subprocess.Popen[str]]:
    """Start kernel.c on this CPU; it works on request."""
    argv = [str(compile_program("kernel")), str(cpu)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as kernel:
        try:
            yield kernel
        finally:
            kernel.kill()


@contextmanager
def agent(sysfs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the daemon with its store on this host's sensors; killed after the block."""
    with tempfile.TemporaryDirectory() as folder:
        home, log = Path(folder), Path(folder) / "log"
        (home / "proc").mkdir()
        (home / "config.toml").write_text(
            f"[sampling]\nperiod_seconds = {PERIOD_SECONDS}\nestimates = false\n"
            f'[path]\nsysfs = "{sysfs}"\nprocfs = "{home}/proc"\nnvml_library = "{home}/none"\n'
            '[exporter]\nlisten = "127.0.0.1:0"\n',
            encoding="utf-8",
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INFEROMETER_", "XDG_"))}
        where = {"HOME": folder, "XDG_STATE_HOME": folder, "PYTHONPATH": str(HERE.parent), "MALLOC_ARENA_MAX": "1"}
        argv = [sys.executable, "-m", "agent.daemon.entry", "--config", str(home / "config.toml")]
        with log.open("wb") as errors:
            process = subprocess.Popen(argv, cwd=folder, env={**kept, **where}, stderr=errors)
        try:
            await_start(process, log)
            yield process
        finally:
            process.kill()
            process.wait()


def await_start(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the daemon reports its start; raises RuntimeError with its log if it does not."""
    deadline = time.monotonic() + _START_SECONDS
    while "msg=started" not in (said := log.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the daemon did not start: {said.strip()}")
        time.sleep(0.05)


def reading(pid: int) -> tuple[int, float, float]:
    """Observe the daemon for a while; return its number of reads, the seconds, and its share of a CPU."""
    time.sleep(2.0)  # lets the start-up work end
    before, began = spent(pid), time.monotonic()
    time.sleep(3.0)
    after, seconds = spent(pid), time.monotonic() - began
    return after[0] - before[0], seconds, (after[1] - before[1]) / seconds


def spent(pid: int) -> tuple[int, float]:
    """Return the number of reads of a process so far, and its CPU seconds."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines())
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(counts["syscr"]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pair(kernel: subprocess.Popen[str], pid: int, *, agent_first: bool) -> tuple[Work, Work]:
    """Do the work twice, in this order; return the run without the agent and the run beside it."""
    done = {}
    for beside in (True, False) if agent_first else (False, True):
        os.kill(pid, signal.SIGCONT if beside else signal.SIGSTOP)
        time.sleep(SETTLE_SECONDS)
        done[beside] = work(kernel)
    return done[False], done[True]


def work(kernel: subprocess.Popen[str]) -> Work:
    """Do the work once."""
    if kernel.stdin is None or kernel.stdout is None:
        raise RuntimeError("kernel.c has no pipes")
    kernel.stdin.write("\n")
    arithmetic_cpu, arithmetic_wall, memory_cpu, memory_wall = map(int, kernel.stdout.readline().split())
    return Work(arithmetic_cpu / 1e9, arithmetic_wall / 1e9, memory_cpu / 1e9, memory_wall / 1e9)


def slowdown(name: str, measure: Callable[[Work], float], pairs: Sequence[tuple[Work, Work]]) -> Slowdown:
    """Return the mean slowdown of the pairs without the extremes, and its interval by resampling them."""
    percents = [100 * (measure(beside) / measure(alone) - 1) for alone, beside in pairs]
    draw = random.Random(SEED)
    means = sorted(_trimmed(draw.choices(percents, k=len(percents))) for _ in range(RESAMPLES))
    lower, upper = means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]
    return Slowdown(name, _trimmed(percents), lower, upper, statistics.median(percents), statistics.stdev(percents))


def _trimmed(percents: Sequence[float]) -> float:
    """Return the mean without the tenth at either end.

    The extremes are the host's other guests. A median would ignore events in one piece of five, such as a commit.
    """
    cut = len(percents) // 10
    return statistics.fmean(sorted(percents)[cut : len(percents) - cut])


if __name__ == "__main__":
    main()
