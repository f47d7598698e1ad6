"""Runs the transformer on ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from agent.workloads.engines import onnxruntime
from agent.workloads.engines.onnx_precision import fp16_computes_in
from agent.workloads.errors import WorkloadError
from agent.workloads.transformer.onnx_calibration import activation_ranges
from agent.workloads.transformer.onnx_decoder import build_decoder, cache_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.transformer.spec import TransformerSpec

ENGINE, VERSION = onnxruntime.ENGINE, onnxruntime.VERSION


_ON_CPU_ONLY = ("int8", "int8_static")


def check(_spec: TransformerSpec, engine: EngineSpec, precisions: Sequence[str]) -> None:
    """Check the device and the precisions. Raises WorkloadError."""
    if "bf16" in precisions:
        raise WorkloadError(
            f"--precision bf16: onnxruntime {VERSION} has no bf16 kernels for the matrices on CPUs, and those on CUDA "
            "are not supported here",
            "choose --engine torch, or --precision fp32, fp16, int8, int8_static or int4",
        )
    refused = next((each for each in _ON_CPU_ONLY if each in precisions), None)
    if refused and engine.device.startswith("cuda"):
        raise WorkloadError(
            f"--precision {refused} with --device {engine.device}: the engine computes it on the CPU only",
            "choose --precision fp16 or int4, or --device cpu",
        )
    onnxruntime.check_device(engine)


def load(spec: TransformerSpec, engine: EngineSpec) -> OnnxDecoder:
    """Build the graph in memory and load it. Raises WorkloadError or MemoryError."""
    if spec.precision in _ON_CPU_ONLY:
        engine = msgspec.structs.replace(engine, device="cpu")
    ranges = activation_ranges(spec, engine.threads) if spec.precision == "int8_static" else None
    graph = build_decoder(spec, ranges)
    return OnnxDecoder(spec, onnxruntime.open_session(graph.serialized(), engine, graph.weights))


@dataclass(frozen=True, slots=True)
class _State:
    """The inputs of the next step in their order, the tokens and the cache of each layer; of an encoder its output."""

    tensors: list[Any]


class OnnxDecoder:
    """A decoder or an encoder in a session.

    Tokens and cache stay on the device, which copies the cache and never changes it.
    """

    def __init__(self, spec: TransformerSpec, session: onnxruntime.Session) -> None:
        self.spec = spec
        self.session = session
        self.provider: str = session.provider
        self.device = session.device
        self.model_bytes = spec.model_bytes()
        self.load_start_ns, self.load_seconds = session.load_start_ns, session.load_seconds
        self.cpu_operator_share = session.cpu_operator_share
        on_cpu = session.provider == "cpu"
        self.computes_in = fp16_computes_in() if spec.precision == "fp16" and on_cpu else None
        self._inputs = ["input_ids", *cache_names(spec, "past")]
        self._scores = "logits" if spec.kind == "decoder" else "pooled"
        self._outputs = ["next_ids", *cache_names(spec, "present")] if spec.kind == "decoder" else ["pooled"]

    def prompts(self, ids: NDArray[np.int64]) -> dict[str, Any]:
        """Return the inputs of a prefill: the prompts [batch, tokens] and empty caches."""
        element = np.float16 if self.spec.precision == "fp16" else np.float32
        empty = self.session.tensor(np.zeros((len(ids), self.spec.kv_heads, 0, self.spec.head_width), element))
        return dict.fromkeys(self._inputs, empty) | {"input_ids": self.session.tensor(ids)}

    def prefill(self, prompts: dict[str, Any]) -> _State:
        """Read the prompts; a decoder writes the first token of each."""
        return _State(self.session.run(prompts, self._outputs))

    def step(self, state: _State) -> _State:
        """Write the next token of each request."""
        return _State(self.session.run(dict(zip(self._inputs, state.tensors, strict=True)), self._outputs))

    def logits(self, prompts: dict[str, Any]) -> NDArray[np.float32]:
        """Return the scores of the vocabulary after the prompts, of an encoder its output: [batch, width]."""
        (scores,) = self.session.run(prompts, [self._scores])
        found: NDArray[np.float32] = scores.numpy()
        return found

    def tokens(self, state: _State) -> NDArray[np.int64]:
        """Return the last written token of each request: [batch]."""
        written: NDArray[np.int64] = state.tensors[0].numpy()
        return written[:, 0]
