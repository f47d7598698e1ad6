"""The layers of the transformer in PyTorch, with the weights of `weights_of`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from agent.workloads.transformer.positions import rotation_angles
from agent.workloads.transformer.sizes import QUANTIZED
from agent.workloads.transformer.weights import feed_forwards, weights_of

if TYPE_CHECKING:
    from agent.workloads.transformer.spec import TransformerSpec

_TABLES = ("embedding", "positions", "norm_", "router_")
"""The weights that are never quantized, by the begin of their names."""

Cache = list[tuple[Any, Any]]
"""The keys and values of each layer, each [batch, kv heads, tokens, head width]; of an encoder none."""


def generate_weights(spec: TransformerSpec, element: Any) -> dict[str, Any]:
    """Return the weights of a spec in host memory; the matrices are [outputs, inputs], as `Linear` reads them."""
    weights = {}
    for name, values in weights_of(spec):
        tensor = torch.from_numpy(values)
        weights[name] = (tensor if name.startswith(_TABLES) else tensor.T.contiguous()).to(element)
    if spec.tied and spec.precision in QUANTIZED:
        weights["head"] = weights["embedding"]
    return weights


class TorchModel:
    """The model on a device: `tables` and `matrices` by the names of the weights."""

    def __init__(self, spec: TransformerSpec, weights: dict[str, Any], device: Any) -> None:
        self.spec = spec
        self.tables: dict[str, Any] = {}
        self.matrices = torch.nn.ModuleDict()
        while weights:  # each leaves the host once it is on the device
            name, values = weights.popitem()
            if name.startswith(_TABLES):
                self.tables[name] = values.to(device)
            else:
                self.matrices[name] = _linear(values.to(device))
        element = self.tables["embedding"].dtype
        angles = torch.from_numpy(rotation_angles(spec.context_tokens, spec.head_width))
        self._cosines, self._sines = angles.cos().to(device, element), angles.sin().to(device, element)

    def tensors(self) -> list[Any]:
        """Return the weights as they are on the device."""
        return [*self.tables.values(), *self.matrices.parameters(), *self.matrices.buffers()]

    def empty_cache(self, batch: int, tokens: int) -> Cache:
        """Return a cache with room for some tokens."""
        spec, like = self.spec, self.tables["embedding"]
        shape = (batch, spec.kv_heads, tokens, spec.head_width)
        layers = spec.layers if spec.kind == "decoder" else 0
        return [(like.new_zeros(shape), like.new_zeros(shape)) for _ in range(layers)]

    def forward(self, ids: Any, cache: Cache, past: int) -> tuple[Any, Any]:
        """Read the new tokens [batch, new] after `past` ones, whose keys and values are in the cache.

        Writes theirs behind them. Returns the scores of the vocabulary after the last token [batch, vocabulary] in
        float32, and the likeliest next token [batch, 1]; of an encoder the mean of the outputs of all positions [batch,
        width] in float32, and None.
        """
        total = past + ids.shape[1]
        stream = functional.embedding(ids, self.tables["embedding"])
        if self.spec.positions == "learned":
            stream = stream + self.tables["positions"][past:total]
        for layer in range(self.spec.layers):
            own_cache = cache[layer] if cache else None
            stream = stream + self._attention(layer, self._normed(stream, f"norm_a_{layer}"), own_cache, past)
            stream = stream + self._feed_forward(layer, self._normed(stream, f"norm_f_{layer}"))
        if self.spec.kind == "encoder":
            return self._normed(stream, "norm_out").mean(dim=1).float(), None
        scores = self._head(self._normed(stream[:, -1], "norm_out")).float()
        return scores, scores.argmax(dim=-1, keepdim=True)

    def _attention(self, layer: int, normed: Any, cache: tuple[Any, Any] | None, past: int) -> Any:
        spec, total = self.spec, past + normed.shape[1]
        by_head = self.matrices[f"qkv_{layer}"](normed).unflatten(-1, (-1, spec.head_width)).transpose(1, 2)
        query, key, value = by_head.split([spec.heads, spec.kv_heads, spec.kv_heads], dim=1)
        if spec.positions == "rope":
            query, key = self._rotated(query, past, total), self._rotated(key, past, total)
        if cache is not None:
            keys, values = cache
            keys[:, :, past:total], values[:, :, past:total] = key, value
            key, value = keys[:, :, :total], values[:, :, :total]
        causal, shared = cache is not None and normed.shape[1] > 1, spec.kv_heads < spec.heads
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=shared)
        return self.matrices[f"attention_out_{layer}"](attended.transpose(1, 2).flatten(2))

    def _rotated(self, heads: Any, past: int, total: int) -> Any:
        """Rotate each pair (i, i + half) of a head by the angle of its position."""
        cosines, sines = self._cosines[past:total], self._sines[past:total]
        left, right = heads.chunk(2, dim=-1)
        return torch.cat([left * cosines - right * sines, right * cosines + left * sines], dim=-1)

    def _feed_forward(self, layer: int, normed: Any) -> Any:
        if self.spec.experts == 1:
            return self._expert(str(layer), normed)
        tokens = normed.flatten(0, 1)
        best, chosen = (tokens @ self.tables[f"router_{layer}"]).topk(self.spec.active_experts)
        shares, mixed = best.softmax(dim=-1), torch.zeros_like(tokens)
        for expert, suffix in enumerate(feed_forwards(self.spec, layer)):
            rows, places = (chosen == expert).nonzero(as_tuple=True)
            if len(rows):
                mixed.index_add_(0, rows, self._expert(suffix, tokens[rows]) * shares[rows, places].unsqueeze(1))
        return mixed.view_as(normed)

    def _expert(self, suffix: str, normed: Any) -> Any:
        """Gated with SiLU (Shazeer 2020, "GLU Variants Improve Transformer"), or GELU (Hendrycks and Gimpel 2016)."""
        if self.spec.mlp == "gated":
            gate, up = self.matrices[f"gate_up_{suffix}"](normed).chunk(2, dim=-1)
            inner = functional.silu(gate) * up
        else:
            inner = functional.gelu(self.matrices[f"up_{suffix}"](normed))
        return self.matrices[f"down_{suffix}"](inner)

    def _head(self, last: Any) -> Any:
        if "head" in self.matrices:
            return self.matrices["head"](last)
        return functional.linear(last, self.tables["embedding"])

    def _normed(self, stream: Any, name: str) -> Any:
        return functional.layer_norm(stream, (self.spec.width,), self.tables[name], eps=1e-5)


def _linear(values: Any) -> Any:
    """Return a matrix [outputs, inputs] as the module that is quantized."""
    linear = torch.nn.Linear(values.shape[1], values.shape[0], bias=False, device="meta")
    linear.weight = torch.nn.Parameter(values, requires_grad=False)
    return linear
