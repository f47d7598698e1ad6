"""The declaration of the copies and sums of large arrays: operations, sizes, NUMA nodes, engines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from agent.runtime.cpu_list import parse_cpu_list
from agent.workloads.declaration import NUMPY, TORCH, Workload
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import require_memory, size
from agent.workloads.parameter import check_parameters, parameter
from agent.workloads.stream.memory import cpus_of_nodes, last_level_bytes
from agent.workloads.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.workloads.declaration import Spec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.limits import Limits
    from agent.workloads.point import Point

Operation = Literal["copy", "scale", "add", "triad"]
EngineName = Literal["numpy", "torch"]
Dtype = Literal["fp64", "fp32"]

MOST_ARRAYS = 3
_MIB = 1 << 20
_TIMES_CACHE = 4
_WITHOUT_CACHE_MIB = 256
"""The size of an array if the size of the caches is unknown."""
_LARGEST_MIB = 1 << 20
_ELEMENT_BYTES = {"fp64": 8, "fp32": 4}


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """The four operations of STREAM on arrays x, y, z: z = x, z = 3 x, z = x + y, z = x + 3 y.

    One inference is one operation on whole arrays.
    """

    operation: Operation = parameter(
        "copy", help="Operation.", sweep=("copy", "scale", "add", "triad"), in_every_point=True
    )
    array_mib: int = parameter(
        0,
        help="Size of an array in MiB; 0 is four times the last-level caches of the CPUs, or 1024 on an accelerator.",
        least=0,
        most=_LARGEST_MIB,
    )
    dtype: Dtype = parameter("fp64", help="Type of the elements.")
    numa_nodes: str = parameter(
        "", help="NUMA nodes whose CPUs and memory are used, such as 0 or 0,2; all by default.", metavar="LIST"
    )
    engine: EngineName = parameter("numpy", help="Engine that copies and adds.")

    workload: ClassVar[str] = "stream"

    def __post_init__(self) -> None:
        check_parameters(self)
        try:
            parse_cpu_list(self.numa_nodes)
        except ValueError as error:
            raise ValueError(f"--numa-nodes: {error}") from error

    @property
    def label(self) -> str:
        """The model in a message."""
        return "the arrays"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phase of an operation."""
        return ("pass",)

    @property
    def sources(self) -> int:
        """The number of arrays that the operation reads."""
        return 1 if self.operation in {"copy", "scale"} else 2

    @property
    def element_bytes(self) -> int:
        """The size of an element."""
        return _ELEMENT_BYTES[self.dtype]

    def cpus(self) -> dict[int, tuple[int, ...]]:
        """Return the usable CPUs of each chosen NUMA node; of node -1 if none is chosen. Raises WorkloadError."""
        usable = os.sched_getaffinity(0)
        if not self.numa_nodes:
            return {-1: tuple(sorted(usable))}
        nodes = cpus_of_nodes(parse_cpu_list(self.numa_nodes))
        found = {node: tuple(cpu for cpu in cpus if cpu in usable) for node, cpus in nodes.items()}
        if empty := [str(node) for node, cpus in found.items() if not cpus]:
            raise WorkloadError(
                f"--numa-nodes: this process may not use the CPUs of node {', '.join(empty)}", "allow them with taskset"
            )
        return found

    def array_bytes(self) -> int:
        """Return the size of an array on the CPU. Raises WorkloadError if the caches could hold much of it."""
        cache = last_level_bytes(cpu for cpus in self.cpus().values() for cpu in cpus)
        least = _WITHOUT_CACHE_MIB if cache is None else -(-_TIMES_CACHE * cache // _MIB)
        if cache is not None and self.array_mib:
            require_larger_than_cache(self.array_mib * _MIB, cache)
        return (self.array_mib or least) * _MIB

    def work(self, array_bytes: int, *, on_host: bool) -> Work:
        """Return the bytes of an operation, as STREAM counts them: each array once.

        On the CPU, a cache also reads the lines of the result, unless the stores bypass it.
        """
        moved = float((self.sources + 1) * array_bytes)
        return Work(moved_bytes=moved, allocated_bytes=moved + array_bytes if on_host else None)


def require_larger_than_cache(array_bytes: int, cache_bytes: int) -> None:
    """Raise WorkloadError for an array of less than four times the cache."""
    least = -(-_TIMES_CACHE * cache_bytes // _MIB)
    if array_bytes < least * _MIB:
        raise WorkloadError(
            f"--array-mib {array_bytes // _MIB}: caches of {cache_bytes / _MIB:.3g} MiB would hold much of an array",
            f"choose --array-mib {least} or more, or 0",
        )


def check_memory(spec: Spec, engine: EngineSpec, _points: Sequence[Point], limits: Limits) -> str:
    """Return the size of the arrays on the CPU; raise WorkloadError if they do not fit into the memory of this host."""
    own = cast("StreamSpec", spec)
    if own.engine == "torch" and not engine.device.startswith("cpu"):
        return ""
    array = own.array_bytes()
    require_memory(MOST_ARRAYS * array, "three arrays", "choose a smaller --array-mib", limits)
    return f"three arrays of {size(array)}"


WORKLOAD = Workload(
    spec=StreamSpec,
    implementation="agent.workloads.stream.workload",
    help="""Profile copies and sums of large arrays.

    No cache holds the arrays, so the profile has the bytes per second of memory, and the joules of each. The operations
    are those of STREAM, with its counts: copy and scale move two arrays, add and triad three. The table also has the
    rate with the lines that a cache reads before it writes them. Results are checked after every window. With
    `inferometer profile gemm`, the profile gives the ceiling of this host (`inferometer roofline`).

    Example: inferometer profile stream

    Example: inferometer profile stream --operation copy,triad --threads 1

    Example: inferometer profile stream --numa-nodes 0

    Example: inferometer profile stream --engine torch --device cuda
    """,
    engines=(NUMPY, TORCH),
    check=check_memory,
)
