"""Quantizes ONNX models with the tools of ONNX Runtime."""

from __future__ import annotations

import logging
import re
import tempfile
from collections import Counter
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import onnx

from agent.workloads.errors import WorkloadError, as_workload_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Inputs = Mapping[str, NDArray[Any]]

_INT4_BLOCK = 32
_INT8_ARITHMETIC = 4  # the accuracy level of MatMulNBits that multiplies in int8
_LARGEST_IN_ONE_FILE = 1 << 30  # a protobuf has at most 2 GiB
_OF_QUANTIZATION = re.compile(r"Quant|Integer|NBits|^Q(Attention|Embed|Gemm|Linear)")
_NEEDED = {
    "int8": "no operator with constant weights that is quantized dynamically (MatMul, Conv, Gather, LSTM, Attention)",
    "int8_static": "no operator that is quantized statically (such as Conv, MatMul, Add) outside loops and branches",
    "int4": "no MatMul whose second operand is a constant matrix",
    "fp16": "no weights in fp32",
}


def quantize(model: Any, model_bytes: int, label: str, precision: str, inputs: Inputs, folder: Path) -> Path:
    """Write the quantized model into a folder, and return its file; `inputs` calibrate int8_static.

    `model` contains all its weights, `label` names it in errors. Temporary files of the tools go into the same folder.
    Raises WorkloadError for a model that the tools cannot read, and for one without anything to quantize.
    """
    to, large = folder / f"{precision}.onnx", model_bytes > _LARGEST_IN_ONE_FILE
    with _tools_in(folder):
        try:
            prepared = _prepared(model, folder, large=large)
            _TOOLS[precision](prepared, to, inputs, large)
            before, after = (onnx.load(path, load_external_data=False) for path in (prepared, to))
        except Exception as error:
            doing = f"--quantize {precision}: quantizing {label}"
            raise as_workload_error(error, doing, f"leave out {precision}") from error
    if not _quantized(after) - _quantized(before):
        raise WorkloadError(
            f"--quantize {precision}: {label} has {_NEEDED[precision]}",
            f"leave out {precision}: nothing would change",
        )
    return to


def missing_module(precision: str) -> str | None:
    """Return the name of a module that the tool of a precision needs and that is not installed, else None."""
    try:
        _TOOLS_OF[precision]()
    except ModuleNotFoundError as error:
        return error.name or str(error)
    return None


@contextmanager
def _tools_in(folder: Path) -> Iterator[None]:
    """Silence the tools, and make their temporary files in a folder."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        tempfile.tempdir = before


def _prepared(model: Any, folder: Path, *, large: bool) -> Path:
    """Write the model with constants folded, batch normalizations fused and shapes inferred, as the tools advise."""
    whole, to = folder / "whole.onnx", folder / "prepared.onnx"
    onnx.save(model, whole, save_as_external_data=large)
    _quantization().quant_pre_process(str(whole), str(to), skip_symbolic_shape=True, save_as_external_data=large)
    return to


def _dynamic(model: Path, to: Path, _inputs: Inputs, large: bool) -> None:
    """Quantize weights now, and activations while the model runs."""
    tools = _quantization()
    kinds = Counter(node.op_type for node in _nodes(onnx.load(model, load_external_data=False).graph))
    # Older versions of the engine have no kernel of ConvInteger for signed weights.
    weights = tools.QuantType.QUInt8 if kinds["Conv"] else tools.QuantType.QInt8
    tools.quantize_dynamic(
        str(model),
        str(to),
        weight_type=weights,
        use_external_data_format=large,
        extra_options={"EnableSubgraph": True},
    )


def _static(model: Path, to: Path, inputs: Inputs, large: bool) -> None:
    """Quantize weights and activations; the range of each activation is that on the inputs."""
    tools = _quantization()
    left = [dict(inputs)]
    reader = type("Reader", (tools.CalibrationDataReader,), {"get_next": lambda _: left.pop() if left else None})
    tools.quantize_static(
        str(model),
        str(to),
        reader(),
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        use_external_data_format=large,
    )


def _int4(model: Path, to: Path, _inputs: Inputs, large: bool) -> None:
    """Store the constant matrices of MatMul in 4 bits, in blocks of 32 with a scale each, and multiply in int8."""
    quantizer = _int4_tool()(onnx.load(model), block_size=_INT4_BLOCK, accuracy_level=_INT8_ARITHMETIC)
    quantizer.process()
    quantizer.model.save_model_to_file(str(to), use_external_data_format=large)


def _fp16(model: Path, to: Path, _inputs: Inputs, large: bool) -> None:
    """Convert weights and activations to fp16; inputs and outputs keep their types."""
    converted = _fp16_tool()(onnx.load(model), keep_io_types=True)
    onnx.save(converted, to, save_as_external_data=large)


def _quantization() -> Any:
    return import_module("onnxruntime.quantization")


def _int4_tool() -> Any:
    name = "onnxruntime.quantization.matmul_nbits_quantizer"
    try:
        return import_module(name).MatMulNBitsQuantizer
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
    return import_module("onnxruntime.quantization.matmul_4bits_quantizer").MatMul4BitsQuantizer  # before 1.22


def _fp16_tool() -> Any:
    return import_module("onnxruntime.transformers.float16").convert_float_to_float16


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield every operator, those of loops and branches included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _quantized(model: Any) -> Counter[str]:
    """Return the number of operators and weights of a quantized kind."""
    half = sum(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    kinds = Counter(node.op_type for node in _nodes(model.graph) if _OF_QUANTIZATION.search(node.op_type))
    return kinds + Counter({"fp16 weights": half})


_TOOLS: Mapping[str, Callable[[Path, Path, Inputs, bool], None]] = {
    "int8": _dynamic,
    "int8_static": _static,
    "int4": _int4,
    "fp16": _fp16,
}
_TOOLS_OF: Mapping[str, Callable[[], Any]] = {
    "int8": _quantization,
    "int8_static": _quantization,
    "int4": _int4_tool,
    "fp16": _fp16_tool,
}
