"""Runs the transformer on PyTorch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from agent.workloads.engines import torch as engine_torch
from agent.workloads.engines.torch_quantization import check_quantization, quantize, require_library
from agent.workloads.transformer.sizes import QUANTIZED
from agent.workloads.transformer.torch_model import TorchModel, generate_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.transformer.spec import TransformerSpec

ENGINE, VERSION = engine_torch.ENGINE, engine_torch.VERSION
_ELEMENTS = {"bf16": torch.bfloat16, "fp16": torch.float16, "int4": torch.bfloat16}
"""The type of everything that is not quantized, by the precision; float32 with the others."""


def check(spec: TransformerSpec, engine: EngineSpec, precisions: Sequence[str]) -> None:
    """Check the device and the precisions. Raises WorkloadError, or ImportError without torchao."""
    device = engine_torch.device_of(engine)
    for precision in precisions:
        if precision in QUANTIZED:
            matrices = (*spec.shape.layer_matrices(), *spec.shape.head_matrices())
            check_quantization(precision, device.type, [(each.rows, each.columns) for each in matrices])
            require_library(precision, device.type)


def load(spec: TransformerSpec, engine: EngineSpec) -> TorchDecoder:
    """Generate the weights in host memory, and load them. Raises WorkloadError."""
    check(spec, engine, (spec.precision,))
    engine_torch.use_threads(engine.threads)
    try:
        return TorchDecoder(spec, engine_torch.device_of(engine))
    except (RuntimeError, MemoryError) as error:
        raise engine_torch.loading_error(error) from error


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Prompts [batch, tokens] on the device, with room for the keys and values of a whole request."""

    ids: Any
    cache: Any


@dataclass(frozen=True, slots=True)
class _State:
    """The last written tokens [batch, 1], and the cache, in which `past` tokens are valid."""

    written: Any
    cache: Any
    past: int


class TorchDecoder:
    """A decoder on a device.

    The cache of a batch of prompts is allocated once. A step writes behind the tokens of its state, so the states
    before it stay valid; a decode that starts from one of them again writes the same values to the same places.
    """

    def __init__(self, spec: TransformerSpec, device: Any) -> None:
        self.spec = spec
        weights = generate_weights(spec, _ELEMENTS.get(spec.precision, torch.float32))
        self.load_start_ns = time.monotonic_ns()
        with torch.inference_mode():
            model = TorchModel(spec, weights, device)
            if spec.precision in QUANTIZED:
                quantize(model.matrices, spec.precision, device.type)
        engine_torch.synchronize(device)
        self.load_seconds = (time.monotonic_ns() - self.load_start_ns) / 1e9
        self._device = engine_torch.used_device(model.tensors(), device)
        self.device, self.provider = str(self._device), engine_torch.provider(self._device)
        self.model_bytes = sum(map(engine_torch.stored_bytes, model.tensors()))
        self.cpu_operator_share: float | None = None
        self.computes_in: str | None = None
        self._empty_cache = model.empty_cache
        self._read: Callable[..., Any] = model.forward
        self._write: Callable[..., Any] = model.forward
        if spec.compiled:
            self._read, self._write = _compiled(model.forward)

    def prompts(self, ids: NDArray[np.int64]) -> _Prompts:
        """Return prompts [batch, tokens] on the device."""
        batch, tokens = ids.shape
        with torch.inference_mode():
            room = tokens + self.spec.output_tokens  # one more than needed: a full cache would be compiled once more
            prompts = _Prompts(torch.from_numpy(ids).to(self._device), self._empty_cache(batch, room))
            if self.spec.compiled:
                self._compile(prompts, room)
            return prompts

    def _compile(self, prompts: _Prompts, room: int) -> None:
        """Compile for prompts of this shape. The second step is compiled for all lengths of the cache from then on."""
        _, written = self._read(prompts.ids, prompts.cache, 0)
        tokens = prompts.ids.shape[1]
        for past in range(tokens, min(tokens + 2, room - 1)):
            self._write(written, prompts.cache, past)

    def prefill(self, prompts: _Prompts) -> _State:
        """Read the prompts, and write the first token of each."""
        with torch.inference_mode():
            _, written = self._read(prompts.ids, prompts.cache, 0)
        engine_torch.synchronize(self._device)
        return _State(written, prompts.cache, prompts.ids.shape[1])

    def step(self, state: _State) -> _State:
        """Write the next token of each request."""
        with torch.inference_mode():
            _, written = self._write(state.written, state.cache, state.past)
        engine_torch.synchronize(self._device)
        return _State(written, state.cache, state.past + 1)

    def logits(self, prompts: _Prompts) -> NDArray[np.float32]:
        """Return the scores of the vocabulary after the prompts: [batch, vocabulary]."""
        with torch.inference_mode():
            scores, _ = self._read(prompts.ids, prompts.cache, 0)
        found: NDArray[np.float32] = scores.cpu().numpy()
        return found

    def tokens(self, state: _State) -> NDArray[np.int64]:
        """Return the last written token of each request: [batch]."""
        written: NDArray[np.int64] = state.written.cpu().numpy()
        return written[:, 0]


def _compiled(forward: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `forward` compiled for prompts and for steps; a shape that needs a new compilation gets one."""
    import torch._dynamo as dynamo  # noqa: PLC0415  slow
    import torch._inductor as inductor  # noqa: PLC0415  same

    dynamo.config.recompile_limit = dynamo.config.accumulated_recompile_limit = 1 << 16
    inductor.config.compile_threads = 1  # in this process: others would run beside the measurement
    return torch.compile(forward, fullgraph=True, dynamic=False), torch.compile(forward, fullgraph=True)
