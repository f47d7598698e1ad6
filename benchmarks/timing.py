"""Measures the punctuality of a run's sampler at 1 kHz beside processes that take all the CPU time they can get.

It samples ten channels of a simulated host on tmpfs, in powercap and hwmon files, as a run does, and stores them. One
spinning process for each CPU, and at least two, run beside it. The lateness of a read is the time since it was due. The
sampler runs with SCHED_FIFO, if the host allows it, and without.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from c_programs import compile_program
from reporting import Bar, arguments, finish, table
from static_host import ROOT, StaticHost, static_host

sys.path.insert(0, str(ROOT))

from agent.config import Config
from agent.host.inventory import describe_host
from agent.runtime.clock import Timebase
from agent.runtime.cpu_budget import UNLIMITED
from agent.runtime.realtime import low_latency
from agent.sampling.pipeline import assembled
from probes.model import Roots
from store.database import open_database
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.runtime.realtime import Realtime
    from agent.sampling.sampler import Sampler
    from store.records import Tick

PERIOD_NS = 1_000_000
CHANNELS = 10
SECONDS, QUICK_SECONDS = 20.0, 4.0
FEWEST_PERCENT, MOST_US = 99.9, 150.0


@dataclass(frozen=True, slots=True)
class Timing:
    """One run of the sampler: the share of reads that took place, and their lateness in microseconds."""

    asked: str
    got: Realtime
    due: int
    kept_percent: float
    late: int
    p50_us: float
    p99_us: float
    worst_us: float


def main() -> None:
    """Sample with real-time scheduling and without, and compare the first with its limits."""
    options = arguments(__doc__.splitlines()[0])
    seconds = QUICK_SECONDS if options.quick else SECONDS
    with static_host(CHANNELS) as host, hogs(max(2, os.cpu_count() or 1)):
        found = [kept(host, seconds, realtime=realtime) for realtime in (True, False)]
    table(
        "A sampler at 1 kHz on a busy host",
        ("ASKED FOR", "GOT", "DUE>", "KEPT %>", "LATE>", "P50 US>", "P99 US>", "WORST US>"),
        [
            (each.asked, _words(each.got), each.due, f"{each.kept_percent:.3f}", each.late, each.p50_us, each.p99_us,
             each.worst_us)
            for each in found
        ],
    )  # fmt: skip
    best = found[0]
    note = _words(best.got)
    bars = [
        Bar("reads kept", best.kept_percent, FEWEST_PERCENT, "%", at_least=True, note=note),
        Bar("lateness, 99th percentile", best.p99_us, MOST_US, "us", note=note),
    ]
    finish(options.json, {"timing": [asdict(each) for each in found]}, bars)


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Keep this number of CPUs busy inside the block."""
    program = compile_program("spin")
    spinning = [subprocess.Popen([program]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


class StartTimes:
    """Stores every tick, and has the starts of the reads of the first layout."""

    def __init__(self, writer: Writer, first: int) -> None:
        self.starts: list[int] = []
        self._writer = writer
        self._first = first

    def take(self, ticks: Sequence[Tick]) -> None:
        """Store ticks."""
        self.starts.extend(tick.start_ns for tick in ticks if tick.layout == self._first)
        self._writer.append(ticks)


def kept(host: StaticHost, seconds: float, *, realtime: bool) -> Timing:
    """Sample this long, and return the punctuality of the first probe's reads, which all others share."""
    roots = Roots(str(host.sysfs), str(host.folder / "proc"), str(host.folder / "none"))
    engine, timebase = open_database(str(host.folder / "timing.db")), Timebase.now()
    writer = Writer(engine)
    with assembled(
        Config(roots=roots, estimates=False, cpu_budget=UNLIMITED),
        timebase,
        lambda named: writer.register(describe_host(Roots()), named, "profile", timebase.now_ns()),
        lambda probes: StartTimes(writer, probes[0].layout.id),
        period_of=lambda _: PERIOD_NS / 1e9,
        realtime=realtime or None,
    ) as pipeline:
        with low_latency():
            pipeline.start()
            time.sleep(seconds)
            pipeline.stop_reads()
            pipeline.recorder.stop()
        sampler = pipeline.sampler
        began_ns = timebase.unix_ns(sampler.files[0].began_ns) // 1000 * 1000
    engine.dispose()
    return timed("real time" if realtime else "nothing", sampler, pipeline.sink.starts, began_ns)


def timed(asked: str, sampler: Sampler, starts: list[int], began_ns: int) -> Timing:
    """Return the lateness of the reads in order; the first was due at `began_ns`."""
    state = sampler.states[0]
    late_us = sorted((start - began_ns) % PERIOD_NS / 1e3 for start in starts)
    due = state.ticks + state.missed
    percent = 100 * state.ticks / due
    middle, high = late_us[len(late_us) // 2], late_us[int(0.99 * len(late_us))]
    return Timing(asked, sampler.realtime, due, percent, state.late, middle, high, late_us[-1])


def _words(got: Realtime) -> str:
    policy = f"SCHED_FIFO {got.priority}" if got.policy == "fifo" else "SCHED_OTHER"
    return f"{policy}, {'any CPU' if got.cpu is None else f'CPU {got.cpu}'}"


if __name__ == "__main__":
    sys.exit(main())
