"""Measures the CPU time to derive a profile from a long run: eight points of five repeats, two sockets."""

from __future__ import annotations

import subprocess
import sys
import time
from array import array
from dataclasses import replace
from pathlib import Path

from reporting import Bar, arguments, finish, table

from agent.host.records import RunEnvironment
from agent.profiling.analysis.idle import IDLE_LOADED, IDLE_UNLOADED, derive_baselines
from agent.profiling.points import analyze
from agent.profiling.run_samples import run_samples
from probes.model import Channel, Device, Kind
from store.records import Series, Window

POINTS, REPEATS, WINDOW_SECONDS, IDLE_SECONDS = 8, 5, 30.0, 10.0
READ_NS = 10_000_000
LARGEST_SECONDS = 2.0
LENGTHS = (1, 4)
"""The lengths of the runs whose memory is compared, as multiples of the run of this benchmark."""
LARGEST_GROWTH = 4.0
"""MiB for each hour of a run: its windows with their latencies, and the conditions of its devices."""
LARGEST_SHARE = 0.5
"""Percent of the run's time: the user waits for it after the run."""
_DOMAINS = (("package-0", "package"), ("package-0", "dram"), ("package-1", "package"), ("package-1", "dram"))


def channel(device: str, domain: str) -> Channel:
    """Return a counter."""
    return Channel(
        Device(device, Kind.CPU),
        domain,
        "energy_joules",
        refresh_seconds=0.001,
        resolution=2.0**-14,
        max_plausible=1000.0,
    )


def read(start_ns: int, end_ns: int, _metrics: frozenset[str]) -> tuple[Series, ...]:
    """Return counters of uneven power, read every 10 ms from 0 on; the samples between two times."""
    times = range(max(0, -(-start_ns // READ_NS)) * READ_NS, end_ns + 1, READ_NS)
    found = []
    for number, domain in enumerate(_DOMAINS, 1):
        reads = (at_ns // READ_NS for at_ns in times)
        joules = array("d", (0.1 * number * at + (at * number % 7) * 1e-3 for at in reads))
        halves = array("q", (2_000,)) * len(times)
        found.append(Series(channel(*domain), array("q", times), joules, halves_ns=halves))
    return tuple(found)


def windows_of(points: int, repeats: int) -> list[Window]:
    """Return the windows of a run, idle ones before and after included."""
    idle = [Window("run", "", phase, 0, 0, 0) for phase in (IDLE_UNLOADED, IDLE_LOADED)]
    busy = [
        Window("run", f"batch={2**point}", "inference", repeat, 0, 0, 10, 10 * 2**point, latencies_seconds=(3.0,) * 10)
        for repeat in range(repeats)
        for point in range(points)
    ]
    after = [replace(each, repeat=1) for each in idle]
    placed, at = [], 1.0
    for window in (*idle, *busy, *after):
        seconds = WINDOW_SECONDS if window.point else IDLE_SECONDS
        placed.append(replace(window, start_ns=round(at * 1e9), end_ns=round((at + seconds) * 1e9)))
        at += seconds + 1
    return placed


def derive(points: int, repeats: int) -> tuple[float, int, int, float]:
    """Derive a run; return the CPU time, the samples, the windows and the length of the run, times in seconds.

    The time has no reads of a store: the samples are made here, and their time is subtracted.
    """
    windows = windows_of(points, repeats)
    length = windows[-1].end_ns / 1e9
    making = 0.0

    def timed(start_ns: int, end_ns: int, metrics: frozenset[str]) -> tuple[Series, ...]:
        nonlocal making
        began = time.process_time()
        found = read(start_ns, end_ns, metrics)
        making += time.process_time() - began
        return found

    began = time.process_time()
    sensors = run_samples(timed, windows, READ_NS / 1e9, [channel(*each) for each in _DOMAINS]).sensors
    analyze(windows, sensors, None, RunEnvironment())
    derive_baselines(windows, sensors)
    seconds = time.process_time() - began - making
    return seconds, len(_DOMAINS) * round(length * 1e9) // READ_NS, len(windows), length


def peak_mebibytes(points: int, repeats: int) -> float:
    """Return the peak memory of a process that derives a run."""
    code = f"import resource, deriving; deriving.derive({points}, {repeats}); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True, capture_output=True)
    return float(done.stdout)


def main() -> None:
    """Derive once, and longer runs for their memory."""
    options = arguments(str(__doc__).partition("\n")[0])
    points, repeats = (2, 3) if options.quick else (POINTS, REPEATS)
    whole, samples, windows, length = derive(points, repeats)
    share = whole / length
    peaks = [peak_mebibytes(points, repeats * each) for each in LENGTHS]
    more = (LENGTHS[1] - LENGTHS[0]) * length
    growth = (peaks[1] - peaks[0]) / more * 3600
    table(
        "Processor time to derive a run's points",
        ("SAMPLES>", "WINDOWS>", "TIME>", "PER SAMPLE>", "OF THE RUN'S TIME>"),
        [(samples, windows, f"{whole:.2f} s", f"{whole / samples * 1e6:.1f} µs", f"{share:.2%}")],
    )
    table(
        "Peak memory of the derivation",
        ("LENGTH OF THE RUN>", "MEMORY>"),
        [(f"{each * length / 60:.0f} min", f"{peak:.0f} MiB") for each, peak in zip(LENGTHS, peaks, strict=True)],
    )
    figures = {
        "samples": samples,
        "points": points,
        "seconds": whole,
        "share_of_the_run": share,
        "peak_mebibytes": dict(zip(map(str, LENGTHS), peaks, strict=True)),
        "mebibytes_per_hour": growth,
    }
    bars = [
        Bar("processor time", whole, LARGEST_SECONDS, "s"),
        Bar("processor time over the run's time", 100 * share, LARGEST_SHARE, "%"),
        Bar("growth of the memory with each hour of a run", growth, LARGEST_GROWTH, "MiB"),
    ]
    finish(options.json, figures, bars)


if __name__ == "__main__":
    main()
