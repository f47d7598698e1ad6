"""A comparison of setups as text: the answer, values side by side, shares of devices, ranges of load, quality."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from agent.comparison.metrics import METRICS
from agent.comparison.shares import REST
from agent.render.figures import figure, time_unit
from agent.render.tables import percent, plain, table, titled_table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.comparison.records import Cell, CheapestByLoad, Comparison, Difference, PointRow, Quality, Shares
    from agent.cost.interval import Interval

_TITLES = {
    "mean_latency_seconds": "Mean latency of an inference",
    "median_time_to_first_token_seconds": "Median time to the first token",
    "inferences_per_second": "Inferences per second",
    "joules_per_inference": "Joules per inference",
    "joules_per_output_token": "Joules per output token",
    "cost_per_million_inferences": "Cost of a million inferences",
    "cost_per_million_output_tokens": "Cost of a million output tokens",
}
_IN_HEADLINE = (
    (("cost_per_million_output_tokens", "cost_per_million_inferences"), "is {}"),
    (("joules_per_inference",), "uses {} energy per inference"),
    (("mean_latency_seconds",), "is {}"),
    (("inferences_per_second",), "has {} throughput"),
)
"""The clauses of the first lines: of each group of metrics the first one that the point has."""
_WORDS = {metric.name: metric.words for metric in METRICS}
_PARTS = ("cpu", "gpu", "npu", "fpga", "accelerator", "dram", REST)
_MOST_DIGITS = 3
_ROUNDING = 1e-9
_SYMMETRIC = 0.25
"""The share by which the sides of a ratio's interval may differ before both of its ends are shown."""


