"""The interface between the transformer and the engines that run it, one module for each engine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.transformer.spec import TransformerSpec

MODULES = {
    "onnxruntime": "agent.workloads.transformer.on_onnxruntime",
    "onnxruntime-genai": "agent.workloads.transformer.on_genai",
    "openvino": "agent.workloads.transformer.on_openvino",
    "torch": "agent.workloads.transformer.on_torch",
}
"""The modules that run a transformer, each an `EngineModule`, by the name of the engine."""


class Decoder(Protocol):
    """A decoder or an encoder of one precision, loaded on a device.

    A state of a decoder is a cache of keys and values with the last written token of each request, on the device. A
    step leaves the states before it as they are, so that a decode can begin with the same one again. An encoder has no
    steps and no tokens: `prefill` reads the prompts, and `logits` returns the outputs of the last norm, averaged over
    the positions: [batch, width]. `computes_in` is the precision in which the engine
    computes with the weights, None if it does not report it.
    """

    provider: str
    device: str
    model_bytes: int
    load_start_ns: int
    load_seconds: float
    cpu_operator_share: float | None
    computes_in: str | None

    def prompts(self, ids: NDArray[np.int64]) -> Any:
        """Return prompts [batch, tokens] in the memory of the device."""
        ...

    def prefill(self, prompts: Any) -> Any:
        """Read the prompts, write the first token of each, and return the state once the device has finished.

        An encoder writes no token.
        """
        ...

    def step(self, state: Any) -> Any:
        """Write the likeliest next token of each request, and return the new state once the device has finished."""
        ...

    def logits(self, prompts: Any) -> NDArray[np.float32]:
        """Return the scores of the vocabulary after the prompts: [batch, vocabulary], or the output of an encoder."""
        ...

    def tokens(self, state: Any) -> NDArray[np.int64]:
        """Return the last written token of each request: [batch]."""
        ...


class EngineModule(Protocol):
    """The module of one engine. Importing it imports the engine."""

    ENGINE: str
    VERSION: str

    def check(self, spec: TransformerSpec, engine: EngineSpec, precisions: Sequence[str]) -> None:
        """Raise WorkloadError if the engine lacks the device, or cannot run these precisions on it."""
        ...

    def load(self, spec: TransformerSpec, engine: EngineSpec) -> Decoder:
        """Build the decoder of a spec, in its precision, and load it. Raises WorkloadError or MemoryError."""
        ...


def engine_module(name: str) -> EngineModule:
    """Import the module of an engine. Raises ImportError if the engine is not installed."""
    return cast("EngineModule", import_module(MODULES[name]))
