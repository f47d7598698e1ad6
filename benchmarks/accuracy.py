"""Measures errors and bounds of our energies on simulated sensors with known energy and fixed seeds.

Every window uses the read rates and the estimator of a measurement. Two plain reads of the same counter, at the start
and at the end, are the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from random import Random
from statistics import median

from reporting import Bar, arguments, finish, table
from simulated_sensors import BEFORE_SECONDS, COUNTERS, GAUGES, Sensor, play
from waveforms import WAVEFORMS

from agent.energy.window import window_energy

WINDOWS = (0.1, 1.0, 10.0)
EACH = 160
"""Windows of each length for each sensor, waveform and host: 33 600 in all, less those that a starved host misses."""
IDLE, STARVED = "idle", "starved"
LARGEST_ERROR = {
    ("counter 1 ms", 1.0): 0.001,
    ("counter 1 ms", 10.0): 0.0001,
    ("counter 20 ms", 1.0): 0.008,
    ("counter 20 ms", 10.0): 0.001,
    ("counter 100 ms", 1.0): 0.05,
    ("counter 100 ms", 10.0): 0.004,
}
WORST_RATIO_OF_WIDTH = 4.0
LEAST_GAIN = 3.0
SEED = 20261125


@dataclass(frozen=True)
class WindowError:
    """One window: the errors of ours and of two plain reads, and our bound's width, as shares of the truth."""

    waveform: str
    error: float
    plain: float
    width: float
    holds: bool


@dataclass(frozen=True)
class Row:
    """One sensor and one length of windows, on an idle or a starved host."""

    sensor: str
    host: str
    seconds: float
    waveform: str
    windows: int
    p95: float
    plain_p95: float
    width: float
    held: int


def measured(sensor: Sensor, seconds: float, each: int, *, starved: bool = False) -> list[WindowError]:
    """Return the results of `each` windows of every waveform; windows that no samples bracket have no energy."""
    random = Random(f"{SEED} {sensor.name} {seconds}{' starved' if starved else ''}")
    found = []
    for name, make in WAVEFORMS.items():
        for _ in range(each):
            scene = play(sensor, make(random, 2 * BEFORE_SECONDS + seconds), seconds, random, starved=starved)
            if scene is None and starved:
                continue
            energy = window_energy(scene.series, scene.start_ns, scene.end_ns).energy if scene else None
            if scene is None or energy is None:
                raise RuntimeError(f"{sensor.name}: a window of {seconds} s is not bracketed by its samples")
            true = scene.joules
            found.append(
                WindowError(
                    name,
                    abs(energy.joules / true - 1),
                    abs(scene.two_reads_joules / true - 1),
                    (energy.upper - energy.lower) / true,
                    energy.lower - 1e-6 <= true <= energy.upper + 1e-6,
                )
            )
    return found


def summarized(sensor: str, host: str, seconds: float, waveform: str, found: list[WindowError]) -> Row:
    """Return one row of the table."""
    return Row(
        sensor,
        host,
        seconds,
        waveform,
        len(found),
        percentile_95([each.error for each in found]),
        percentile_95([each.plain for each in found]),
        median(each.width for each in found),
        sum(each.holds for each in found),
    )


def percentile_95(values: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def bars(rows: list[Row]) -> list[Bar]:
    """Compare the results with the limits."""
    held: list[Bar] = []
    windows = sum(row.windows for row in rows)
    for row in rows:
        limit = LARGEST_ERROR.get((row.sensor, row.seconds))
        if limit is None or row.host == STARVED:
            continue
        name = f"{row.sensor}, {row.seconds:g} s"
        held.append(Bar(f"p95 error, {name}", 100 * row.p95, 100 * limit, "%"))
        if row.sensor != "counter 1 ms":
            gain = row.plain_p95 / row.p95
            held.append(Bar(f"two plain reads are worse, {name}", gain, LEAST_GAIN, "times", at_least=True))
        ratio = row.width / row.p95
        note = "" if ratio <= WORST_RATIO_OF_WIDTH else _WHY_WIDE
        held.append(Bar(f"width of the bound over p95 error, {name}", ratio, WORST_RATIO_OF_WIDTH, "times", note=note))
    share = 100 * sum(row.held for row in rows) / windows
    held.append(Bar(f"bounds that hold, of {windows} windows", share, 100.0, "%", at_least=True))
    return held


_WHY_WIDE = "the bound holds for any load within the power limit; inside a refresh these loads are tamer"


def main() -> None:
    """Measure, print and write."""
    options = arguments(str(__doc__).partition("\n")[0])
    each = 10 if options.quick else EACH
    rows, by_waveform = [], []
    for sensor, seconds, host in product((*COUNTERS, *GAUGES), WINDOWS, (IDLE, STARVED)):
        found = measured(sensor, seconds, each, starved=host == STARVED)
        rows.append(summarized(sensor.name, host, seconds, "all", found))
        for name in WAVEFORMS if host == IDLE else ():
            own = [each for each in found if each.waveform == name]
            by_waveform.append(summarized(sensor.name, host, seconds, name, own))
    show("Error and bound by sensor and window, all waveforms", rows)
    show("The same by waveform, windows of 1 s", [row for row in by_waveform if row.seconds == 1.0])
    figures = {"seed": SEED, "rows": [_as_figures(row) for row in (*rows, *by_waveform)]}
    finish(options.json, figures, bars(rows))


def show(title: str, rows: list[Row]) -> None:
    """Print rows as a table; errors and widths in percent of the truth, ± is half the width of the bound."""
    columns = (
        "SENSOR",
        "HOST",
        "WINDOW>",
        "LOAD",
        "WINDOWS>",
        "P95 ERROR>",
        "TWO READS>",
        "GAIN>",
        "BOUND ±>",
        "HELD>",
    )
    table(
        title,
        columns,
        [
            (
                row.sensor,
                row.host,
                f"{row.seconds:g} s",
                row.waveform,
                row.windows,
                f"{row.p95:.3%}",
                "" if row.sensor.startswith("gauge") else f"{row.plain_p95:.3%}",
                "" if row.sensor.startswith("gauge") else f"{row.plain_p95 / row.p95:.1f}",
                f"{row.width / 2:.3%}",
                f"{row.held}",
            )
            for row in rows
        ],
    )


def _as_figures(row: Row) -> dict[str, str | float]:
    return {
        "sensor": row.sensor,
        "host": row.host,
        "window_seconds": row.seconds,
        "waveform": row.waveform,
        "windows": row.windows,
        "p95_error": row.p95,
        "two_reads_p95_error": row.plain_p95,
        "median_bound_width": row.width,
        "held": row.held,
    }


if __name__ == "__main__":
    main()
