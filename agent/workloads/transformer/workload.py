"""Runs the transformer: `prefill` reads the prompts and writes the first token, `decode` the others; or `encode`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.axes import at_point
from agent.workloads.model_record import Agreement, LoadedModel
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase
from agent.workloads.transformer.decoder import engine_module
from agent.workloads.transformer.work import work_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.point import Point
    from agent.workloads.transformer.decoder import Decoder
    from agent.workloads.transformer.spec import TransformerSpec

_COMPARED_PROMPTS, _COMPARED_TOKENS = 8, 16
"""The prompts on which precisions are compared."""


def check(spec: TransformerSpec, engine: EngineSpec, points: Sequence[Point]) -> None:
    """Check the engine, its device and the precisions without building a model. Raises WorkloadError."""
    precisions = tuple(dict.fromkeys(at_point(spec, point).precision for point in points)) or (spec.precision,)
    engine_module(spec.engine).check(spec, engine, precisions)


def load(spec: TransformerSpec, engine: EngineSpec) -> TransformerWorkload:
    """Build the model of the first precision in memory and load it. Raises WorkloadError."""
    check(spec, engine, ())
    return TransformerWorkload(spec, engine)


class TransformerWorkload:
    """A decoder and a batch of requests: a request is one `prefill` and one `decode` iteration, or one `encode`.

    Prefill gives the first output token. Decode gives the others greedily, each from the previous one; a request of one
    output token has no decode. Every decode iteration starts from the same state. Each precision has a decoder of its
    own, which is loaded with the first point that needs it and stays loaded.
    """

    def __init__(self, spec: TransformerSpec, engine: EngineSpec) -> None:
        self.spec = spec
        self._engine = engine
        self._module = engine_module(spec.engine)
        self._decoders = {spec.precision: self._module.load(spec, engine)}
        first = self._decoders[spec.precision]
        self._compared = _compared_prompts(spec)
        self._reference: NDArray[np.float32] | None = None
        self._agreements: dict[str, Agreement] = {}
        self.ready = Ready(
            engine=self._module.ENGINE,
            version=self._module.VERSION,
            provider=first.provider,
            threads=engine.threads,
            precision=spec.precision,
            parameters=spec.parameter_count(),
            model_bytes=first.model_bytes,
            sha256=None,
            phases=spec.phases,
            load_seconds=first.load_seconds,
            load_start_ns=first.load_start_ns,
            device=first.device,
            cpu_operator_share=first.cpu_operator_share,
            computes_in=first.computes_in,
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the prompts of a point, read them, and let a decoder write one token after the first."""
        spec = at_point(self.spec, parameters)
        decoder = self._decoder(spec)
        batch = spec.batch
        ids = np.random.default_rng([spec.seed, batch]).integers(0, spec.vocabulary, (batch, spec.prompt_tokens))
        prompts = decoder.prompts(ids)
        prefilled = decoder.prefill(prompts)

        def prefill(_steps: list[int]) -> None:
            decoder.prefill(prompts)

        read, work = batch * spec.prompt_tokens, work_of(spec)
        if spec.kind == "encoder":
            return {"encode": Phase(prefill, inferences=batch, input_tokens=read, work=work["encode"])}
        # Prefill gives the first output token, decode the rest.
        phases = {"prefill": Phase(prefill, batch, input_tokens=read, output_tokens=batch, work=work["prefill"])}
        if spec.output_tokens > 1:
            decoder.step(prefilled)
            phases["decode"] = _decoding(decoder, prefilled, spec)
        return phases

    def model_of(self, parameters: Point) -> LoadedModel:
        """Return the facts of the decoder of a point, and the agreement of its outputs with the first precision."""
        spec = at_point(self.spec, parameters)
        decoder = self._decoders[spec.precision]
        return LoadedModel(
            precision=spec.precision,
            parameters=spec.parameter_count(),
            model_bytes=decoder.model_bytes,
            load_start_ns=decoder.load_start_ns,
            load_seconds=decoder.load_seconds,
            agreement=self._agreements.get(spec.precision),
            computes_in=decoder.computes_in,
        )

    def _decoder(self, spec: TransformerSpec) -> Decoder:
        found = self._decoders.get(spec.precision)
        if found is None:
            found = self._module.load(replace(self.spec, precision=spec.precision), self._engine)
            self._decoders[spec.precision] = found
            self._agreements[spec.precision] = self._agreement(found)
        return found

    def _agreement(self, decoder: Decoder) -> Agreement:
        """Return the agreement of the outputs after the compared prompts with those of the first precision."""
        if self._reference is None:
            first = self._decoders[self.spec.precision]
            self._reference = first.logits(first.prompts(self._compared))
        scores = decoder.logits(decoder.prompts(self._compared)).astype(np.float64)
        reference = self._reference.astype(np.float64)
        alike = scores.argmax(axis=1) == reference.argmax(axis=1)
        norms = np.linalg.norm(scores, axis=1) * np.linalg.norm(reference, axis=1)
        return Agreement(
            reference=self.spec.precision,
            cosine_similarity=float(np.mean(np.sum(scores * reference, axis=1) / norms)),
            top1_agreement=float(np.mean(alike)) if self.spec.kind == "decoder" else None,
            outputs=len(scores),
        )


def _compared_prompts(spec: TransformerSpec) -> NDArray[np.int64]:
    length = min(_COMPARED_TOKENS, spec.prompt_tokens)
    return np.random.default_rng([spec.seed, 1]).integers(0, spec.vocabulary, (_COMPARED_PROMPTS, length))


def _decoding(decoder: Decoder, prefilled: Any, spec: TransformerSpec) -> Phase:
    count = spec.output_tokens - 1

    def decode(steps: list[int]) -> None:
        state, before = prefilled, time.monotonic_ns()
        for _ in range(count):
            state = decoder.step(state)
            after = time.monotonic_ns()
            steps.append(after - before)
            before = after

    work = work_of(spec)["decode"]
    return Phase(decode, inferences=spec.batch, output_tokens=spec.batch * count, work=work)
