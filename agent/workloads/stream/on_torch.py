"""Runs the operations with PyTorch, on any of its devices; triad is one pass."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from agent.workloads.engines.torch import ENGINE, VERSION, device_of, provider, synchronize, use_threads
from agent.workloads.stream.operations import PERIOD, SCALAR, expected
from agent.workloads.stream.spec import require_larger_than_cache

if TYPE_CHECKING:
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.stream.spec import StreamSpec

_MIB = 1 << 20
_ACCELERATOR_MIB = 1024
_BLOCK = 1 << 22
_TYPES = {"fp64": torch.float64, "fp32": torch.float32}


def check(engine: EngineSpec) -> None:
    """Check the device. Raises WorkloadError."""
    device_of(engine)


def load(spec: StreamSpec, engine: EngineSpec) -> TorchMemory:
    """Return the memory of the device."""
    return TorchMemory(spec, engine)


class TorchMemory:
    """The memory of a device; on the CPU each thread of PyTorch touches its part first."""

    engine, version = ENGINE, VERSION

    def __init__(self, spec: StreamSpec, engine: EngineSpec) -> None:
        use_threads(engine.threads or (len(os.sched_getaffinity(0)) if spec.numa_nodes else 0))
        self._device = torch.empty(1, device=device_of(engine)).device
        self.provider: str = provider(self._device)
        self.device = str(self._device)
        self.threads = torch.get_num_threads() if self.provider == "cpu" else engine.threads
        self.array_bytes = spec.array_bytes() if self.provider == "cpu" else self._accelerator_bytes(spec)

    def arrays(self, spec: StreamSpec) -> TorchArrays:
        """Make the tensors of an operation."""
        return TorchArrays(spec, self.array_bytes // spec.element_bytes, self._device)

    def _accelerator_bytes(self, spec: StreamSpec) -> int:
        size = (spec.array_mib or _ACCELERATOR_MIB) * _MIB
        properties = torch.cuda.get_device_properties(self._device) if self._device.type == "cuda" else None
        if cache := getattr(properties, "L2_cache_size", 0):
            require_larger_than_cache(size, cache)
        return size


class TorchArrays:
    """The tensors of one operation."""

    def __init__(self, spec: StreamSpec, elements: int, device: Any) -> None:
        self._operation = spec.operation
        whole = [torch.empty(elements, dtype=_TYPES[spec.dtype], device=device) for _ in range(spec.sources + 1)]
        *self._sources, self._result = whole
        for each in whole:
            each.fill_(0.0)  # in parallel, unlike the values of a block
        for number, source in enumerate(self._sources):
            for own in self._blocks():
                source[own] = self._values(number, own)
        self._result.fill_(torch.nan)

    def run(self) -> None:
        """Run the operation once."""
        first, last, result = self._sources[0], self._sources[-1], self._result
        if self._operation == "copy":
            result.copy_(first)
        elif self._operation == "scale":
            torch.mul(first, SCALAR, out=result)
        elif self._operation == "add":
            torch.add(first, last, out=result)
        else:
            torch.add(first, last, alpha=SCALAR, out=result)
        synchronize(result.device)

    def take_result(self) -> bool:
        """Return whether every element is right, and overwrite the result."""
        right = all(
            torch.equal(
                self._result[own],
                expected(self._operation, [self._values(number, own) for number in range(len(self._sources))]),
            )
            for own in self._blocks()
        )
        self._result.fill_(torch.nan)
        synchronize(self._result.device)
        return right

    def _values(self, number: int, own: slice) -> Any:
        """Return the elements of a source: whole numbers so small that every result is exact."""
        whole = torch.arange(own.start, own.stop, device=self._result.device) % (PERIOD - number)
        return whole.to(self._result.dtype)

    def _blocks(self) -> list[slice]:
        length = len(self._result)
        return [slice(start, min(start + _BLOCK, length)) for start in range(0, length, _BLOCK)]
