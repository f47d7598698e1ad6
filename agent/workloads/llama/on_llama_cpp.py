"""Runs a GGUF file in this process, through llama-cpp-python."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import psutil

from agent.workloads.llama.binding import VERSION, Context, Model, batch_of, check_device, devices
from agent.workloads.llama.placement import is_cpu
from agent.workloads.runner.timing import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.llama.binding import Token
    from agent.workloads.llama.spec import LlamaSpec

_COMPARED_TOKENS = 128
_COMPARED_TEXT = """The energy of an inference is the power of the machine, added up over the time that it takes.
A large model reads all of its weights for every token that it writes, so its speed depends on the memory more than on
the arithmetic. A prompt is different: the model reads it at once, and the same weights serve many tokens. Two numbers
therefore describe a model on a machine: the tokens that it reads in a second, and the tokens that it writes. Smaller
weights make the second one larger, because fewer bytes move. They also change the answers, sometimes by nothing that
anybody would notice, and sometimes by a word in every line."""
"""The text on which files are compared."""


def check(spec: LlamaSpec, engine: EngineSpec) -> bool:
    """Check the device, and return whether it is the CPU. Raises WorkloadError."""
    check_device(engine, spec.gpu_layers)
    return is_cpu(engine, spec.gpu_layers) or not devices()


def load(spec: LlamaSpec, engine: EngineSpec) -> LlamaCppFile:
    """Load the file of a spec. Raises WorkloadError."""
    return LlamaCppFile(spec, engine)


class LlamaCppFile:
    """A model in this process, with the contexts of the point that was prepared last."""

    def __init__(self, spec: LlamaSpec, engine: EngineSpec) -> None:
        self._spec = spec
        self._model = Model(spec.path, engine, spec.gpu_layers)
        self._contexts: list[Context] = []
        self.version = VERSION
        self.placement = self._model.placement
        self.threads = engine.threads or _physical_cpus()
        self.load_start_ns, self.load_seconds = self._model.load_start_ns, self._model.load_seconds

    def phases(self, spec: LlamaSpec) -> dict[str, Phase]:
        """Make a context for each phase of a point, and run both once."""
        for each in self._contexts:
            each.close()
        self._contexts.clear()
        read, written = self._context(spec, spec.prompt_tokens), self._context(spec, spec.output_tokens)
        prompts = list(_prompt_batches(self._tokens(spec, spec.prompt_tokens), read.batch_tokens))
        steps = [batch_of(each) for each in _steps(self._tokens(spec, spec.output_tokens))]
        count = spec.batch
        phases = {
            "prefill": Phase(_Prefill(read, prompts), inferences=count, input_tokens=count * spec.prompt_tokens),
            "decode": Phase(_Decode(written, steps), inferences=count, output_tokens=count * spec.output_tokens),
        }
        for phase in phases.values():
            phase.run_once([])
        return phases

    def scores(self) -> NDArray[np.float32]:
        """Return the scores after each token of the fixed text: [tokens, vocabulary]."""
        tokens = self._model.tokens_of(_COMPARED_TEXT, 1000)
        if tokens is None:
            source = random.Random(0)  # noqa: S311  tokens that can be repeated, no secret
            tokens = [source.randrange(self._model.vocabulary_size) for _ in range(_COMPARED_TOKENS)]
        tokens = tokens[: min(_COMPARED_TOKENS, self._spec.n_batch)]
        context = Context(self._model, self._spec, len(tokens), 1, self.threads)
        try:
            context.decode(batch_of([(token, position, 0, True) for position, token in enumerate(tokens)]))
            context.synchronize()
            return context.scores(len(tokens))
        finally:
            context.close()

    def _context(self, spec: LlamaSpec, tokens: int) -> Context:
        context = Context(self._model, spec, tokens, spec.batch, self.threads)
        self._contexts.append(context)
        return context

    def _tokens(self, spec: LlamaSpec, count: int) -> list[list[int]]:
        """Return random tokens for each request; the first is the one that begins a text, as in llama-bench."""
        source = random.Random(f"{spec.seed} {count}")  # noqa: S311  tokens that can be repeated, no secret
        size, first = self._model.vocabulary_size, self._model.first_token
        found = [[source.randrange(size) for _ in range(count)] for _ in range(spec.batch)]
        if first is not None:
            for each in found:
                each[0] = first
        return found


class _Prefill:
    """Reads the prompts into an empty context."""

    def __init__(self, context: Context, batches: Sequence[Any]) -> None:
        self._context, self._batches = context, batches

    def __call__(self, _steps: list[int]) -> None:
        self._context.clear()
        for batch in self._batches:
            self._context.decode(batch)
        self._context.synchronize()


class _Decode:
    """Writes token after token from an empty context; each step has one token of each request."""

    def __init__(self, context: Context, batches: Sequence[Any]) -> None:
        self._context, self._batches = context, batches

    def __call__(self, steps: list[int]) -> None:
        self._context.clear()
        step, now = self._context.step, time.monotonic_ns  # a token of a small model takes a millisecond
        before = now()
        for batch in self._batches:
            step(batch)
            after = now()
            steps.append(after - before)
            before = after


def _prompt_batches(prompts: Sequence[Sequence[int]], most: int) -> Iterator[Any]:
    """Yield the prompts, one after the other, in batches of `most` tokens; scores are needed after a prompt."""
    tokens: list[Token] = [
        (token, position, number, position == len(prompt) - 1)
        for number, prompt in enumerate(prompts)
        for position, token in enumerate(prompt)
    ]
    for start in range(0, len(tokens), most):
        *others, last = tokens[start : start + most]
        yield batch_of([*others, (*last[:3], True)])


def _steps(outputs: Sequence[Sequence[int]]) -> Iterator[list[Token]]:
    """Yield the tokens of each step: one of each request."""
    for position, tokens in enumerate(zip(*outputs, strict=True)):
        yield [(token, position, number, True) for number, token in enumerate(tokens)]


def _physical_cpus() -> int:
    """Return the number of cores, at most that of the usable CPUs; llama-bench has as many threads by default."""
    usable = len(os.sched_getaffinity(0))
    return min(psutil.cpu_count(logical=False) or usable, usable)
