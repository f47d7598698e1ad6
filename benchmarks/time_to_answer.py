"""Measures the time of `--tolerance 2%` and the share of its intervals that contain the truth, beside fixed repeats."""

from __future__ import annotations

import resource
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from noise import NOISES
from reporting import Bar, arguments, finish, table
from tolerance_runs import real_rows

from agent.profiling.analysis.intervals import interval
from agent.profiling.analysis.precision import is_converged, sequential_half_width
from agent.profiling.analysis.sequential import FEWEST_REPEATS, next_check, widening
from agent.profiling.plan import IDLE_PART_SECONDS, IDLE_PARTS, PLANS

if TYPE_CHECKING:
    from noise import Noise
    from numpy.typing import NDArray

TOLERANCE = 0.02
SPREADS = (0.005, 0.01, 0.02, 0.04)
LEAST_COVERAGE, MOST_SHARE = 93.0, 0.5
RUNS, MAX_REPEATS = 1000, 1000
PLAN = PLANS["quick"]
CHECK_SECONDS = 1.1
"""A check waits for samples, which the recorder stores once a second."""
FIXED = (("--quick", 3), ("10 s, as optimum-benchmark by default", 7), ("a minute", 40))
IDLE_SPREADS = (0.005, 0.01, 0.03)


@dataclass(frozen=True, slots=True)
class Cell:
    """The results under one noise of one spread: shares of runs in percent, repeats, seconds of a virtual clock.

    `coverage` is that of the reported interval, `narrow_coverage` that of the interval before it is made as wide as the
    tolerance. `fixed_repeats` is the fixed number from which on the same share of means is within the tolerance, None
    if it exceeds the longest run.
    """

    noise: str
    spread: float
    coverage: float
    narrow_coverage: float
    unfinished: float
    repeats: float
    seconds: float
    fixed_repeats: int | None


def stopped(values: list[float]) -> tuple[int, int]:
    """Return the number of repeats at which the rule of a run stops, and the number of its checks."""
    count, checks = FEWEST_REPEATS, 1
    while count < len(values) and not is_converged(values[:count], TOLERANCE):
        count, checks = next_check(count), checks + 1
    return min(count, len(values)), checks


def seconds_of(repeats: float, checks: float = 0.0) -> float:
    """Return the time of the repeats of a run with its checks, without load, warm-up and baselines."""
    return repeats * PLAN.window_seconds + checks * CHECK_SECONDS