def comparison_text(found: Comparison, width: int) -> str:
    """Return a comparison as text, in lines of up to `width` characters."""
    parts = [
        _setups(found, width),
        *(wrapped(f"Forced, not comparable: {reason}.", width, 2) for reason in found.incomparable),
        _headline(found, width),
        *(_metric_table(found, name, width) for name in _TITLES),
        _single_runs(found, width),
        _shares_table(found, width),
        _cheapest(found.cheapest_by_load, width) if found.cheapest_by_load else "",
        _quality_table(found, width),
        "\n".join(wrapped(f"- {note}", width, 2) for note in found.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def difference_text(metric: str, difference: Difference) -> str:
    """Return a difference in words: `1.8x ± 0.1 cheaper`, or the reason why there is none."""
    if difference.ratio is None:
        return f"{difference.verdict}: {difference.reason}"
    if difference.verdict == "not significant":
        words = "no significant difference" if _contains_one(difference) else "not significant once corrected"
        return f"{words} ({_range(difference.lower, difference.upper)})"
    less, more = _WORDS[metric]
    ratio, lower, upper = difference.ratio, difference.lower, difference.upper
    if lower is None and upper is None:
        return (
            "equal" if ratio == 1 else f"{max(ratio, 1 / ratio):.2f}x {less if ratio < 1 else more}, without interval"
        )
    if difference.verdict == "within this run only" and _contains_one(difference):
        return f"no difference shown ({_range(lower, upper)})"
    if ratio < 1:
        ratio = 1 / ratio
        lower, upper = (None if not end else 1 / end for end in (upper, lower))
    return f"{times(ratio, lower, upper)} {less if difference.ratio < 1 else more}"


def _contains_one(difference: Difference) -> bool:
    return (difference.lower or 0) <= 1 <= (math.inf if difference.upper is None else difference.upper)


def times(ratio: float, lower: float | None, upper: float | None) -> str:
    """Return a ratio with its interval: `1.8x ± 0.1`, or both ends if the sides differ."""
    if lower is None or upper is None:
        return f"{ratio:.2f}x"
    below, above = ratio - lower, upper - ratio
    half = max(below, above)
    if abs(below - above) > _SYMMETRIC * half:
        return f"{ratio:.2f}x ({_range(lower, upper)})"
    digits = min(_MOST_DIGITS, max(0, _digits(half))) if half else _MOST_DIGITS
    rounded = math.floor(half * 10**digits + 0.5) / 10**digits  # a half is rounded up
    return f"{ratio:.{digits}f}x ± {rounded:.{digits}f}"


def _digits(half: float) -> int:
    """Return the decimals of a half-width: to its first digit, or to its second if the first is 1."""
    place = math.floor(math.log10(half) + _ROUNDING)
    return 1 - place if half < 2 * 10.0**place else -place


def _range(lower: float | None, upper: float | None) -> str:
    if lower is None and upper is None:
        return "without bounds"
    if lower is None or upper is None:
        return f"up to {upper:.2f}x" if lower is None else f"{lower:.2f}x or more"
    return f"{lower:.2f}x to {upper:.2f}x"


def _setups(found: Comparison, width: int) -> str:
    rows = [
        [each.label, each.name, str(len(each.profiles)), min(each.created)[:10], each.source or "-", each.boundary]
        for each in found.setups
    ]
    return table(["", "SETUP", "PROFILES>", "FIRST", "ENERGY", "BOUNDARY"], rows, width)


def _headline(found: Comparison, width: int) -> str:
    return "\n".join(wrapped(sentence, width, 2) for sentence in headlines(found))


def headlines(found: Comparison) -> list[str]:
    """Return a sentence for each setup against the first one, at the point of the highest throughput."""
    busiest = max(found.points, key=_throughput)
    cells = {row.metric: {cell.setup: cell for cell in row.cells} for row in busiest.metrics}
    reference = next(iter(cells["inferences_per_second"]))
    sentences = (_sentence(cells, setup.label, reference, busiest.point) for setup in found.setups)
    return [sentence for sentence in sentences if sentence]


def _sentence(cells: Mapping[str, Mapping[str, Cell]], label: str, reference: str, point: str) -> str:
    """Return the significant differences of a setup, else those of single runs; empty if it lacks the point."""
    said: dict[str, list[str]] = {}
    for names, clause in _IN_HEADLINE:
        name = next((each for each in names if each in cells), "")
        cell = cells.get(name, {}).get(label)
        if cell and cell.difference and cell.difference.ratio is not None:
            if cell.difference.verdict == "within this run only" and _contains_one(cell.difference):
                said.setdefault("unclear", [])
                continue
            text = clause.format(difference_text(name, cell.difference))
            said.setdefault(cell.difference.verdict, []).append(text)
    if clauses := said.get("significant"):
        return f"{label} {_listed(clauses)} than {reference} at {point}."
    if clauses := said.get("within this run only"):
        return f"{label} {_listed(clauses)} than {reference} at {point}, within this run only."
    if not said:
        return ""
    single = "not significant" not in said
    return f"{label} {'shows no' if single else 'has no significant'} difference to {reference} at {point}."


def _listed(clauses: Sequence[str]) -> str:
    return f"{', '.join(clauses[:-1])} and {clauses[-1]}" if len(clauses) > 1 else clauses[0]


def _throughput(point: PointRow) -> float:
    return max(cell.value.mean for row in point.metrics if row.metric == "inferences_per_second" for cell in row.cells)


def _metric_table(found: Comparison, metric: str, width: int) -> str:
    """Return the values of one metric side by side, and each setup's difference; empty without values."""
    rows = [(point.point, row.cells) for point in found.points for row in point.metrics if row.metric == metric]
    if not rows:
        return ""
    factor, unit = (1.0, "")
    if metric.endswith("_seconds"):
        factor, unit = time_unit(cell.value.mean for _, cells in rows for cell in cells)
    elif metric.startswith("cost"):
        unit = found.currency or "price units"
    labels = [setup.label for setup in found.setups]
    cells_of = {label: [cell for _, cells in rows for cell in cells if cell.setup == label] for label in labels}
    compared = [label for label in labels if any(cell.difference for cell in cells_of[label])]
    shown = [
        [
            name,
            *(_value(cells, label, factor) for label in labels),
            *(_difference(metric, cells, each) for each in compared),
        ]
        for name, cells in rows
    ]
    title = f"{_TITLES[metric]}{f' in {unit}' if unit else ''}"
    title += f", {found.cost_basis}." if metric.startswith("cost") else "."
    against = [f"{label} AGAINST {labels[0] if label != labels[0] else '-'}" for label in compared]
    headings = ["POINT", *(f"{label}>" for label in labels), *against]
    return titled_table(title, headings, shown, width)


def _single_runs(found: Comparison, width: int) -> str:
    differences = (cell.difference for point in found.points for row in point.metrics for cell in row.cells)
    reasons = dict.fromkeys(each.reason for each in differences if each and each.reason)
    lines = [f"Not comparable: {reason}." for reason in reasons]
    differences = (cell.difference for point in found.points for row in point.metrics for cell in row.cells)
    if any(each and each.verdict == "within this run only" for each in differences):
        lines.append("* within this run only: independent runs of a setup can differ by more.")
    return "\n".join(wrapped(line, width, 2) for line in lines)


def _value(cells: Sequence[Cell], label: str, factor: float) -> str:
    cell = next((each for each in cells if each.setup == label), None)
    return "-" if cell is None else _figure(cell.value, factor)


def _figure(value: Interval, factor: float = 1.0) -> str:
    if value.lower == value.upper:
        return plain(value.mean * factor)
    return figure(msgspec.to_builtins(value), "", factor)


def _difference(metric: str, cells: Sequence[Cell], label: str) -> str:
    """Return the difference of a cell; a star marks one that holds within the runs alone."""
    found = next((each.difference for each in cells if each.setup == label), None)
    if found is None or found.ratio is None:
        return "-" if found is None else found.verdict
    return f"{difference_text(metric, found)}{' *' if found.verdict == 'within this run only' else ''}"


def _shares_table(found: Comparison, width: int) -> str:
    """Return the share of each part of the machine at the point of the highest throughput, by phase."""
    busiest = max(found.points, key=_throughput).point
    own = [each for each in found.shares if each.point == busiest]
    parts = [name for name in _PARTS if any(name in each.parts for each in own)]
    if not parts:
        return ""
    rows = [
        [each.setup, each.phase or "all", plain(each.joules), *(_share(each, name) for name in parts)] for each in own
    ]
    headings = ["", "PHASE", "J/INFERENCE>", *(f"{name.upper()}>" for name in parts)]
    return titled_table(f"Shares of the energy at {busiest}.", headings, rows, width)


def _share(shares: Shares, part: str) -> str:
    return percent(shares.parts.get(part, 0.0) / shares.joules) if shares.joules else "-"


def _cheapest(found: CheapestByLoad, width: int) -> str:
    unit = "energy" if found.unit == "J" else f"cost in {found.unit}"
    names = ", ".join(f"{label} {plain(capacity)}" for label, capacity in found.capacities.items())
    title = f"Least {unit} by demand in inferences/s, with whole machines of one setup. Capacity of one: {names}."
    rows = [[f"{plain(each.lower)} to {plain(each.upper)}", each.cheapest] for each in found.ranges]
    notes = [wrapped(f"{note}.", width, 2) for note in found.notes]
    return "\n".join([wrapped(title, width, 0), table(["DEMAND", "LEAST"], rows, width), *notes])


def _quality_table(found: Comparison, width: int) -> str:
    if not found.quality:
        return ""
    columns = [
        "",
        "MODEL",
        "CORRECT>",
        "QUESTIONS>",
        "J/CORRECT ANSWER>",
        f"{found.currency or 'COST'}/CORRECT ANSWER>",
    ]
    rows = [
        [each.setup, each.model, _accuracy(each), f"{each.questions:,}", *(_amounts(each))] for each in found.quality
    ]
    refused = [
        wrapped(f"{each.setup}: no energy and no cost of a correct answer: {each.refused}.", width, 2)
        for each in found.quality
        if each.refused
    ]
    return "\n".join(["Quality, with its standard error.", table(columns, rows, width), *refused])


def _accuracy(quality: Quality) -> str:
    error = "" if quality.standard_error is None else f" ± {quality.standard_error * 100:.2g}"
    return f"{quality.accuracy * 100:.3g}{error} %"


def _amounts(quality: Quality) -> Iterable[str]:
    joules, cost = quality.joules_per_correct_answer, quality.cost_per_correct_answer
    source = "" if joules is None or quality.energy_source == "measured" else f" {quality.energy_source}"
    yield "-" if joules is None else f"{_figure(joules)}{source}"
    yield "-" if cost is None else _figure(cost)
