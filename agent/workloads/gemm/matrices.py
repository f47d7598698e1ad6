"""The random matrices of a product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.workloads.gemm.spec import GemmSpec

_ELEMENTS: dict[str, Any] = {
    "fp64": np.float64,
    "fp32": np.float32,
    "fp16": np.float16,
    "bf16": np.float32,
    "int8": np.int8,
}
"""The type of the arrays; an engine rounds those of bf16, which NumPy lacks."""
_INT8_MAX = 127


def matrices(spec: GemmSpec) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the left matrix [m, k] and the right one [k, n], uniform from -1 to 1, or from -127 to 127 for int8.

    All bits of an element are random, because the power of some devices depends on them.
    """
    random = np.random.default_rng([spec.seed, spec.m, spec.n, spec.k])

    def matrix(rows: int, columns: int) -> NDArray[Any]:
        if spec.dtype == "int8":
            return random.integers(-_INT8_MAX, _INT8_MAX + 1, (rows, columns), dtype=np.int8)
        values = random.random((rows, columns), np.float64 if spec.dtype == "fp64" else np.float32)
        values *= 2
        values -= 1
        return values.astype(_ELEMENTS[spec.dtype], copy=False)

    return matrix(spec.m, spec.k), matrix(spec.k, spec.n)