def fixed_coverage(values: NDArray[np.float64], truths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the percentage of runs whose mean is within the tolerance of the truth, by the number of repeats."""
    means = np.cumsum(values, axis=1) / np.arange(1, values.shape[1] + 1)
    covered: NDArray[np.float64] = 100 * np.mean(np.abs(means - truths) <= TOLERANCE * means, axis=0)
    return covered


def least_fixed(covered: NDArray[np.float64], wanted: float) -> int | None:
    """Return the least number of repeats from which on at least `wanted` percent are covered, None if there is none."""
    below = np.flatnonzero(covered < wanted)
    number = int(below[-1]) + 2 if len(below) else 1
    return number if number <= len(covered) else None


def cell(noise: Noise, spread: float, runs: int, covered: dict[tuple[str, float], NDArray[np.float64]]) -> Cell:
    """Let the rule stop each run."""
    generator = np.random.default_rng([NOISES.index(noise), round(1e6 * spread)])
    values, truths = noise.draw(generator, runs, MAX_REPEATS, spread)
    hits = narrow = 0
    stops = []
    for row, truth in zip(values.tolist(), truths.tolist(), strict=True):
        count, checks = stopped(row)
        own = row[:count]
        stops.append((count, checks))
        reported, bare = interval(own, widening(own, TOLERANCE)), interval(own, widening(own, 0.0))
        hits += (reported.lower or 0) <= truth[count - 1] <= (reported.upper or 0)
        narrow += (bare.lower or 0) <= truth[count - 1] <= (bare.upper or 0)
    fixed = covered[noise.name, spread] = fixed_coverage(values, truths)
    repeats, checks_done = (statistics.fmean(each) for each in zip(*stops, strict=True))
    coverage = 100 * hits / runs
    return Cell(
        noise.name,
        spread,
        coverage,
        100 * narrow / runs,
        100 * sum(count == MAX_REPEATS for count, _ in stops) / runs,
        repeats,
        seconds_of(repeats, checks_done),
        least_fixed(fixed, coverage),
    )


def idle_rows(runs: int) -> list[tuple[object, ...]]:
    """Return the mean length of an idle baseline of the standard plan, by the spread of its parts of half a second."""
    whole = PLANS["standard"].idle_seconds
    rows = []
    for spread in IDLE_SPREADS:
        parts = np.random.default_rng(1).normal(1, spread, (runs, round(whole / IDLE_PART_SECONDS))).tolist()
        lengths = []
        for row in parts:
            count = IDLE_PARTS
            while count < len(row) and (sequential_half_width(row[:count]) or 0.0) > TOLERANCE:
                count += 1
            lengths.append(count * IDLE_PART_SECONDS)
        rows.append((f"{spread:.1%}", f"{statistics.fmean(lengths):.1f} s", f"{whole:g} s"))
    return rows


def main() -> None:
    """Simulate, then run the command."""
    options = arguments(str(__doc__).partition("\n")[0])
    runs = 100 if options.quick else RUNS
    covered: dict[tuple[str, float], NDArray[np.float64]] = {}
    cells = [cell(noise, spread, runs, covered) for noise in NOISES for spread in SPREADS]
    lowest = min(each.coverage for each in cells)
    together = np.min(list(covered.values()), axis=0)
    fixed = least_fixed(together, lowest)
    own = statistics.fmean(each.seconds for each in cells)
    table(
        f"Coverage and time of a tolerance of {TOLERANCE:.0%}, {runs} runs each",
        ("NOISE", "SPREAD>", "COVERAGE>", "BARE>", "UNFINISHED>", "REPEATS>", "TIME>", "BEST FIXED>"),
        [
            (each.noise, f"{each.spread:.1%}", f"{each.coverage:.1f} %", f"{each.narrow_coverage:.1f} %",
             f"{each.unfinished:.1f} %", f"{each.repeats:.1f}", f"{each.seconds:.0f} s", each.fixed_repeats or "-")
            for each in cells
        ],
    )  # fmt: skip
    print(
        "\n  COVERAGE is the share of runs whose reported interval contains the truth, BARE that of the interval before"
        "\n  it is made as wide as the tolerance. BEST FIXED is the least number of repeats of the same coverage if the"
        "\n  noise were known before the run."
    )
    table(
        "Fixed numbers of repeats, the same for every noise: the share of means within 2 % of the truth",
        ("PROTOCOL", "REPEATS>", "TIME>", "LOWEST SHARE>"),
        [
            (name, count, f"{seconds_of(count):.0f} s", f"{together[count - 1]:.1f} %")
            for name, count in (*FIXED, ("of equal coverage", fixed or MAX_REPEATS))
        ],
    )
    table("The truth", ("NOISE", "TRUTH"), [(each.name, each.truth) for each in NOISES])
    table("Idle baselines of the standard plan", ("SPREAD>", "MEAN LENGTH>", "FIXED LENGTH>"), idle_rows(runs))
    bars = [
        Bar("lowest coverage of the reported interval", lowest, LEAST_COVERAGE, "%", at_least=True),
        Bar(
            "time over that of the shortest fixed protocol of equal coverage",
            own / seconds_of(fixed or MAX_REPEATS),
            MOST_SHARE,
            note=f"{own:.0f} s in the mean; {fixed or f'more than {MAX_REPEATS}'} repeats, the same for every noise",
        ),
    ]
    figures: dict[str, Any] = {"cells": [asdict(each) for each in cells], "fixed_repeats": fixed, "mean_seconds": own}
    figures["real"] = real_rows(quick=options.quick)
    figures["peak_memory_mebibytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    finish(options.json, figures, bars)


if __name__ == "__main__":
    main()
