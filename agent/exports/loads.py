"""The loads of profiles as planners describe them: lengths, rates, latencies in milliseconds, the measured machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.profiling.records import Document, Point
    from agent.profiling.run_facts import LatencySummary
    from agent.profiling.serving_records import Lengths

_MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class Load:
    """One point of a load on a server, with its profile.

    `prompt_tokens` and `output_tokens` are the requested lengths, else those of all requests; None if they vary.
    """

    document: Document
    point: Point
    prompt_tokens: int | None
    output_tokens: int | None

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """The lengths of prompt and output."""
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

    @property
    def clients(self) -> int | None:
        """The clients of a closed loop, None for an open loop."""
        value = self.point.parameters.get("concurrency")
        return value if isinstance(value, int) else None

    @property
    def first_token_seconds(self) -> float:
        """The mean time to the first token, NaN if it is unknown."""
        return _mean(self.point.time_to_first_token_seconds)

    @property
    def token_latency(self) -> LatencySummary | None:
        """The mean time of an output token after the first one, of each request."""
        return self.point.serving.time_per_output_token_seconds if self.point.serving else None

    @property
    def token_seconds(self) -> float:
        """The mean time of an output token after the first one, NaN if it is unknown."""
        return _mean(self.token_latency)

    @property
    def output_tokens_per_second(self) -> float:
        """The output tokens of all requests per second."""
        rate = self.point.output_tokens_per_second
        return math.nan if rate is None else rate.mean

    @property
    def is_decoding(self) -> bool:
        """Whether the times of the first and of the other tokens and their numbers are known."""
        lengths = (self.mean_input_tokens, self.mean_output_tokens)
        numbers = (self.first_token_seconds, self.token_seconds, self.output_tokens_per_second)
        return all(lengths) and not any(map(math.isnan, numbers))

    @property
    def context_tokens(self) -> float:
        """The mean tokens of a request in the KV cache while its output grows: the prompt and half of the output."""
        return (self.mean_input_tokens or 0.0) + (self.mean_output_tokens or 0.0) / 2

    @property
    def cached_tokens(self) -> float:
        """The mean tokens in the KV cache of the requests that are decoding.

        These are the output tokens per second times the time of one (Little's law).
        """
        return self.output_tokens_per_second * self.token_seconds * self.context_tokens

    @property
    def cached_share(self) -> float:
        """The share of the prompts that came from the cache of the server, 0 if it reports none."""
        rate = self.point.input_tokens_per_second
        cached = self.point.serving.cached_input_tokens_per_second if self.point.serving else None
        return min(1.0, cached / rate.mean) if cached and rate and rate.mean else 0.0

    @property
    def new_input_tokens(self) -> float:
        """The mean tokens of a prompt that the server computed."""
        return (self.mean_input_tokens or 0.0) * (1 - self.cached_share)


def cached_loads(loads: Iterable[Load], most: float) -> list[str]:
    """Return a line for each load of which more than a share of the prompts came from the cache of the server."""
    return [
        f"{each.name} is left out: {100 * each.cached_share:.0f} % of its prompts came from the cache of the server; "
        "start it without a cache of prompts"
        for each in loads
        if each.cached_share > most
    ]


def _mean(latency: LatencySummary | None) -> float:
    return math.nan if latency is None else latency.mean


def loads_of(documents: Iterable[Document]) -> Iterator[Load]:
    """Yield the valid points of loads on a server that have requests."""
    for document in documents:
        for point in document.points:
            served = point.serving
            if served is not None and served.completed and point.valid:
                prompt = _length(document, point, "prompt_tokens", served.input_tokens)
                yield Load(document, point, prompt, _length(document, point, "output_tokens", served.output_tokens))


def left_out(documents: Iterable[Document]) -> list[str]:
    """Return a line for each invalid point of a load, with the reason."""
    return [
        f"{document.id} {point.name} is invalid and left out: {_reason(point)}"
        for document in documents
        for point in document.points
        if point.serving is not None and not point.valid
    ]


def _reason(point: Point) -> str:
    failed = (each.message for each in point.checks if each.failed and each.severity == "invalid")
    return next(failed, "a check failed")


def _length(document: Document, point: Point, name: str, found: Lengths | None) -> int | None:
    """Return the requested length, else the one that all requests had, as in results of other tools."""
    value = point.parameters.get(name, document.workload.settings.get(name))
    if isinstance(value, int):
        return value
    return found.minimum if value is None and found is not None and found.minimum == found.maximum else None


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
