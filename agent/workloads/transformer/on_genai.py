"""Runs the transformer on ONNX Runtime GenAI, which writes the tokens of a request in a loop of its own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import CANNOT_LOAD, WorkloadError, as_workload_error
from agent.workloads.transformer.genai_folder import write_folder

# GenAI and ONNX Runtime send reports of use. The first two variables stop those of a running model, and GenAI sends the
# one at its start unless it finds itself in continuous integration.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_GENAI_TELEMETRY_DISABLED"] = "1"
os.environ["CI"] = "1"

import onnxruntime_genai

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.transformer.spec import TransformerSpec

ENGINE = "onnxruntime-genai"
VERSION = str(onnxruntime_genai.__version__)

_LARGEST_BATCH = 32
_PRECISIONS = ("fp32", "fp16", "int8", "int4")


def check(spec: TransformerSpec, engine: EngineSpec, precisions: Sequence[str]) -> None:
    """Check the device, the kind of model, the precisions and the batch. Raises WorkloadError."""
    _check_device(engine)
    if spec.kind == "encoder":
        raise WorkloadError(f"--kind encoder: {ENGINE} runs decoders only", "choose another --engine")
    if refused := next((each for each in precisions if each not in _PRECISIONS), None):
        raise WorkloadError(f"--precision {refused}: {ENGINE} has {', '.join(_PRECISIONS)}", "choose one of them")
    if "int8" in precisions and engine.device == "cuda":
        raise WorkloadError("--precision int8 with --device cuda: it runs on the CPU only", "choose --device cpu")
    if "decode" in spec.phases and spec.batch > 1:
        raise WorkloadError(
            f"--batch {spec.batch}: {ENGINE} cannot begin a decode of several requests again at the end of the prompts",
            "choose --batch 1, or --output-tokens 1, or another --engine",
        )
    if spec.batch > _LARGEST_BATCH:
        raise WorkloadError(f"--batch {spec.batch}: {ENGINE} has up to {_LARGEST_BATCH}", "choose a smaller --batch")


def _check_device(engine: EngineSpec) -> None:
    if engine.device not in {"auto", "cpu", "cuda"}:
        raise WorkloadError(f"--device: {engine.device!r} is not one of auto, cpu, cuda")
    if engine.device == "cuda" and not onnxruntime_genai.is_cuda_available():
        raise WorkloadError(
            f"--device cuda: this onnxruntime-genai {VERSION} is built without CUDA",
            "pip uninstall onnxruntime-genai, then pip install onnxruntime-genai-cuda; or --device cpu",
        )


def load(spec: TransformerSpec, engine: EngineSpec) -> GenaiDecoder:
    """Write the model into a private folder, load it, and remove the folder. Raises WorkloadError or MemoryError."""
    if engine.device == AUTO:
        engine = msgspec.structs.replace(engine, device="cuda" if onnxruntime_genai.is_cuda_available() else "cpu")
    try:
        with TemporaryDirectory(prefix="inferometer-") as folder:
            write_folder(spec, engine, Path(folder))
            started_ns = time.monotonic_ns()
            model = onnxruntime_genai.Model(folder)
            return GenaiDecoder(spec, model, started_ns, (time.monotonic_ns() - started_ns) / 1e9)
    except OSError as error:
        raise WorkloadError(
            f"writing the model for {ENGINE}: {error.strerror}",
            "set TMPDIR to a folder with room for the weights, or choose a smaller model",
        ) from error
    except Exception as error:
        raise as_workload_error(error, "loading the model", CANNOT_LOAD) from error


@dataclass(frozen=True, slots=True)
class _Prompts:
    """The prompts [batch, tokens], and the generator that reads them again and again."""

    ids: NDArray[np.int32]
    generator: Any


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The number of tokens in the sequences of a generator, and the last of each."""

    prompts: _Prompts
    length: int
    tokens: NDArray[np.int64]


class GenaiDecoder:
    """A loaded model. Its generators contain the cache and the loop of one batch.

    A step from a state that the generator has left first goes back to it, which copies the cache: once in each decode,
    within its first step. GenAI does so for one request only.
    """

    def __init__(self, spec: TransformerSpec, model: Any, load_start_ns: int, load_seconds: float) -> None:
        self.provider: str = model.device_type.lower()
        self.device = self.provider
        self.model_bytes = spec.model_bytes()
        self.load_start_ns, self.load_seconds = load_start_ns, load_seconds
        self.cpu_operator_share: float | None = None
        self.computes_in: str | None = None
        self._model = model
        self._longest = spec.context_tokens

    def prompts(self, ids: NDArray[np.int64]) -> _Prompts:
        """Return the prompts and a generator for them."""
        parameters = onnxruntime_genai.GeneratorParams(self._model)
        parameters.set_search_options(batch_size=len(ids), max_length=self._longest)
        return _Prompts(ids.astype(np.int32), onnxruntime_genai.Generator(self._model, parameters))

    def prefill(self, prompts: _Prompts) -> _State:
        """Read the prompts, and write the first token of each."""
        generator = prompts.generator
        generator.rewind_to(0)
        generator.append_tokens(prompts.ids)
        return self._written(prompts)

    def step(self, state: _State) -> _State:
        """Write the next token of each request."""
        generator = state.prompts.generator
        if generator.token_count() < state.length:
            self.prefill(state.prompts)
            while generator.token_count() < state.length:
                generator.generate_next_token()
        elif generator.token_count() > state.length:
            generator.rewind_to(state.length - 1)
            generator.append_tokens(state.tokens.astype(np.int32))
        return self._written(state.prompts)

    def logits(self, prompts: _Prompts) -> NDArray[np.float32]:
        """Return the scores of the vocabulary after the prompts: [batch, vocabulary]."""
        prompts.generator.rewind_to(0)
        prompts.generator.append_tokens(prompts.ids)
        return np.array(prompts.generator.get_logits(), np.float32)[:, -1, :-1]

    def tokens(self, state: _State) -> NDArray[np.int64]:
        """Return the last written token of each request: [batch]."""
        return state.tokens

    def _written(self, prompts: _Prompts) -> _State:
        prompts.generator.generate_next_token()
        tokens = np.array(prompts.generator.get_next_tokens(), np.int64)
        return _State(prompts, prompts.generator.token_count(), tokens)
