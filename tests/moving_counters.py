"""Counters that move as those of the kernel do: a separate process rewrites them from CLOCK_MONOTONIC.

with advancing_counters(sysfs, {"intel-rapl:0": 60.0}):   # watts by the zone's name in class/powercap
    ...                                       # energy_uj grows by 60 J a second, wrapping at the zone's own range
longest_gap(sysfs)                            # the longest time without a write, on a host that is too busy for it
with busy_processors(procfs, 0.5):                    # a copy of a host's /proc
    ...                                       # in stat, each processor is busy half of the time
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STEP_SECONDS = 0.001
_GAPS = "gaps"
"""The file of all times without a write of the counters: the moment on CLOCK_MONOTONIC when each ended, its length."""

_COUNTER_SCRIPT = """
import os, sys, time
step, swing, period = map(float, sys.argv[1:4])
counters = []
for argument in sys.argv[5:]:
    folder, watts = argument.rsplit("=", 1)
    start = int(open(folder + "/energy_uj").read())
    whole = int(open(folder + "/max_energy_range_uj").read())
    counters.append((os.open(folder + "/energy_uj", os.O_WRONLY), start, whole, float(watts)))
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
except PermissionError:
    pass
gaps = os.open(sys.argv[4], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
began = last = time.monotonic()
for turn in range(10**9):
    now = time.monotonic()
    if now - last > 2 * step:
        os.write(gaps, b"%.6f %.6f\\n" % (now, now - last))
    last, seconds = now, now - began
    if swing:
        phase = seconds % period
        seconds += swing * (phase if phase < period / 2 else period - phase)
    for file, start, whole, watts in counters:
        os.pwrite(file, b"%015d\\n" % ((start + int(watts * 1e6 * seconds)) % whole), 0)
    if not turn:
        print("advancing_counters", flush=True)
    if os.getppid() == 1:
        break
    time.sleep(max(0.0, began + (turn + 1) * step - time.monotonic()))
"""


@contextmanager
def advancing_counters(
    sysfs: Path, watts: Mapping[str, float], *, swing: float = 0.0, period: float = 1.0
) -> Iterator[None]:
    """Move the counters of these powercap zones inside the block.

    With a swing they draw 1 + swing times these watts in the first half of each period, and 1 - swing times in the
    second half.
    """
    zones = [f"{os.path.realpath(sysfs / 'class/powercap' / zone)}={value}" for zone, value in watts.items()]
    mover = subprocess.Popen(
        [sys.executable, "-I", "-c", _COUNTER_SCRIPT, *map(str, (STEP_SECONDS, swing, period, sysfs / _GAPS)), *zones],
        stdout=subprocess.PIPE,
    )
    try:
        assert mover.stdout.readline() == b"advancing_counters\n"
        yield
    finally:
        mover.kill()
        mover.wait()
        mover.stdout.close()


def longest_gap(sysfs: Path, since: float = 0.0) -> float:
    """Return the longest time for which the counters were not written, that ended since a moment of time.monotonic."""
    lines = (sysfs / _GAPS).read_text().splitlines()
    ended = [tuple(map(float, line.split())) for line in lines]
    return max((seconds for at, seconds in ended if at >= since), default=2 * STEP_SECONDS)


_WORKER = """
import os, sys, time
share = float(sys.argv[2])
stat = os.open(sys.argv[1], os.O_WRONLY)
began = time.monotonic()
while os.getppid() != 1:
    ticks = 1e6 + (time.monotonic() - began) * os.sysconf("SC_CLK_TCK")
    line = "%012d 0 0 %012d 0 0 0 0 0 0\\n" % (ticks * share, ticks * (1 - share))
    os.pwrite(stat, "".join(name + line for name in ("cpu ", "cpu0 ", "cpu1 ")).encode(), 0)
    if len(sys.argv) > 3:
        print(sys.argv.pop(), flush=True)
    time.sleep(0.005)
"""


@contextmanager
def busy_processors(procfs: Path, share: float) -> Iterator[None]:
    """Keep two processors busy for a share of the time inside the block, without any visible process."""
    procfs.mkdir()
    for name in ("cpuinfo", "meminfo", "stat"):
        (procfs / name).write_bytes(Path("/proc", name).read_bytes() if name != "stat" else b"")
    line = [sys.executable, "-I", "-c", _WORKER, str(procfs / "stat"), str(share), "busy_processors"]
    worker = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        assert worker.stdout.readline() == b"busy_processors\n"
        yield
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
