"""Runs the operations with NumPy: each thread has a part of every array, which it touches first."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.numpy_threads import check_cpu
from agent.workloads.stream.operations import PERIOD, SCALAR, expected

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.stream.spec import StreamSpec

_BLOCK = 1 << 14
"""The elements of a block of triad: its intermediate result stays in the nearest caches."""
_LINE = 8
_TYPES = {"fp64": np.float64, "fp32": np.float32}


def check(engine: EngineSpec) -> None:
    """Check the device. Raises WorkloadError."""
    check_cpu(engine)


def load(spec: StreamSpec, engine: EngineSpec) -> NumpyMemory:
    """Start the threads."""
    return NumpyMemory(spec, engine)


class NumpyMemory:
    """The memory of the host, and one thread for each part of an array.

    With chosen NUMA nodes the threads are bound to the CPUs of the nodes in turn.
    """

    engine, version, provider, device = "numpy", np.__version__, "cpu", "cpu"

    def __init__(self, spec: StreamSpec, engine: EngineSpec) -> None:
        nodes = spec.cpus()
        self.threads = engine.threads or sum(map(len, nodes.values()))
        self.array_bytes = spec.array_bytes()
        bound = [set(cpus) if spec.numa_nodes else None for cpus in nodes.values()]
        self._threads = [
            ThreadPoolExecutor(1, initializer=_bind, initargs=(cpus,))
            for cpus, _ in zip(cycle(bound), range(self.threads), strict=False)
        ]

    def arrays(self, spec: StreamSpec) -> NumpyArrays:
        """Make the arrays of an operation; their memory is that of the nodes whose threads touch it first."""
        return NumpyArrays(spec, self.array_bytes // spec.element_bytes, self._threads)


class NumpyArrays:
    """The arrays of one operation, in parts."""

    def __init__(self, spec: StreamSpec, elements: int, threads: Sequence[ThreadPoolExecutor]) -> None:
        element = _TYPES[spec.dtype]
        self._threads = threads
        self._operation = spec.operation
        whole = [np.empty(elements, element) for _ in range(spec.sources + 1)]
        edges = [elements * number // len(threads) // _LINE * _LINE for number in range(len(threads))]
        slices = [slice(start, end) for start, end in zip(edges, [*edges[1:], elements], strict=True)]
        self._parts = [[array[own] for array in whole] for own in slices]
        self._each(_fill)

    def run(self) -> None:
        """Run the operation once on all parts."""
        self._each(_OPERATIONS[self._operation])

    def take_result(self) -> bool:
        """Return whether every element is right, and overwrite the result."""
        return all(self._each(lambda part: _taken(part, self._operation)))

    def _each(self, function: Callable[[list[NDArray[Any]]], Any]) -> list[Any]:
        running = [thread.submit(function, part) for thread, part in zip(self._threads, self._parts, strict=True)]
        return [each.result() for each in running]


def _bind(cpus: Collection[int] | None) -> None:
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


def _fill(part: list[NDArray[Any]]) -> None:
    """Write the sources, and touch the result."""
    *sources, result = part
    for number, source in enumerate(sources):
        for own in _blocks(source):
            source[own] = _values(number, own)
    result.fill(np.nan)


def _taken(part: list[NDArray[Any]], operation: str) -> bool:
    *sources, result = part
    right = all(
        np.array_equal(result[own], expected(operation, [_values(number, own) for number in range(len(sources))]))
        for own in _blocks(result)
    )
    result.fill(np.nan)
    return right


def _values(number: int, own: slice) -> NDArray[Any]:
    """Return the elements of a source: whole numbers so small that every result is exact."""
    return np.arange(own.start, own.stop) % (PERIOD - number)


def _blocks(array: NDArray[Any]) -> list[slice]:
    return [slice(start, min(start + _BLOCK, len(array))) for start in range(0, len(array), _BLOCK)]


def _copy(part: list[NDArray[Any]]) -> None:
    """Use a loop with vector instructions: `numpy.copyto` was a tenth slower on a CPU that copies with `rep movsb`."""
    source, result = part
    np.positive(source, out=result)


def _scale(part: list[NDArray[Any]]) -> None:
    source, result = part
    np.multiply(source, SCALAR, out=result)


def _add(part: list[NDArray[Any]]) -> None:
    one, two, result = part
    np.add(one, two, out=result)


def _triad(part: list[NDArray[Any]]) -> None:
    """Work in blocks, because NumPy needs two passes: the product of a block does not leave the caches."""
    one, two, result = part
    product = np.empty(_BLOCK, result.dtype)
    for own in _blocks(result):
        scaled = product[: own.stop - own.start]
        np.multiply(two[own], SCALAR, out=scaled)
        np.add(one[own], scaled, out=result[own])


_OPERATIONS: dict[str, Callable[[list[NDArray[Any]]], None]] = {
    "copy": _copy,
    "scale": _scale,
    "add": _add,
    "triad": _triad,
}
