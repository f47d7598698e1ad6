"""Matches the points of setups by their parameters, and lists the reasons against a comparison; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.workloads.point import point_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.comparison.setups import Setup
    from agent.profiling.records import Document, Point
    from agent.workloads.point import Value

MAX_LENGTH_DIFFERENCE = 0.05
"""The largest difference of mean prompt or output lengths, as a share, between points that are compared."""


class NoSharedLoadError(ValueError):
    """No load was measured by two setups, so there is nothing to compare; the message has the remedy."""


class IncomparableError(ValueError):
    """Profiles that are compared only if that is forced. `reasons` are sentences without a full stop."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True)
class Run:
    """One point in one profile."""

    document: Document
    point: Point


@dataclass(frozen=True, slots=True)
class Match:
    """A load that at least two setups measured: its runs by setup, in the order of the setups; some can be empty."""

    name: str
    parameters: dict[str, Value]
    runs: tuple[tuple[Run, ...], ...]


def matched(setups: Sequence[Setup]) -> tuple[Match, ...]:
    """Return the loads that at least two setups have, in the order of the first setup that has them.

    A parameter that one profile sweeps has in another the value of its settings. Raises NoSharedLoadError if the setups
    have no load in common.
    """
    documents = [document for setup in setups for document in setup.documents]
    names = list(
        dict.fromkeys(name for document in documents for point in document.points for name in point.parameters)
    )
    found: dict[tuple[object, ...], list[list[Run]]] = {}
    for index, setup in enumerate(setups):
        for document in setup.documents:
            for point in document.points:
                key = tuple(_value(document, point, name) for name in names)
                found.setdefault(key, [[] for _ in setups])[index].append(Run(document, point))
    shared = {key: runs for key, runs in found.items() if sum(map(bool, runs)) > 1}
    if not shared:
        raise NoSharedLoadError(_nothing_shared(setups))
    return tuple(_match(names, key, runs) for key, runs in shared.items())


def _value(document: Document, point: Point, name: str) -> object:
    value = point.parameters.get(name, document.workload.settings.get(name))
    return value if isinstance(value, str | int | float | bool) else None


def _match(names: Sequence[str], key: Sequence[object], runs: Sequence[Sequence[Run]]) -> Match:
    parameters: dict[str, Value] = {
        name: value for name, value in zip(names, key, strict=True) if isinstance(value, str | int | float | bool)
    }
    return Match(point_name(parameters), parameters, tuple(map(tuple, runs)))


def _nothing_shared(setups: Sequence[Setup]) -> str:
    points = {setup.label: ", ".join(point.name for point in setup.first.points) or "no points" for setup in setups}
    have = "; ".join(f"{label} has {names}" for label, names in points.items())
    return f"no load is in two setups: {have}. Measure the same points of both"


def reasons_against(setups: Sequence[Setup], matches: Iterable[Match]) -> list[str]:
    """Return the reasons why setups are not comparable: other boundaries, sources, kinds of work or lengths."""
    reasons = [
        _different(setups, "the boundary of the energy", lambda each: each.coverage.boundary.value),
        _different(setups, "the source of the energy", lambda each: str(each.coverage.source or "none")),
        _different(setups, "the work", _work),
    ]
    for match in matches:
        lengths = [
            (setup.label, (run.point.input_tokens_per_inference, run.point.output_tokens_per_inference))
            for setup, runs in zip(setups, match.runs, strict=True)
            for run in runs
        ]
        reasons += different_lengths(f"at {match.name}", lengths)
    return [each for each in reasons if each]


def _different(setups: Sequence[Setup], subject: str, of: Callable[[Document], str]) -> str:
    values = {setup.label: " and ".join(sorted({of(each) for each in setup.documents})) for setup in setups}
    if len(set(values.values())) == 1:
        return ""
    return f"{subject} differs: {', '.join(f'{label} has {value}' for label, value in values.items())}"


def _work(document: Document) -> str:
    """Return the kind of work: requests on a server, however they were sent, or a model in this process."""
    served = any(point.serving for point in document.points)
    return "requests on a server" if served else f"the workload {document.workload.name}"


def different_lengths(where: str, lengths: Iterable[tuple[str, tuple[float | None, float | None]]]) -> list[str]:
    """Return the reasons against points whose mean prompts or outputs differ too much; `lengths` have their setups."""
    reasons, found = [], list(lengths)
    for position, words in enumerate(("prompts", "outputs")):
        known = [(length, label) for label, own in found if (length := own[position]) is not None]
        least, most = min(known, default=(0.0, "")), max(known, default=(0.0, ""))
        if most[0] > least[0] * (1 + MAX_LENGTH_DIFFERENCE):
            reasons.append(
                f"the {words} {where} differ by more than 5 %: {least[0]:.4g} tokens in {least[1]}, {most[0]:.4g} in "
                f"{most[1]}"
            )
    return reasons
