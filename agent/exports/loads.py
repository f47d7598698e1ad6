"""The loads of profiles as planners describe them: lengths, rates, latencies in milliseconds, the measured machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.profiling.records import Document, Point
    from agent.profiling.run_facts import LatencySummary

_MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class Load:
    """One point of a load on a server, with its profile.

    `prompt_tokens` and `output_tokens` are the requested lengths, None if they are not one number.
    """

    document: Document
    point: Point
    prompt_tokens: int | None
    output_tokens: int | None

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """The requested lengths of prompt and output."""
        return self.prompt_tokens, self.output_tokens

    @property
    def mean_input_tokens(self) -> float | None:
        """The mean tokens of a prompt."""
        lengths = self.point.serving.input_tokens if self.point.serving else None
        return None if lengths is None else lengths.mean

    @property
    def mean_output_tokens(self) -> float | None:
        """The mean tokens of an output."""
        lengths = self.point.serving.output_tokens if self.point.serving else None
        return None if lengths is None else lengths.mean

    @property
    def name(self) -> str:
        """The profile and the point, for a message."""
        return f"{self.document.id} {self.point.name}"


def loads_of(documents: Iterable[Document]) -> Iterator[Load]:
    """Yield the points of loads on a server that have requests."""
    for document in documents:
        for point in document.points:
            if point.serving is not None and point.serving.completed:
                yield Load(document, point, *(_requested(document, point, name) for name in _LENGTHS))


_LENGTHS = ("prompt_tokens", "output_tokens")


def _requested(document: Document, point: Point, name: str) -> int | None:
    value = point.parameters.get(name, document.workload.settings.get(name))
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def milliseconds(latency: LatencySummary | None, statistic: str) -> float | None:
    """Return one statistic of a latency in milliseconds, None if it is unknown."""
    value = None if latency is None else getattr(latency, statistic)
    return None if value is None else round(value * _MILLISECONDS, 6)


def sources(loads: Iterable[Load]) -> str:
    """Return the source of the power of these points: measured, estimated or mixed; `none` without any."""
    found = {each.point.power.source for each in loads if each.point.power is not None}
    if not found:
        return "none"
    return found.pop() if len(found) == 1 else "mixed"
