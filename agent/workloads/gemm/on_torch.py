"""Multiplies with PyTorch, on any of its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from agent.workloads.engines.torch import ENGINE, VERSION, device_of, provider, synchronize, use_threads
from agent.workloads.gemm.matrices import matrices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.gemm.spec import GemmSpec

_TYPES = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.int8,
}


def check(engine: EngineSpec) -> None:
    """Check the device. Raises WorkloadError."""
    device_of(engine)


def load(engine: EngineSpec) -> TorchMultiplier:
    """Return the engine on its device."""
    use_threads(engine.threads)
    return TorchMultiplier(device_of(engine))


class TorchMultiplier:
    """PyTorch on a device."""

    engine, version = ENGINE, VERSION

    def __init__(self, device: Any) -> None:
        self._device = torch.empty(1, device=device).device
        self.provider: str = provider(self._device)
        self.device = str(self._device)

    def product(self, spec: GemmSpec) -> TorchProduct:
        """Make the matrices of a spec on the device."""
        left, right = (torch.from_numpy(each).to(self._device, _TYPES[spec.dtype]) for each in matrices(spec))
        return TorchProduct(left, right)


class TorchProduct:
    """Two tensors on the device, and their product; fp32 is not rounded to TF32."""

    def __init__(self, left: Any, right: Any) -> None:
        self._left, self._right = left, right
        self._multiply = torch._int_mm if left.dtype == torch.int8 else torch.mm  # noqa: SLF001  the only product of int8
        element = torch.int32 if left.dtype == torch.int8 else left.dtype
        self._result = torch.empty((left.shape[0], right.shape[1]), dtype=element, device=left.device)

    def run(self) -> None:
        """Multiply."""
        self._multiply(self._left, self._right, out=self._result)
        synchronize(self._left.device)

    def operands(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return both matrices, as the device rounded them."""
        return _array(self._left), _array(self._right)

    def take_result(self) -> NDArray[Any]:
        """Return the product, and overwrite it."""
        taken = _array(self._result).copy()
        self._result.fill_(-1)
        synchronize(self._left.device)
        return taken


def _array(tensor: Any) -> NDArray[Any]:
    values: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
    return values
