"""Reads every probe of a simulated host in one thread and stores nothing: `SYSFS PROCFS NVML EMPTY RATE_HZ`.

It is the least that a program in Python needs for the readings of these probes, without threads for drivers that hang.
"""

from __future__ import annotations

import gc
import sys
import time
from contextlib import suppress

from probes.errors import ReadError
from probes.model import Roots
from probes.registry import discover
from probes.settings import SensorSettings


def main() -> None:
    """Read all probes on absolute deadlines until the process is killed."""
    sysfs, procfs, nvml, empty = sys.argv[1:5]
    period = 1 / float(sys.argv[5])
    found = discover(Roots(sysfs, procfs, nvml, empty, empty, empty), SensorSettings(estimates=False))
    gc.collect()
    gc.freeze()
    due = time.monotonic()
    while True:
        for probe in found.probes:
            with suppress(ReadError):
                probe.read(time.monotonic_ns())
        due += period
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
