"""Runs the operations of STREAM on the chosen engine, and checks their results."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from agent.workloads.axes import at_point
from agent.workloads.errors import WorkloadError
from agent.workloads.point import point_name
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.point import Point
    from agent.workloads.stream.spec import StreamSpec

MODULES = {"numpy": "agent.workloads.stream.on_numpy", "torch": "agent.workloads.stream.on_torch"}
"""The module of each engine, with `check(engine)` and `load(spec, engine)`, which returns `Memory`."""

_MIB = 1 << 20


class Arrays(Protocol):
    """The arrays of one operation."""

    def run(self) -> None:
        """Run the operation once on whole arrays, and return once the device has finished."""
        ...

    def take_result(self) -> bool:
        """Return whether every element of the result is right, and overwrite it."""
        ...


class Memory(Protocol):
    """The memory of a device, in which `array_bytes` is the size of an array."""

    engine: str
    version: str
    provider: str
    device: str
    threads: int
    array_bytes: int

    def arrays(self, spec: StreamSpec) -> Arrays:
        """Make the arrays of an operation."""
        ...


def check(spec: StreamSpec, engine: EngineSpec, _points: Sequence[Point]) -> None:
    """Check the engine, its device and the NUMA nodes. Raises WorkloadError."""
    spec.cpus()
    import_module(MODULES[spec.engine]).check(engine)


def load(spec: StreamSpec, engine: EngineSpec) -> StreamWorkload:
    """Start the engine on the CPUs of the chosen NUMA nodes. Raises WorkloadError."""
    if spec.numa_nodes:
        os.sched_setaffinity(0, {cpu for cpus in spec.cpus().values() for cpu in cpus})
    check(spec, engine, ())
    return StreamWorkload(spec, import_module(MODULES[spec.engine]).load(spec, engine))


class StreamWorkload:
    """The operations of a sweep; only one has arrays at a time."""

    def __init__(self, spec: StreamSpec, memory: Memory) -> None:
        self.spec = spec
        self._memory = memory
        self.ready = Ready(
            engine=memory.engine,
            version=memory.version,
            provider=memory.provider,
            threads=memory.threads,
            precision=spec.dtype,
            parameters=None,
            model_bytes=None,
            sha256=None,
            phases=spec.phases,
            load_seconds=0.0,
            device=memory.device,
            chosen={"array_mib": memory.array_bytes // _MIB},
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the arrays of an operation, and run it once."""
        spec = at_point(self.spec, parameters)
        arrays = self._memory.arrays(spec)

        def verify() -> None:
            if not arrays.take_result():
                raise WorkloadError(
                    f"{point_name(parameters)}: the result has wrong values", "check the memory of this host"
                )

        arrays.run()
        verify()
        work = spec.work(self._memory.array_bytes, on_host=self._memory.provider == "cpu")
        return {"pass": Phase(lambda _: arrays.run(), inferences=1, work=work, verify=verify)}
