"""Multiplies with NumPy, which calls a BLAS library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.gemm.matrices import matrices
from agent.workloads.numpy_threads import check_cpu

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.gemm.spec import GemmSpec


def check(engine: EngineSpec) -> None:
    """Check the device. Raises WorkloadError."""
    check_cpu(engine)


def load(_engine: EngineSpec) -> NumpyMultiplier:
    """Return the engine."""
    return NumpyMultiplier()


class NumpyMultiplier:
    """NumPy; the version names its BLAS library as well."""

    engine, provider, device = "numpy", "cpu", "cpu"

    def __init__(self) -> None:
        config: Any = np.show_config(mode="dicts")
        blas = config.get("Build Dependencies", {}).get("blas", {})
        self.version = " ".join(filter(None, (np.__version__, blas.get("name"), blas.get("version"))))

    def product(self, spec: GemmSpec) -> NumpyProduct:
        """Make the matrices of a spec."""
        return NumpyProduct(*matrices(spec))


class NumpyProduct:
    """Two arrays and their product."""

    def __init__(self, left: NDArray[Any], right: NDArray[Any]) -> None:
        self._left, self._right = left, right
        self._result = np.empty((left.shape[0], right.shape[1]), left.dtype)

    def run(self) -> None:
        """Multiply."""
        np.matmul(self._left, self._right, out=self._result)

    def operands(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return both matrices."""
        return self._left, self._right

    def take_result(self) -> NDArray[Any]:
        """Return the product, and overwrite it."""
        taken = self._result.copy()
        self._result.fill(np.nan)
        return taken
