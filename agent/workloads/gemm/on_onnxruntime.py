"""Multiplies with ONNX Runtime: a graph of one MatMul, or of one MatMulInteger for int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import TensorProto, helper

from agent.workloads.engines import onnxruntime
from agent.workloads.errors import WorkloadError
from agent.workloads.gemm.matrices import matrices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.gemm.spec import GemmSpec

_TYPES = {
    "fp64": TensorProto.DOUBLE,
    "fp32": TensorProto.FLOAT,
    "fp16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
}
_OPSET, _IR_VERSION = 17, 8


def check(engine: EngineSpec) -> None:
    """Check the device. Raises WorkloadError."""
    onnxruntime.check_device(engine)


def load(engine: EngineSpec) -> OnnxMultiplier:
    """Load a first graph, which shows the device that the engine uses."""
    return OnnxMultiplier(engine)


class OnnxMultiplier:
    """ONNX Runtime on a device; each type has a session of its own."""

    engine, version = onnxruntime.ENGINE, onnxruntime.VERSION

    def __init__(self, engine: EngineSpec) -> None:
        self._engine = engine
        self._sessions = {"fp32": onnxruntime.open_session(_graph("fp32"), engine)}
        self.provider: str = self._sessions["fp32"].provider
        self.device = self._sessions["fp32"].device

    def product(self, spec: GemmSpec) -> OnnxProduct:
        """Make the matrices of a spec on the device. Raises WorkloadError for a type that the device only converts."""
        if spec.dtype == "fp16" and self.provider == "cpu":
            raise WorkloadError(
                "--dtype fp16: onnxruntime multiplies fp32 on the CPU", "choose --dtype fp32, or --engine torch"
            )
        if spec.dtype not in self._sessions:
            self._sessions[spec.dtype] = onnxruntime.open_session(_graph(spec.dtype), self._engine)
        return OnnxProduct(self._sessions[spec.dtype], *matrices(spec))


class OnnxProduct:
    """Two tensors on the device, and their product once it was computed."""

    def __init__(self, session: Any, left: NDArray[Any], right: NDArray[Any]) -> None:
        self._session = session
        self._feeds = {"left": session.tensor(left), "right": session.tensor(right)}
        self._result: Any = None

    def run(self) -> None:
        """Multiply."""
        (self._result,) = self._session.run(self._feeds, ["product"])

    def operands(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return both matrices."""
        return self._feeds["left"].numpy(), self._feeds["right"].numpy()

    def take_result(self) -> NDArray[Any]:
        """Return the product, and drop it."""
        taken, self._result = self._result.numpy(), None
        return taken  # type: ignore[no-any-return]


def _graph(dtype: str) -> bytes:
    whole = dtype == "int8"
    element = _TYPES[dtype]
    node = helper.make_node("MatMulInteger" if whole else "MatMul", ["left", "right"], ["product"])
    graph = helper.make_graph(
        [node],
        "gemm",
        [
            helper.make_tensor_value_info("left", element, ["m", "k"]),
            helper.make_tensor_value_info("right", element, ["k", "n"]),
        ],
        [helper.make_tensor_value_info("product", TensorProto.INT32 if whole else element, ["m", "n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized
