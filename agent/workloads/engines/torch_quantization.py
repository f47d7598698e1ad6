"""Quantizes matrices: int4 on a CPU with PyTorch's own kernel, the rest with torchao, its library for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP = 32
"""The inputs of an output that share a scale in int4; the kernels need a multiple of it in each dimension."""
PRECISIONS = ("int8", "int4")
_KINDS = ("cpu", "cuda", "xpu")


def check_quantization(precision: str, kind: str, matrices: Sequence[tuple[int, int]]) -> None:
    """Raise WorkloadError if matrices [inputs, outputs] cannot be quantized on a kind of device."""
    if precision not in PRECISIONS:
        raise WorkloadError(
            f"--precision {precision}: torch has only {', '.join(PRECISIONS)} of the quantized precisions",
            "choose one of them, or another --engine",
        )
    if kind not in _KINDS:
        raise WorkloadError(
            f"--precision {precision}: torch quantizes for {', '.join(_KINDS)}, not for {kind}",
            "choose --precision bf16, or --device cpu",
        )
    uneven = [each for each in matrices if each[0] % GROUP or each[1] % GROUP]
    if precision == "int4" and uneven:
        raise WorkloadError(
            f"--precision int4: the inputs and outputs of a matrix must be multiples of {GROUP}, and one is "
            f"{uneven[0][0]} by {uneven[0][1]}",
            "choose another --width, --head-width, --mlp-ratio or --vocabulary, or --precision int8",
        )


def require_library(precision: str, kind: str) -> None:
    """Raise ImportError if torchao is needed and not installed."""
    if (precision, kind) != ("int4", "cpu"):
        import torchao  # noqa: F401, PLC0415  only these models need it


def quantize(matrices: Any, precision: str, kind: str) -> None:
    """Quantize every `Linear` of a module in place.

    int8: symmetric, with a scale for each output; activations are quantized at run time, with a scale for each token.
    int4: weights only, with a scale and a zero point for each `GROUP` inputs of an output; the rest is bfloat16, the
    only type for which the engine has fast kernels.
    """
    if (precision, kind) == ("int4", "cpu"):
        from agent.workloads.engines.torch_int4 import pack_matrices  # noqa: PLC0415  imports the engine

        pack_matrices(matrices, GROUP)
        return
    from torchao.quantization import quantize_  # noqa: PLC0415  only these models need it

    quantize_(matrices, _configuration(precision, kind))


def _configuration(precision: str, kind: str) -> Any:
    from torchao.quantization import Int4WeightOnlyConfig, Int8DynamicActivationInt8WeightConfig  # noqa: PLC0415  same

    if precision == "int8":
        return Int8DynamicActivationInt8WeightConfig()
    packing = "plain_int32" if kind == "xpu" else "tile_packed_to_4d"
    return Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format=packing)
