"""Small ONNX models, and the error of a model that cannot run."""

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.input_spec import parse_inputs
from agent.workloads.onnx.spec import OnnxSpec

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")
ENGINE = EngineSpec(device="cpu", threads=1)
FLOAT, INT64, BFLOAT16 = 1, 7, 16


def value(name, shape, element=FLOAT):
    return onnx.helper.make_tensor_value_info(name, element, shape)


def node(kind, inputs, **attributes):
    return onnx.helper.make_node(kind, inputs, ["y"], **attributes)


def weights(name, array, **changes):
    tensor = onnx.numpy_helper.from_array(array, name)
    for field, changed in changes.items():
        setattr(tensor, field, changed)
    return tensor


def model(nodes, inputs=None, output=None, initializers=(), *, opset=17, ir_version=8, domains=()):
    """Return the bytes of a model of x and y, both [2] if nothing else is said."""
    graph = onnx.helper.make_graph(
        nodes if isinstance(nodes, list) else [nodes],
        "g",
        inputs or [value("x", [2])],
        [output or value("y", None)],
        list(initializers),
    )
    opsets = [onnx.helper.make_opsetid("", opset), *(onnx.helper.make_opsetid(name, 1) for name in domains)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=ir_version).SerializeToString()


RELU = node("Relu", ["x"])
ONES = np.ones(3, np.float32)
# cause: (model, words of the message, words of the remedy)
MODELS = {
    "custom_operator": (
        model(node("Warp", ["x"], domain="my.ops"), domains=["my.ops"]),
        "the custom operator my.ops:Warp is not part of onnxruntime",
        "standard ONNX operators",
    ),
    "newer_microsoft_operator": (
        model(node("Warp", ["x"], domain="com.microsoft"), domains=["com.microsoft"]),
        "this onnxruntime lacks the operator com.microsoft:Warp",
        "install a newer onnxruntime",
    ),
    "domain_not_imported": (
        model(node("Warp", ["x"], domain="my.ops")),
        "the operator Warp belongs to the domain 'my.ops'",
        "standard ONNX operators",
    ),
    "unknown_operator": (model(node("Warp", ["x"])), "the opset 17 of the model has no operator Warp", "for an opset"),
    "newer_opset": (model(RELU, opset=99), "the model uses opset 99 of ai.onnx", "export the model for opset "),
    "newer_ir_version": (
        model(RELU, ir_version=99),
        "the model has IR version 99",
        "save the model with ir_version=",
    ),
    "no_kernel": (
        model(
            node("Conv", ["x", "w"]),
            [value("x", [1, 1, 4, 4], BFLOAT16), value("w", [1, 1, 2, 2], BFLOAT16)],
            value("y", None, BFLOAT16),
            opset=22,
            ir_version=10,
        ),
        "no kernel for the operator Conv (opset 22)",
        "float32",
    ),
    "unknown_type": (
        model(RELU, initializers=[weights("w", ONES, data_type=99)]),
        "the weights 'w' have an unknown type",
        "other types",
    ),
    "short_weights": (
        model(node("Add", ["x", "w"]), [value("x", [3])], initializers=[weights("w", ONES, raw_data=b"\0" * 4)]),
        "the weights 'w' have 4 bytes, their shape needs 12",
        "export or download the model again",
    ),
    "wrong_types": (
        model(node("Add", ["x", "z"]), [value("x", [2]), value("z", [2], INT64)]),
        "bound to different types",
        "the types of each operator agree",
    ),
    "shapes_in_graph": (
        model(node("Add", ["x", "w"]), initializers=[weights("w", ONES)]),
        "Incompatible dimensions",
        "the shapes of each operator agree",
    ),
    "invalid_graph": (model(node("Add", ["x", "nowhere"])), "'nowhere' is not a graph input", "run onnx.checker"),
    "value_out_of_range": (
        model(node("Gather", ["w", "x"]), [value("x", [9], INT64)], initializers=[weights("w", ONES[:1])]),
        "out of data bounds",
        "such as --input x=0",
    ),
    "sizes_of_inputs": (
        model(
            node("Reshape", ["x", "s"]),
            [value("x", ["n", 2])],
            initializers=[weights("s", np.array([3], np.int64))],
        ),
        "cannot be reshaped",
        "--shape NAME=",
    ),
    "out_of_memory": (
        model([node("ConstantOfShape", ["s"])], [value("x", [1])], initializers=[weights("s", np.array([1 << 46]))]),
        "out of memory",
        "a smaller batch or a smaller model",
    ),
}


def failure(path, *given):
    with pytest.raises(WorkloadError) as raised:
        onnx_model.load(OnnxSpec(path, inputs=parse_inputs(given)), ENGINE).prepare({"batch": 1})
    return raised.value
