"""Compares setups point by point: values side by side, their ratios, and whether a difference is significant; pure."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import structs

from agent.comparison.cheapest import cheapest_by_load
from agent.comparison.matching import IncomparableError, matched, reasons_against
from agent.comparison.metrics import METRICS, Prices, Reading
from agent.comparison.records import Cell, Comparison, Difference, MetricRow, PointRow, SetupFacts
from agent.comparison.setups import mixed
from agent.comparison.shares import shares
from agent.comparison.significance import MIN_RUNS, Ratio, holm, is_significant, mean_bounds, single_ratio, welch_ratio
from agent.cost.interval import Interval
from agent.energy.provenance import Provenance
from agent.profiling.analysis.statistics import summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.comparison.matching import Match, Run
    from agent.comparison.metrics import Metric, Part
    from agent.comparison.records import Verdict
    from agent.comparison.setups import Setup

_ESTIMATES = frozenset({Provenance.ESTIMATED, Provenance.MIXED})


def compare(setups: Sequence[Setup], *, force: bool = False) -> Comparison:
    """Return the comparison of setups, each against the first one that has the point.

    Raises NoSharedLoadError if they have no load in common, and IncomparableError for other boundaries, sources, kinds
    of work or lengths unless `force` is given.
    """
    matches = matched(setups)
    reasons = reasons_against(setups, matches)
    if reasons and not force:
        raise IncomparableError(reasons)
    prices, notes = prices_of(setups)
    cheapest, left_out = cheapest_by_load(setups, force=force)
    tables = [_rows(setups, matches, metric, prices) for metric in METRICS]
    points = tuple(
        PointRow(match.name, match.parameters, tuple(table[index] for table in tables if table[index].cells))
        for index, match in enumerate(matches)
    )
    return Comparison(
        setups=tuple(map(_facts, setups)),
        incomparable=tuple(reasons),
        currency=None if prices is None else prices.currency,
        cost_basis=None if prices is None else f"{prices.basis} basis, {' and '.join(prices.parts)}",
        points=points,
        shares=shares(setups, matches),
        cheapest_by_load=cheapest,
        quality=(),
        notes=(*notes, *_notes(setups), *(f"least cost by demand: {reason}" for reason in left_out)),
    )


def _facts(setup: Setup) -> SetupFacts:
    first = setup.first
    return SetupFacts(
        label=setup.label,
        name=setup.name,
        profiles=tuple(each.id for each in setup.documents),
        created=tuple(each.created for each in setup.documents),
        boundary=first.coverage.boundary.value,
        source=first.coverage.source and first.coverage.source.value,
    )


def prices_of(setups: Sequence[Setup]) -> tuple[Prices | None, tuple[str, ...]]:
    """Return the basis of the costs that all priced points have, None without one; and notes about the prices."""
    documents = [document for setup in setups for document in setup.documents]
    costs = [point.cost for document in documents for point in document.points if point.cost]
    if not costs:
        return None, ("no prices are given, so there are no costs: --tariff FILE.toml gives them",)
    currencies = sorted({cost.currency or "none" for cost in costs})
    if len(currencies) > 1:
        return None, (f"costs are in {' and '.join(currencies)}, which are not converted: give one --tariff",)
    allocated = [cost.allocation for cost in costs if cost.allocation]
    bases = allocated if len(allocated) == len(costs) else [cost.usage for cost in costs]
    names: tuple[Part, ...] = ("energy", "capital")
    parts = tuple(name for name in names if all(getattr(basis.per_inference, name) for basis in bases))
    if not parts:
        return None, ("the costs have no part in common: give one --tariff",)
    assumed = dict.fromkeys(each.text for cost in costs for each in cost.assumed)
    absent = "" if len(parts) > 1 else f"the costs are those of {parts[0]} alone: the tariff has no other price"
    notes = [absent, f"assumed prices: {', '.join(assumed)}" if assumed else ""]
    prices = Prices(costs[0].currency, "allocation" if bases is allocated else "usage", parts)
    return prices, tuple(filter(None, notes))


def _rows(setups: Sequence[Setup], matches: Sequence[Match], metric: Metric, prices: Prices | None) -> list[MetricRow]:
    """Return the rows of one metric, with p values corrected for the points of each pair of setups."""
    rows: list[list[Cell]] = []
    tested: list[tuple[str, int, int, Ratio]] = []
    for index, match in enumerate(matches):
        known = [
            (setup.label, found)
            for setup, runs in zip(setups, match.runs, strict=True)
            if (found := _readings(runs, metric, prices))
        ]
        cells = [Cell(label, _mean([reading for _, reading in found]), len(found)) for label, found in known]
        for place, (label, found) in enumerate(known[1:], 1):
            difference, ratio = _difference(found, known[0][1], has_energy=metric.has_energy(prices))
            cells[place] = structs.replace(cells[place], difference=difference)
            if ratio is not None:
                tested.append((f"{known[0][0]}{label}", index, place, ratio))
        rows.append(cells)
    for _, own in groupby(sorted(tested, key=itemgetter(0, 1)), key=itemgetter(0)):
        pair = list(own)
        for (_, index, place, ratio), p in zip(pair, holm([each[3].p or 0.0 for each in pair]), strict=True):
            rows[index][place] = _decided(rows[index][place], ratio, p)
    return [MetricRow(metric.name, tuple(cells)) for cells in rows]


def _readings(runs: Sequence[Run], metric: Metric, prices: Prices | None) -> list[tuple[Run, Reading]]:
    found = ((run, metric.of(run.point, prices)) for run in runs)
    return [(run, reading) for run, reading in found if reading is not None]


def _difference(
    own: Sequence[tuple[Run, Reading]], reference: Sequence[tuple[Run, Reading]], *, has_energy: bool
) -> tuple[Difference, Ratio | None]:
    """Return the difference of two groups of runs, and the ratio that must still be corrected for its number."""
    documents = [run.document for run, _ in (*own, *reference)]
    machines = {document.host.id for document in documents}
    if has_energy and len(machines) > 1 and any(each.coverage.source in _ESTIMATES for each in documents):
        reason = "the energy is estimated and the machines differ: errors of the model do not cancel"
        return Difference("not comparable", reason=reason), None
    values, others = ([reading.value.mean for _, reading in group] for group in (own, reference))
    if min(*values, *others) <= 0:
        return Difference("not comparable", reason="a value is 0"), None
    shared = len(machines) == 1 and len({each.coverage.includes for each in documents}) == 1
    bounds = [
        mean_bounds([reading.shared if shared else reading.sensors for _, reading in group])
        for group in (own, reference)
    ]
    if min(len(values), len(others)) < MIN_RUNS:
        means = [_mean_by_repeats([reading for _, reading in group]) for group in (own, reference)]
        ratio = single_ratio(means[0], means[1], bounds[0], bounds[1])
        return Difference("within this run only", ratio.ratio, ratio.lower, ratio.upper), None
    ratio = welch_ratio(values, others, bounds[0], bounds[1])
    return Difference("not significant", ratio.ratio, ratio.lower, ratio.upper), ratio


def _decided(cell: Cell, ratio: Ratio, p: float) -> Cell:
    verdict: Verdict = "significant" if is_significant(ratio, p) else "not significant"
    return structs.replace(cell, difference=Difference(verdict, ratio.ratio, ratio.lower, ratio.upper, p))


def _mean_by_repeats(readings: Sequence[Reading]) -> Interval:
    """Return the mean of runs: with the interval between three runs or more, else with the hull of their own ones."""
    values = [reading.value for reading in readings]
    summary = summarize([value.mean for value in values])
    if len(values) >= MIN_RUNS:
        return Interval(summary.mean, max(0.0, summary.lower or 0.0), summary.upper)
    lower = [value.lower for value in values if value.lower is not None]
    upper = [value.upper for value in values if value.upper is not None]
    complete = len(lower) == len(upper) == len(values)
    return Interval(summary.mean, min(lower), max(upper)) if complete else Interval(summary.mean)


def _mean(readings: Sequence[Reading]) -> Interval:
    """Return the mean of runs with its interval, widened by the bounds of the sensors as in a profile: their sum."""
    value, bounds = _mean_by_repeats(readings), mean_bounds([reading.sensors for reading in readings])
    lower = None if value.lower is None else max(0.0, value.lower - value.mean * bounds.below)
    upper = None if value.upper is None or bounds.above is None else value.upper + value.mean * bounds.above
    return Interval(value.mean, lower, upper)


def _notes(setups: Sequence[Setup]) -> list[str]:
    documents = [document for setup in setups for document in setup.documents]
    few = [setup.label for setup in setups if len(setup.documents) < MIN_RUNS]
    notes = []
    if few:
        notes.append(
            f"{', '.join(few)}: fewer than {MIN_RUNS} profiles, so a difference holds within these runs only; profile "
            f"each setup {MIN_RUNS} times, in turns"
        )
    if any(document.coverage.source in _ESTIMATES for document in documents):
        notes.append("the energy is estimated, at least in part, not measured")
    if len({document.host.id for document in documents}) > 1:
        notes.append("the machines have different sensors, whose calibration is unknown and in no interval")
    if any(point.serving for document in documents for point in document.points):
        notes.append("runs on one server process are independent only if the server was started again between them")
    incomplete = [document.id for document in documents if document.status.value != "complete"]
    if incomplete:
        notes.append(f"incomplete runs: {', '.join(incomplete)}")
    notes += [
        f"{setup.label} has profiles of several setups: they differ in {', '.join(names)}"
        for setup in setups
        if (names := mixed(setup))
    ]
    covers = {setup.label: ", ".join(setup.first.coverage.not_covered) or "nothing" for setup in setups}
    if len(set(covers.values())) > 1:
        parts = "; ".join(f"{label} leaves out {missing}" for label, missing in covers.items())
        notes.append(f"the energies cover different parts: {parts}")
    return notes
