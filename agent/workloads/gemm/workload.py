"""Runs a product of matrices on the chosen engine, and checks its results."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from agent.workloads.axes import at_point
from agent.workloads.errors import WorkloadError
from agent.workloads.numpy_threads import limit_threads
from agent.workloads.point import point_name
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.gemm.spec import GemmSpec
    from agent.workloads.point import Point

MODULES = {
    "numpy": "agent.workloads.gemm.on_numpy",
    "onnxruntime": "agent.workloads.gemm.on_onnxruntime",
    "torch": "agent.workloads.gemm.on_torch",
}
"""The module of each engine, with `check(engine)` and `load(engine)`, which returns a `Multiplier`."""
MOST_ERROR = {"fp64": 1e-9, "fp32": 1e-3, "fp16": 0.02, "bf16": 0.1, "int8": 0.0}
"""The largest error of a product times a random vector, over the norm of the true one."""


class Product(Protocol):
    """Two matrices and their product on a device."""

    def run(self) -> None:
        """Multiply, and return once the device has finished."""
        ...

    def operands(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return both matrices as the device has them."""
        ...

    def take_result(self) -> NDArray[Any]:
        """Return the product, and overwrite it on the device."""
        ...


class Multiplier(Protocol):
    """An engine on a device."""

    engine: str
    version: str
    provider: str
    device: str

    def product(self, spec: GemmSpec) -> Product:
        """Make the matrices of a spec on the device."""
        ...


def check(spec: GemmSpec, engine: EngineSpec, _points: Sequence[Point]) -> None:
    """Check the engine and its device. Raises WorkloadError."""
    limit_threads(engine)
    import_module(MODULES[spec.engine]).check(engine)


def load(spec: GemmSpec, engine: EngineSpec) -> GemmWorkload:
    """Start the engine. Raises WorkloadError."""
    check(spec, engine, ())
    return GemmWorkload(spec, engine, import_module(MODULES[spec.engine]).load(engine))


class GemmWorkload:
    """The products of a sweep; each point has matrices of its own."""

    def __init__(self, spec: GemmSpec, engine: EngineSpec, multiplier: Multiplier) -> None:
        self.spec = spec
        self._multiplier = multiplier
        self.ready = Ready(
            engine=multiplier.engine,
            version=multiplier.version,
            provider=multiplier.provider,
            threads=engine.threads,
            precision=spec.dtype,
            parameters=None,
            model_bytes=None,
            sha256=None,
            phases=spec.phases,
            load_seconds=0.0,
            device=multiplier.device,
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the matrices of a point, and multiply them once."""
        spec = at_point(self.spec, parameters)
        product = self._multiplier.product(spec)
        verify = _check_of(product, spec, point_name(parameters))
        product.run()
        verify()
        return {"product": Phase(lambda _: product.run(), inferences=1, work=spec.work, verify=verify)}


def _check_of(product: Product, spec: GemmSpec, name: str) -> Callable[[], None]:
    """Return a function that compares the product times a random vector with the same in fp64 (Freivalds)."""
    import numpy as np  # noqa: PLC0415  after the number of threads is set

    vector = np.random.default_rng(spec.seed).integers(-4, 5, spec.n).astype(np.float64)
    left, right = product.operands()
    expected = left.astype(np.float64) @ (right.astype(np.float64) @ vector)
    scale = float(np.linalg.norm(expected)) or 1.0

    def verify() -> None:
        error = float(np.linalg.norm(product.take_result().astype(np.float64) @ vector - expected)) / scale
        if not error <= MOST_ERROR[spec.dtype]:
            raise WorkloadError(
                f"{name}: the product has a relative error of {error:.2g}, {MOST_ERROR[spec.dtype]:g} are allowed",
                "check the memory and the cooling of this host, and the version of the engine",
            )

    return verify
