"""Turns the counters of an inference server into increments, over restarts and labels that come and go; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.attribution.exposition import Counts, ServerReading

GAUGES = frozenset({"running", "waiting"})
OTHER = "other"
"""The model of all models beyond the limit."""
MOST_MODELS = 16
MOST_MODELS_REMEMBERED = 2_000


@dataclass(frozen=True, slots=True)
class Increment:
    """The change of a server's counters between two scrapes, by model, and its gauges now.

    `restarted` states whether a counter decreased, so that counts before the restart may be missing. `folded` is the
    number of models that count as `other`.
    """

    counts: Mapping[str, Counts] = field(default_factory=dict)
    gauges: Mapping[str, Counts] = field(default_factory=dict)
    restarted: bool = False
    folded: int = 0

    def total(self, quantity: str) -> float | None:
        """Return the increment or the gauge of a quantity over all models, None if it is unknown."""
        by_model = self.gauges if quantity in GAUGES else self.counts
        known = [counts[quantity] for counts in by_model.values() if quantity in counts]
        return sum(known) if known else None


class ServerCounters:
    """The last counters of one server. The first 16 models are distinguished; all others count as `other`."""

    def __init__(self) -> None:
        self._last: dict[str, Counts] = {}
        self._names: set[str] = set()
        self._started = False

    def advance(self, reading: ServerReading, *, restarted: bool = False) -> Increment:
        """Return the increments since the last reading; those of the first one are 0, as its counts are older.

        A counter that decreased started again from 0, so its value is the increment: that of one model can, while the
        others continue. After a restart that is known otherwise (`restarted`), all values are increments. A series that
        was not in the last readings started from 0 as well.
        """
        counts: dict[str, Counts] = {}
        gauges: dict[str, Counts] = {}
        folded, decreased = set(), False
        for model, values in reading.models.items():
            name = self._name(model)
            if name != model:
                folded.add(model)
            last = {} if restarted else self._last.get(model, {})
            for quantity, value in values.items():
                if quantity in GAUGES:
                    _add(gauges, name, quantity, value)
                    continue
                fell = value < last.get(quantity, 0.0)
                decreased = decreased or fell
                step = value - (0.0 if fell else last.get(quantity, 0.0))
                _add(counts, name, quantity, step if self._started else 0.0)
            self._last[model] = {**self._last.get(model, {}), **values}
        restarted = restarted or decreased
        if restarted or len(self._last) > MOST_MODELS_REMEMBERED:  # a model that returns starts from 0
            self._last = {model: dict(values) for model, values in reading.models.items()}
        self._started = True
        return Increment(counts, gauges, restarted, len(folded))

    def _name(self, model: str) -> str:
        if model not in self._names and len(self._names) < MOST_MODELS:
            self._names.add(model)
        return model if model in self._names else OTHER


class Arrivals:
    """The requests that arrived at each model of a server that counts every end of a request.

    They are the ended requests plus the change of those that run or wait.
    """

    def __init__(self) -> None:
        self._in_flight: dict[str, float] = {}

    def advance(self, increment: Increment) -> dict[str, float]:
        """Return the arrivals between the last reading and this one by model, of those whose gauges are known.

        The first reading of a model gives none. A restart ends all requests in flight.
        """
        found = {}
        for model, gauges in increment.gauges.items():
            if gauges.keys() >= GAUGES:
                now, before = gauges["running"] + gauges["waiting"], self._in_flight.get(model)
                self._in_flight[model] = now
                ended = increment.counts.get(model, {}).get("requests")
                if before is not None and ended is not None:
                    found[model] = max(0.0, ended + now - (0.0 if increment.restarted else before))
        return found


def _add(counts: dict[str, Counts], model: str, quantity: str, value: float) -> None:
    own = counts.setdefault(model, {})
    own[quantity] = own.get(quantity, 0.0) + value
