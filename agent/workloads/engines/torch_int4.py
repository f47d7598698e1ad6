"""Matrices in 4 bits on a CPU, computed by a kernel of PyTorch; torchao has none for CPUs."""

from __future__ import annotations

from typing import Any

import torch

_OPERATORS = torch.ops.aten
"""The operators that torch.compile uses for int4; PyTorch has no public name for them."""
_LEVELS, _MIDDLE = 15, 8
"""The largest of 16 levels, and the level at which the kernel expects the zero point."""


class PackedLinear(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed where types are checked
    """A matrix [outputs, inputs] in 4 bits, with a scale and a zero point for each group of inputs of an output."""

    def __init__(self, weight: Any, group: int) -> None:
        super().__init__()
        self._group, self._outputs = group, len(weight)
        grouped = weight.float().unflatten(1, (-1, group))
        least, most = grouped.aminmax(dim=2)
        scale = ((most - least) / _LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
        levels = ((grouped - least.unsqueeze(2)) / scale.unsqueeze(2)).round().clamp(0, _LEVELS)
        packed = _OPERATORS._convert_weight_to_int4pack_for_cpu(levels.flatten(1).to(torch.int32), 1)  # noqa: SLF001
        zero = least + _MIDDLE * scale
        self.register_buffer("packed", packed)
        self.register_buffer("scales", torch.stack([scale.T, zero.T], dim=2).contiguous().to(weight.dtype))

    def forward(self, activations: Any) -> Any:
        """Return the product with activations [..., inputs]."""
        rows = activations.reshape(-1, activations.shape[-1])
        product = _OPERATORS._weight_int4pack_mm_for_cpu(rows, self.packed, self._group, self.scales)  # noqa: SLF001
        return product.view(*activations.shape[:-1], self._outputs)


def pack_matrices(matrices: Any, group: int) -> None:
    """Replace every `Linear` of a `ModuleDict` by a `PackedLinear`."""
    for name, linear in matrices.items():
        matrices[name] = PackedLinear(linear.weight, group)
