"""Measures the CPU time to derive a profile from a long run: eight points of five repeats, two sockets."""

from __future__ import annotations

import time
from dataclasses import replace

from reporting import Bar, arguments, finish, table

from agent.host.records import RunEnvironment
from agent.profiling.analysis.idle import IDLE_LOADED, IDLE_UNLOADED, derive_baselines
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.points import analyze
from probes.model import Channel, Device, Kind
from store.records import Series, Window

POINTS, REPEATS, WINDOW_SECONDS, IDLE_SECONDS = 8, 5, 30.0, 10.0
READ_NS = 10_000_000
LARGEST_SHARE = 0.5
"""Percent of the run's time: the user waits for it after the run."""
_DOMAINS = (("package-0", "package"), ("package-0", "dram"), ("package-1", "package"), ("package-1", "dram"))


def counter(device: str, domain: str, seconds: float) -> Series:
    """Return a counter of uneven power, read every 10 ms."""
    number = _DOMAINS.index((device, domain)) + 1
    channel = Channel(
        Device(device, Kind.CPU),
        domain,
        "energy_joules",
        refresh_seconds=0.001,
        resolution=2.0**-14,
        max_plausible=1000.0,
    )
    times = range(0, round(seconds * 1e9), READ_NS)
    joules = tuple(0.1 * number * at + (at * number % 7) * 1e-3 for at in range(len(times)))
    return Series(channel, tuple(times), joules, halves_ns=(2_000,) * len(times))


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


def main() -> None:
    """Derive once."""
    options = arguments(str(__doc__).partition("\n")[0])
    points, repeats = (2, 3) if options.quick else (POINTS, REPEATS)
    windows = windows_of(points, repeats)
    series = [counter(*domain, windows[-1].end_ns / 1e9 + 5) for domain in _DOMAINS]
    samples = sum(len(each.times_ns) for each in series)

    began = time.process_time()
    sensors = Sensors.of(series, READ_NS / 1e9)
    derived = analyze(windows, sensors, None, RunEnvironment())
    derive_baselines(windows, sensors)
    whole = time.process_time() - began

    share = whole / (windows[-1].end_ns / 1e9)
    table(
        "Processor time to derive a run's points",
        ("SAMPLES>", "WINDOWS>", "TIME>", "PER SAMPLE>", "OF THE RUN'S TIME>"),
        [(samples, len(windows), f"{whole:.2f} s", f"{whole / samples * 1e6:.1f} µs", f"{share:.2%}")],
    )
    figures = {"samples": samples, "points": len(derived), "seconds": whole, "share_of_the_run": share}
    finish(options.json, figures, [Bar("processor time over the run's time", 100 * share, LARGEST_SHARE, "%")])


if __name__ == "__main__":
    main()
