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

from agent.host.inventory import describe_host
from agent.runtime.clock import Timebase
from agent.runtime.realtime import low_latency, raise_priority
from agent.sampling.recorder import Recorder
from agent.sampling.sampler import Sampler
from agent.sampling.schedule import ScheduledProbe
from probes.model import Roots
from probes.registry import discover
from probes.settings import SensorSettings
from store.database import open_database
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.runtime.realtime import Realtime
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


def kept(host: StaticHost, seconds: float, *, realtime: bool) -> Timing:
    """Sample this long, and return the punctuality of the first probe's reads, which all others share."""
    found = discover(
        Roots(str(host.sysfs), str(host.folder / "proc"), str(host.folder / "none")), SensorSettings(estimates=False)
    )
    engine, timebase = open_database(str(host.folder / "timing.db")), Timebase.now()
    writer = Writer(engine)
    channels = [(probe.name, probe.channels) for probe in found.probes]
    layouts = writer.register(describe_host(Roots()), channels, "profile", timebase.now_ns())
    paced = [
        ScheduledProbe(layout, probe, PERIOD_NS / 1e9) for layout, probe in zip(layouts, found.probes, strict=True)
    ]
    sampler = Sampler(paced, timebase, realtime=realtime or None)
    starts: list[int] = []

    def keep(ticks: list[Tick]) -> None:
        starts.extend(tick.start_ns for tick in ticks if tick.layout == layouts[0].id)
        writer.append(ticks)

    recorder = Recorder(sampler.take, keep, enter=raise_priority if realtime else lambda: None)
    with low_latency():
        recorder.start()
        sampler.start()
        time.sleep(seconds)
        sampler.stop()
        recorder.stop()
    found.close()
    engine.dispose()
    began_ns = timebase.unix_ns(sampler.files[0].began_ns) // 1000 * 1000
    return timed("real time" if realtime else "nothing", sampler, starts, began_ns)


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
