"""Counts the operations and the bytes of a request to a transformer, by phase."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.workloads.transformer.sizes import element_bytes
from agent.workloads.work import Work

if TYPE_CHECKING:
    from agent.workloads.transformer.spec import TransformerSpec


def work_of(spec: TransformerSpec) -> dict[str, Work]:
    """Return the least work of one request in each phase.

    A batch reads the weights once for each step, so a request has its part of them. The keys and values of a token are
    written once, and read by every later step. Activations do not count.
    """
    weights = spec.step_bytes() / spec.batch
    if spec.kind == "encoder":
        return {"encode": Work(float(spec.prompt_operations()), weights)}
    cached = 2 * spec.layers * spec.kv_heads * spec.head_width * element_bytes(spec.precision)
    found = {"prefill": Work(float(spec.prompt_operations()), weights + spec.prompt_tokens * cached)}
    steps = spec.output_tokens - 1
    if steps:
        attention = 4 * spec.layers * spec.heads * spec.head_width
        alone = replace(spec, prompt_tokens=1).prompt_operations() - attention
        attended = steps * (spec.prompt_tokens + 1) + steps * (steps - 1) // 2
        found["decode"] = Work(float(steps * alone + attended * attention), steps * weights + attended * cached)
    return found
