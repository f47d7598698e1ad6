"""A decoder of torch's own layers in a plain loop: `torch_transformer.py SHAPE DTYPE THREADS SECONDS`.

For each line of its input, `prefill` or `decode`, it repeats that phase for some seconds and prints the median time of
an iteration in seconds. A decode writes all output tokens after the first.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

if TYPE_CHECKING:
    from collections.abc import Callable


class Layer(nn.Module):
    """Pre-norm attention with rotations and a cache, and a gated feed-forward."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate_up, self.down = nn.Linear(width, 2 * mlp, bias=False), nn.Linear(mlp, width, bias=False)

    def forward(self, x: Tensor, turns: Tensor, cache: Tensor, start: int) -> Tensor:
        """Return x after the layer; cache is [2, batch, heads, tokens, head width]."""
        batch, new, width = x.shape
        q, k, v = self.qkv(self.before_attention(x)).view(batch, new, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        cache[0, :, :, start : start + new] = rotated(k, turns)
        cache[1, :, :, start : start + new] = v
        k, v = cache[:, :, :, : start + new]
        seen = scaled_dot_product_attention(rotated(q, turns), k, v, is_causal=new > 1)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, new, width))
        gate, up = self.gate_up(self.before_mlp(x)).chunk(2, -1)
        return x + self.down(silu(gate) * up)


class Model(nn.Module):
    """A decoder that returns the likeliest next token."""

    def __init__(self, vocabulary: int, width: int, heads: int, mlp: int, layers: int, context: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width, heads, mlp) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocabulary, bias=False)
        half = width // heads // 2
        angles = torch.outer(torch.arange(context), 10000.0 ** -(torch.arange(half) / half))
        self.register_buffer("turns", torch.stack([angles.cos(), angles.sin()]))

    def forward(self, ids: Tensor, caches: list[Tensor], start: int) -> Tensor:
        """Return the next token of each request [batch, 1]."""
        x, turns = self.embedding(ids), self.turns[:, start : start + ids.shape[1]]
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer(x, turns, cache, start)
        return self.head(self.norm(x[:, -1])).argmax(-1, keepdim=True)


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate the pairs of each head."""
    (cos, sin), (a, b) = turns, x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def phases_of(shape: dict[str, int], dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Return the phases by name, each as a function that runs it once."""
    torch.manual_seed(0)
    batch, prompt, output = shape["batch"], shape["prompt_tokens"], shape["output_tokens"]
    width, heads, layers = shape["width"], shape["heads"], shape["layers"]
    model = Model(shape["vocabulary"], width, heads, shape["mlp_width"], layers, prompt + output).to(dtype)
    ids = torch.randint(shape["vocabulary"], (batch, prompt))
    room = (2, batch, heads, prompt + output - 1, width // heads)
    caches = [torch.zeros(room, dtype=dtype) for _ in range(layers)]

    def prefill() -> Tensor:
        return model(ids, caches, 0)

    def decode() -> None:
        token = first
        for past in range(prompt, prompt + output - 1):
            token = model(token, caches, past)

    first = prefill()
    return {"prefill": prefill, "decode": decode}


def median_seconds(phase: Callable[[], object], seconds: float) -> float:
    """Return the median time of an iteration."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        phase()
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    with torch.inference_mode():
        phases = phases_of(json.loads(sys.argv[1]), getattr(torch, sys.argv[2]))
        for line in sys.stdin:
            print(median_seconds(phases[line.strip()], float(sys.argv[4])), flush=True)
