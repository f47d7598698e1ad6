"""Measures the CPU time to find the cheapest mix of 20 machines, and its distance from the best mix of small cases.

The machines have random prices, powers and capacities, and curves of four segments. Brute force solves the small cases.
"""

from __future__ import annotations

import random
import time
from itertools import product

from reporting import Bar, arguments, finish, table

from agent.comparison.machines import Machine
from agent.comparison.mix import cheapest_mix
from agent.cost.hourly import HourlyModel

MACHINES, DEMANDS = 20, (10.0, 100.0, 1000.0, 10_000.0)
REPEATS, QUICK_REPEATS = 10, 2
SMALL_CASES, QUICK_SMALL_CASES = 100, 10
MOST_SECONDS, MOST_EXCESS = 1.0, 1e-6


def main() -> None:
    """Solve random cases, and compare small ones with brute force."""
    options = arguments(__doc__ or "")
    source = random.Random(1)
    repeats, cases = (QUICK_REPEATS, QUICK_SMALL_CASES) if options.quick else (REPEATS, SMALL_CASES)
    cheapest_mix(_machines(source, 1, segments=1), 1.0)  # imports SciPy
    seconds = {demand: sorted(_seconds(source, demand) for _ in range(repeats)) for demand in DEMANDS}
    rows = [(f"{demand:g}/s", times[len(times) // 2], times[0], times[-1]) for demand, times in seconds.items()]
    table(f"CPU time of the mix of {MACHINES} machines", ("DEMAND>", "MEDIAN s>", "LEAST s>", "MOST s>"), rows)
    excess = [_excess(source) for _ in range(cases)]
    worst = max(times[-1] for times in seconds.values())
    bars = (
        Bar(f"CPU time of a mix of {MACHINES} machines, slowest", worst, MOST_SECONDS, "s"),
        Bar(f"distance from the best of {cases} small cases, worst", max(map(abs, excess)), MOST_EXCESS),
    )
    finish(options.json, {"seconds": {str(demand): times for demand, times in seconds.items()}}, bars)


def _machines(source: random.Random, count: int, segments: int, least: float = 2.0) -> list[Machine]:
    found = []
    for number in range(count):
        loads = [step / segments for step in range(segments + 1)]
        watts = sorted(source.uniform(50, 1500) for _ in loads)
        curve = tuple(zip(loads, watts, strict=True))
        model = HourlyModel(source.uniform(0.1, 10), source.uniform(0.05, 0.4), 1.3, curve, source.uniform(least, 200))
        found.append(Machine(f"M{number}", "", "", model, estimated=False, currency="EUR"))
    return found


def _seconds(source: random.Random, demand: float) -> float:
    machines = _machines(source, MACHINES, segments=4)
    start = time.process_time()
    cheapest_mix(machines, demand)
    return time.process_time() - start


def _excess(source: random.Random) -> float:
    """Return the cost of a mix of three machines over that of the best of all their numbers, minus 1."""
    machines = _machines(source, 3, segments=1, least=40.0)
    demand = source.uniform(0.5, 4) * max(each.model.capacity for each in machines)
    ranges = [range(int(demand / each.model.capacity) + 2) for each in machines]
    best = min(cost for counts in product(*ranges) if (cost := _cost(machines, counts, demand)) is not None)
    return cheapest_mix(machines, demand).cost_per_hour / best - 1


def _cost(machines: list[Machine], counts: tuple[int, ...], demand: float) -> float | None:
    """Return the cost of an hour of these machines: the cheapest load first; None if they cannot serve the demand."""
    slopes = [(each.model.per_hour(1) - each.model.per_hour(0)) / each.model.capacity for each in machines]
    cost, left = 0.0, demand
    for slope, each, count in sorted(zip(slopes, machines, counts, strict=True), key=lambda own: own[0]):
        load = min(left, count * each.model.capacity)
        cost, left = cost + count * each.model.per_hour(0) + load * slope, left - load
    return None if left > 1e-9 * demand else cost


if __name__ == "__main__":
    main()
