"""Runs the transformer on OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from openvino import Tensor

from agent.workloads.engines import openvino
from agent.workloads.transformer.openvino_model import build_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.transformer.spec import TransformerSpec

ENGINE, VERSION = openvino.ENGINE, openvino.VERSION

_NO_TOKENS = np.zeros((0, 1), np.int64)


def check(_spec: TransformerSpec, engine: EngineSpec, precisions: Sequence[str]) -> None:
    """Check the device, and that it computes in the precisions. Raises WorkloadError."""
    for precision in precisions:
        openvino.check_device(engine, precision)


def load(spec: TransformerSpec, engine: EngineSpec) -> OpenVinoDecoder:
    """Convert the graph in memory, compress its weights, and compile it. Raises WorkloadError or MemoryError."""
    model, model_bytes = build_model(spec)
    return OpenVinoDecoder(spec, openvino.compiled(model, engine, spec.precision), model_bytes)


@dataclass(frozen=True, slots=True)
class _Prompts:
    """The inputs of a prefill; `rows` are the rows of the cache, which the requests continue in order."""

    ids: Tensor
    rows: Tensor


@dataclass(slots=True, eq=False)
class _State:
    """The tokens [batch, 1] that were written last, the `steps` since the prompts, and a copy of the cache if made."""

    prompts: _Prompts
    steps: int
    tokens: NDArray[np.int64]
    cache: list[Tensor] | None = None


class OpenVinoDecoder:
    """A compiled decoder or encoder with one request, which holds one cache and grows it in place.

    The state after the prompts is copied before its first step. A step from a state that the cache has left begins with
    copying it back: once in each decode, within its first step.
    """

    def __init__(self, spec: TransformerSpec, model: openvino.Compiled, model_bytes: int) -> None:
        self.provider = model.kind
        self.device = model.device
        self.model_bytes = model_bytes
        self.load_start_ns, self.load_seconds = model.load_start_ns, model.load_seconds
        self.cpu_operator_share: float | None = None
        self.computes_in: str | None = model.computes_in
        self._request = model.handle.create_infer_request()
        self._variables = self._request.query_state()
        self._current: _State | None = None
        self._decodes = spec.kind == "decoder"

    def prompts(self, ids: NDArray[np.int64]) -> _Prompts:
        """Return the inputs of a prefill."""
        return _Prompts(Tensor(np.ascontiguousarray(ids)), Tensor(np.arange(len(ids), dtype=np.int32)))

    def prefill(self, prompts: _Prompts) -> _State:
        """Read the prompts; a decoder writes the first token of each."""
        self._request.reset_state()
        return self._advanced(prompts, prompts.ids, 0)

    def step(self, state: _State) -> _State:
        """Write the next token of each request."""
        if state is not self._current:
            self._restore(state)
        elif state.steps == 0 and state.cache is None:
            state.cache = [Tensor(np.array(each.state.data)) for each in self._variables]
        return self._advanced(state.prompts, Tensor(state.tokens), state.steps + 1)

    def logits(self, prompts: _Prompts) -> NDArray[np.float32]:
        """Return the scores of the vocabulary after the prompts, of an encoder its output: [batch, width]."""
        self.prefill(prompts)
        return np.array(self._request.get_tensor("logits" if self._decodes else "pooled").data, np.float32)

    def tokens(self, state: _State) -> NDArray[np.int64]:
        """Return the last written token of each request: [batch]."""
        return state.tokens[:, 0]

    def _advanced(self, prompts: _Prompts, ids: Tensor, steps: int) -> _State:
        self._request.set_tensor("input_ids", ids)
        if self._decodes:
            self._request.set_tensor("beam_idx", prompts.rows)
        self._request.infer(share_outputs=True)
        tokens = self._request.get_tensor("next_ids").data if self._decodes else _NO_TOKENS
        self._current = _State(prompts, steps, np.array(tokens))
        return self._current

    def _restore(self, state: _State) -> None:
        """Set the cache to a state: from its copy, or else by running its steps again."""
        if state.cache is None:
            again = self.prefill(state.prompts)
            for _ in range(state.steps):
                again = self._advanced(state.prompts, Tensor(again.tokens), again.steps + 1)
        else:
            for variable, copied in zip(self._variables, state.cache, strict=True):
                variable.state = copied
