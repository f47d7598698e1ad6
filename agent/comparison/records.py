"""A comparison of setups as frozen records, which `--json` prints. Units are in the names of the metrics."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.comparison.lm_eval import TaskAccuracy  # noqa: TC001  msgspec resolves the annotations
from agent.cost.interval import Interval  # noqa: TC001
from agent.workloads.point import Value  # noqa: TC001

Verdict = Literal["significant", "not significant", "within this run only", "not comparable"]


class SetupFacts(msgspec.Struct, frozen=True):
    """One setup: its letter, its name, and the ids of its profiles, each an independent run."""

    label: str
    name: str
    profiles: tuple[str, ...]
    created: tuple[str, ...]
    boundary: str
    source: str | None


class Difference(msgspec.Struct, frozen=True):
    """A setup against the first setup of the table: `ratio` is its value over that of the first.

    `lower` and `upper` are its 95 % interval, None for an unbounded side; the bounds of sensors that the two setups do
    not share widen it. `p` is corrected for the number of points (Holm), None without three independent runs on each
    side. All are None if there is no ratio; `reason` states why.
    """

    verdict: Verdict
    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    reason: str = ""


class Cell(msgspec.Struct, frozen=True):
    """The value of one setup at one point: the mean of `runs` profiles with its 95 % interval.

    `difference` is None in the first setup that has the point.
    """

    setup: str
    value: Interval
    runs: int
    difference: Difference | None = None


class MetricRow(msgspec.Struct, frozen=True):
    """One metric at one point, a cell for each setup that has it."""

    metric: str
    cells: tuple[Cell, ...]


class PointRow(msgspec.Struct, frozen=True):
    """One load that at least two setups have measured."""

    point: str
    parameters: dict[str, Value]
    metrics: tuple[MetricRow, ...]


class Shares(msgspec.Struct, frozen=True):
    """The joules per inference of each part of a machine at one point: of a phase, or of all phases together.

    `parts` are by name: cpu, gpu, dram, other, and `rest`, the measured total that no part has.
    """

    setup: str
    point: str
    phase: str | None
    joules: float
    parts: dict[str, float]


class LoadRange(msgspec.Struct, frozen=True):
    """The demands from `lower` to `upper`, in inferences per second, at which `cheapest` costs least."""

    lower: float
    upper: float
    cheapest: str


class CheapestByLoad(msgspec.Struct, frozen=True):
    """The setup of the least cost by demand, each with as many machines as the demand needs.

    `unit` is the currency of the cost, or `J` if no prices are given. `capacities` are inferences per second of one
    machine, `notes` their origin.
    """

    unit: str
    capacities: dict[str, float]
    ranges: tuple[LoadRange, ...]
    notes: tuple[str, ...]


class Quality(msgspec.Struct, frozen=True):
    """The accuracy of a setup over all questions of an evaluation, with its standard error, and by task.

    `joules_per_correct_answer` is the energy of the whole evaluation, idle power included, over its correct answers,
    `energy_source` its provenance. Both and `cost_per_correct_answer` are None if `refused` states a reason; the cost
    also without prices.
    """

    setup: str
    model: str
    tasks: tuple[TaskAccuracy, ...]
    questions: int
    accuracy: float
    standard_error: float | None
    joules_per_correct_answer: Interval | None
    energy_source: str | None
    cost_per_correct_answer: Interval | None
    refused: str | None


class Comparison(msgspec.Struct, frozen=True):
    """Setups side by side. `incomparable` are the reasons that --force overrode; `notes` qualify the numbers.

    `currency` is that of the costs, `cost_basis` their basis and parts; both None without costs.
    """

    setups: tuple[SetupFacts, ...]
    incomparable: tuple[str, ...]
    currency: str | None
    cost_basis: str | None
    points: tuple[PointRow, ...]
    shares: tuple[Shares, ...]
    cheapest_by_load: CheapestByLoad | None
    quality: tuple[Quality, ...]
    notes: tuple[str, ...]
