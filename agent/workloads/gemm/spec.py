"""The declaration of the matrix product: its sizes, its type, its engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from agent.workloads.axes import at_point
from agent.workloads.declaration import NUMPY, ONNXRUNTIME, TORCH, Workload
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import require_memory
from agent.workloads.parameter import check_parameters, parameter
from agent.workloads.point import point_name
from agent.workloads.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.workloads.declaration import Spec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.limits import Limits
    from agent.workloads.point import Point

Dtype = Literal["fp64", "fp32", "fp16", "bf16", "int8"]
EngineName = Literal["numpy", "onnxruntime", "torch"]

OFFERED: dict[str, tuple[str, ...]] = {
    "numpy": ("fp64", "fp32"),
    "onnxruntime": ("fp64", "fp32", "fp16", "int8"),
    "torch": ("fp64", "fp32", "fp16", "bf16", "int8"),
}
"""The types that each engine multiplies by optimized code."""
_LARGEST = 1 << 17
_SIZE = 2048
_BYTES = {"fp64": 8, "fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
_WHOLE_SUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class GemmSpec:
    """The product of a matrix [m, k] and a matrix [k, n] of random values; one inference is one product.

    Sums of int8 are 32-bit integers.
    """

    m: int = parameter(_SIZE, help="Rows of the left matrix.", least=1, most=_LARGEST, sweep=(_SIZE,))
    n: int = parameter(_SIZE, help="Columns of the right matrix.", least=1, most=_LARGEST, sweep=(_SIZE,))
    k: int = parameter(
        _SIZE, help="Columns of the left matrix and rows of the right one.", least=1, most=_LARGEST, sweep=(_SIZE,)
    )
    dtype: Dtype = parameter("fp32", help="Type of the elements.", sweep=("fp32",), in_every_point=True)
    engine: EngineName = parameter("numpy", help="Engine that multiplies; numpy uses its BLAS library.")
    seed: int = parameter(0, help="Seed of the matrices.", least=0)

    workload: ClassVar[str] = "gemm"

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.dtype not in OFFERED[self.engine]:
            engines = ", ".join(name for name, offered in OFFERED.items() if self.dtype in offered)
            offered = ", ".join(OFFERED[self.engine])
            raise ValueError(
                f"--dtype {self.dtype}: {self.engine} multiplies {offered}; choose one of them, or --engine {engines}"
            )

    @property
    def label(self) -> str:
        """The model in a message."""
        return "the matrix product"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phase of a product."""
        return ("product",)

    @property
    def work(self) -> Work:
        """The additions and multiplications of a product."""
        return Work(operations=2.0 * self.m * self.n * self.k)

    def minimum_bytes(self) -> int:
        """Return the bytes of the three matrices."""
        element = _BYTES[self.dtype]
        result = _WHOLE_SUM_BYTES if self.dtype == "int8" else element
        return element * (self.m * self.k + self.k * self.n) + result * self.m * self.n


def check_memory(spec: Spec, engine: EngineSpec, points: Sequence[Point], limits: Limits) -> str:
    """Return an empty text; raise WorkloadError for a point that needs too much memory or that the engine converts."""
    for point in points:
        own = at_point(cast("GemmSpec", spec), point)
        if own.engine == "onnxruntime" and own.dtype == "fp16" and engine.device == "cpu":
            raise WorkloadError(
                "--dtype fp16 with --device cpu: onnxruntime multiplies fp32 there",
                "choose --dtype fp32, or --engine torch",
            )
        needed = own.minimum_bytes()
        require_memory(needed, f"a product at {point_name(point)}", "choose smaller --m, --n and --k", limits)
    return ""


WORKLOAD = Workload(
    spec=GemmSpec,
    implementation="agent.workloads.gemm.workload",
    help="""Profile a product of matrices.

    One inference is one product; the profile has its operations per second, and the joules of each. The result is
    checked after every window. --m, --n, --k and --dtype take lists. With `inferometer profile stream`, the profile
    gives the ceiling of this host (`inferometer roofline`).

    Example: inferometer profile gemm

    Example: inferometer profile gemm --dtype fp32,fp64 --m 512,4096

    Example: inferometer profile gemm --engine torch --device cuda --dtype fp16,bf16,int8 --m 8192 --n 8192 --k 8192
    """,
    engines=(NUMPY, ONNXRUNTIME, TORCH),
    check=check_memory,
)
