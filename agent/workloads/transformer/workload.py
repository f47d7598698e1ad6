"""Runs the transformer: `prefill` reads the prompts and writes the first token, `decode` writes the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from agent.workloads.axes import at_point
from agent.workloads.engines.onnxruntime import ENGINE, VERSION, Session, check_provider, open_session
from agent.workloads.errors import WorkloadError
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase
from agent.workloads.transformer.decoder import build_decoder, cache_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.point import Point
    from agent.workloads.transformer.spec import TransformerSpec


def check(spec: TransformerSpec, engine: EngineSpec, _points: Sequence[Point]) -> None:
    """Check the provider without building the model. Raises WorkloadError."""
    if spec.precision == "int8" and engine.provider == "cuda":
        raise WorkloadError(
            "--precision int8 with --provider cuda: the engine quantizes activations on the CPU only",
            "choose --precision fp16, or --provider cpu",
        )
    check_provider(engine)


def load(spec: TransformerSpec, engine: EngineSpec) -> TransformerWorkload:
    """Build the model in memory and load it. Raises WorkloadError."""
    check(spec, engine, ())
    if spec.precision == "int8":
        engine = msgspec.structs.replace(engine, provider="cpu")
    graph = build_decoder(spec)
    return TransformerWorkload(spec, engine, open_session(graph.serialized(), engine, graph.weights))


class TransformerWorkload:
    """A decoder and a batch of requests: a request is one `prefill` and one `decode` iteration.

    Prefill gives the first output token. Decode gives the others greedily, each from the previous one; a request of one
    output token has no decode. Tokens and cache stay on the device. Every decode iteration starts from the same cache,
    which the engine copies and never changes.
    """

    def __init__(self, spec: TransformerSpec, engine: EngineSpec, session: Session) -> None:
        self.spec = spec
        self.session = session
        self.ready = Ready(
            engine=ENGINE,
            version=VERSION,
            provider=session.provider,
            threads=engine.threads,
            precision=spec.precision,
            parameters=spec.parameter_count(),
            model_bytes=spec.model_bytes(),
            sha256=None,
            phases=spec.phases,
            load_seconds=session.load_seconds,
        )
        self._inputs = ["input_ids", *cache_names(spec, "past")]
        self._outputs = ["next_ids", *cache_names(spec, "present")]

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the prompts of a point, read them, and write one token after the first."""
        spec = at_point(self.spec, parameters)
        batch, element = spec.batch, np.float16 if spec.precision == "fp16" else np.float32
        empty = self.session.tensor(np.zeros((batch, spec.heads, 0, spec.head_width), element))
        ids = np.random.default_rng([spec.seed, batch]).integers(0, spec.vocabulary, (batch, spec.prompt_tokens))
        prompts = dict.fromkeys(self._inputs, empty) | {"input_ids": self.session.tensor(ids)}
        prefilled = self.session.run(prompts, self._outputs)

        def prefill(_steps: list[int]) -> None:
            self.session.run(prompts, self._outputs)

        # Prefill gives the first output token, decode the rest.
        read = batch * spec.prompt_tokens
        phases = {"prefill": Phase(prefill, inferences=batch, input_tokens=read, output_tokens=batch)}
        if spec.output_tokens > 1:
            self._decode(prefilled, 1, [])
            phases["decode"] = self._decoding(prefilled, spec)
        return phases

    def _decoding(self, prefilled: list[Any], spec: TransformerSpec) -> Phase:
        count = spec.output_tokens - 1

        def decode(steps: list[int]) -> None:
            self._decode(prefilled, count, steps)

        return Phase(decode, inferences=spec.batch, output_tokens=spec.batch * count)

    def _decode(self, state: list[Any], count: int, steps: list[int]) -> None:
        before = time.monotonic_ns()
        for _ in range(count):
            state = self.session.run(dict(zip(self._inputs, state, strict=True)), self._outputs)
            after = time.monotonic_ns()
            steps.append(after - before)
            before = after
