"""Reads the counts of an inference server from its metrics in the text format of Prometheus; pure.

The text is untrusted: its size, its series and its labels are limited, and only lines of known metrics are parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from agent.config.serving_kinds import QUANTITIES, SUM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.samples import Sample

    from agent.config.serving_kinds import MetricNames, Names

MOST_SERIES = 10_000
MOST_MODELS = 1_000
LONGEST_LABEL = 128
LARGEST = 1e15
"""The largest value: 30 years in microseconds. A larger one would stay in the totals permanently."""
_CONDITION = re.compile(r'(?P<name>[^{]+)(?:\{(?P<label>\w+)="(?P<value>[^"]*)"\})?')
_SAMPLE_NAME = re.compile(rb"[ \t]*([a-zA-Z_:][a-zA-Z0-9_:]*)")
_Condition = tuple[str, str | None, str | None]
"""The name of a metric, and the label and the value that its series must have; None for no condition."""
_TIMES = frozenset({"duration", "prefill", "decode"})


class ExpositionError(ValueError):
    """A text that lacks the metrics of the server, is not in the format of Prometheus, or has too many series."""


Counts = dict[str, float]
"""Values by the names of `QUANTITIES`, without those that are unknown; times are in seconds."""


@dataclass(frozen=True, slots=True)
class ServerReading:
    """The values of a server by model. `shortened` counts the models whose names were shortened or cleaned."""

    models: Mapping[str, Counts] = field(default_factory=dict)
    shortened: int = 0


def read_exposition(text: bytes, names: MetricNames, model: str = "") -> ServerReading:
    """Return the values of a server; `model` is the name of the model for series without a label for it.

    Values that are negative, not finite or above LARGEST are left out. Raises ExpositionError.
    """
    series = _series(text, names)
    models: dict[str, Counts] = {}
    changed = set()
    for quantity in QUANTITIES:
        unit = names.time_unit_seconds if quantity in _TIMES else 1.0
        for sample in _chosen(getattr(names, quantity), series):
            stated = next((sample.labels[each] for each in names.model_labels if sample.labels.get(each)), model)
            name = _clean(stated)
            if name != stated:
                changed.add(name)
            counts = models.setdefault(name, {})
            counts[quantity] = counts.get(quantity, 0.0) + sample.value * unit
    if not models:
        raise ExpositionError(
            "it has none of the server's metrics; check kind and url, and enable the metrics of the server"
        )
    if len(models) > MOST_MODELS:
        raise ExpositionError(f"it has more than {MOST_MODELS} models; check the label of the model")
    return ServerReading(models, len(changed))


def _series(text: bytes, names: MetricNames) -> dict[str, list[Sample]]:
    """Return the samples of the metrics of a server by name."""
    chosen = (each for quantity in QUANTITIES for each in getattr(names, quantity))
    wanted = {_parsed(part)[0] for each in chosen for part in each.split(SUM)}
    lines = list(_lines(text, {name.encode() for name in wanted}))
    if len(lines) > MOST_SERIES:
        raise ExpositionError(f"it has more than {MOST_SERIES} series of the server's metrics")
    found: dict[str, list[Sample]] = {}
    try:
        plain = b"\n".join(lines).decode() + "\n"
        for family in text_string_to_metric_families(plain):
            for sample in family.samples:
                if 0 <= sample.value <= LARGEST:
                    found.setdefault(sample.name, []).append(sample)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:  # of the parser, at garbage
        raise ExpositionError(f"it is not in the text format of Prometheus ({type(error).__name__})") from error
    return found


def _lines(text: bytes, names: set[bytes]) -> Iterator[bytes]:
    """Yield the lines of some metrics: the parser takes twenty times longer for all of them."""
    for line in text.split(b"\n"):
        name = _SAMPLE_NAME.match(line)
        if name and name[1] in names:
            yield line.rstrip(b"\r")


def _chosen(alternatives: Names, series: Mapping[str, list[Sample]]) -> list[Sample]:
    """Return the samples of the first name that the server exports."""
    for each in alternatives:
        first, *more = map(_parsed, each.split(SUM))
        if first[0] in series:
            return [sample for part in (first, *more) for sample in _matching(part, series)]
    return []


def _matching(part: _Condition, series: Mapping[str, list[Sample]]) -> list[Sample]:
    name, label, value = part
    return [each for each in series.get(name, ()) if not label or each.labels.get(label) == value]


def _parsed(name: str) -> _Condition:
    """Return the name of a metric, and the label and the value that its series must have; None for no condition."""
    parts = _CONDITION.fullmatch(name)
    return (parts["name"], parts["label"], parts["value"]) if parts else (name, None, None)


def _clean(label: str) -> str:
    """Return a label without control characters, of limited length."""
    shown = "".join(each if each.isprintable() else "?" for each in label[: LONGEST_LABEL + 1])
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"
