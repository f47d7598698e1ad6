"""Profiles of loads with the lengths and the numbers of requests that planners need."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.cost.interval import Interval
from agent.cost.tariff import Tariff
from agent.energy.provenance import Provenance
from agent.profiling.pricing import price_document
from agent.profiling.records import Baseline, Document, Point
from agent.profiling.run_facts import LatencySummary
from agent.profiling.serving_records import Lengths
from serving_documents import OPEN, served

PRICES = Tariff(price_per_kwh=0.3, currency="USD", capital=35040, pue=1.0)
"""Capital of 1 USD an hour."""
_WATTS = {"mean": 40.0, "lower": 38.0, "upper": 42.0, "source": "measured"}
_BASELINES = [
    {"state": "loaded", "when": when, "duration_seconds": 3.0, "watts": _WATTS, "sensors": []}
    for when in ("before", "after")
]


def latency(mean: float, count: int = 300) -> LatencySummary:
    """Return a summary with percentiles at 1.5, 2 and 4 times the mean; p99 is absent below 299 requests."""
    p99 = 4 * mean if count >= 299 else None
    return LatencySummary(count, mean, mean / 2, mean, 1.5 * mean, 2 * mean, p99, 5 * mean)


def load(
    shape: tuple[int, int], first: float, step: float, per_second: float, requests: int = 300, **load: Any
) -> Point:
    """Return a point of a load: lengths, time to the first token, time between tokens, requests per second.

    `load` is `rate` or `concurrency`. The power is 100 W.
    """
    prompt, output = shape
    example = msgspec.convert(OPEN[0], Point)
    assert example.serving is not None
    found = msgspec.structs.replace(
        example,
        name=f"{next(iter(load))}={next(iter(load.values()))} prompt_tokens={prompt} output_tokens={output}",
        parameters={**load, "prompt_tokens": prompt, "output_tokens": output},
        input_tokens_per_inference=float(prompt),
        output_tokens_per_inference=float(output),
        latency_seconds=latency(first + step * output, requests),
        time_to_first_token_seconds=latency(first, requests),
        inter_token_latency_seconds=latency(step, requests * output),
        inferences_per_second=Interval(per_second, per_second * 0.98, per_second * 1.02),
        input_tokens_per_second=Interval.exact(per_second * prompt),
        output_tokens_per_second=Interval.exact(per_second * output),
        serving=msgspec.structs.replace(
            example.serving,
            requests=requests,
            completed=requests,
            input_tokens=Lengths(float(prompt), prompt, prompt),
            time_per_output_token_seconds=latency(step, requests),
            output_tokens=Lengths(float(output), output, output),
        ),
    )
    return with_watts(found, 100.0)


def with_watts(point: Point, watts: float, source: str = "measured") -> Point:
    """Return a point whose mean power is this."""
    assert point.power is not None
    assert point.energy is not None
    joules = watts / point.inferences_per_second.mean
    total = msgspec.structs.replace(
        point.energy.joules_per_inference.total,
        mean=joules,
        lower=0.9 * joules,
        upper=1.1 * joules,
        source=Provenance(source),
    )
    mean = msgspec.structs.replace(
        point.power.mean_watts, mean=watts, lower=0.9 * watts, upper=1.1 * watts, source=Provenance(source)
    )
    return msgspec.structs.replace(
        point,
        power=msgspec.structs.replace(point.power, mean_watts=mean, source=Provenance(source)),
        energy=msgspec.structs.replace(
            point.energy,
            joules_per_inference=msgspec.structs.replace(point.energy.joules_per_inference, total=total),
        ),
    )


def profile(*points: Point, tariff: Tariff | None = PRICES, **changed: Any) -> Document:
    """Return a profile of these points, priced."""
    document = msgspec.convert(served([]), Document)
    baselines = msgspec.convert(_BASELINES, tuple[Baseline, ...])
    found = msgspec.structs.replace(document, points=points, baselines=baselines, **changed)
    return price_document(found, tariff)
