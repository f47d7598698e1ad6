"""Named dimensions: filled in by --dim, swept, and checked against the model."""

from __future__ import annotations

import re

import onnx
import pytest
from onnx import helper

from agent.workloads.axes import request
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.onnx import workload as onnx_workload
from agent.workloads.onnx.spec import OnnxSpec

np = pytest.importorskip("numpy")
pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
ENGINE = EngineSpec(device="cpu", threads=1)


def model(path, **shapes):
    """Save a model that doubles each of its float inputs."""
    value = {name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    outputs = [helper.make_tensor_value_info(f"{name}_2", onnx.TensorProto.FLOAT, s) for name, s in shapes.items()]
    nodes = [helper.make_node("Add", [name, name], [f"{name}_2"]) for name in shapes]
    graph = helper.make_graph(nodes, "g", list(value.values()), outputs)
    opset = helper.make_operatorsetid("", 17)
    onnx.save_model(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))
    return path


def load(path, **given):
    spec, axes = request(OnnxSpec, {"model": path, **given})
    return onnx_workload.load(spec, ENGINE), axes


def fed(workload, parameters, monkeypatch):
    """Return the shapes of the inputs of a point and the inferences of one run."""
    shapes = {}

    bound = type(workload.session).bound

    def recorded(session, feeds, outputs):
        shapes.update({name: tuple(tensor.shape()) for name, tensor in feeds.items()})
        return bound(session, feeds, outputs)

    monkeypatch.setattr(type(workload.session), "bound", recorded)
    return shapes, workload.prepare(parameters)["inference"].inferences


def refusal(path, parameters=None, **given):
    with pytest.raises(WorkloadError) as failure:
        load(path, **given)[0].prepare(parameters)
    return failure.value.message, failure.value.remedy


def test_a_dimension_is_filled_in_everywhere_and_the_first_of_every_input_is_the_batch(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx", ids=["batch", "seq"], mask=["batch", 1, "seq", "seq"])
    workload, axes = load(path, dims={"batch": (1, 8), "seq": (4, 16)})
    assert axes == {"batch": (1, 8), "seq": (4, 16)}
    assert fed(workload, {"batch": 8, "seq": 4}, monkeypatch) == ({"ids": (8, 4), "mask": (8, 1, 4, 4)}, 8)
    assert fed(workload, {"batch": 1, "seq": 16}, monkeypatch) == ({"ids": (1, 16), "mask": (1, 1, 16, 16)}, 1)
    assert [each.shape for each in workload.ready.inputs] == [(1, 16), (1, 1, 16, 16)]


def test_the_batch_may_have_any_name_or_be_given_with_its_own_option(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx", x=["N", "length"])
    assert fed(load(path, dims={"N": (4,), "length": (3,)})[0], {"N": 4, "length": 3}, monkeypatch) == (
        {"x": (4, 3)},
        4,
    )
    by_option, axes = load(path, batch=(4,), dims={"length": (3,)})
    assert list(axes) == ["batch", "length"]
    assert fed(by_option, {"batch": 4, "length": 3}, monkeypatch) == ({"x": (4, 3)}, 4)


def test_a_first_dimension_that_not_every_input_has_is_not_a_batch(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx", x=["rows", 2], y=["rows", "rows"], z=[3])
    workload, _ = load(path, dims={"rows": (4,)})
    assert fed(workload, {"rows": 4}, monkeypatch) == ({"x": (4, 2), "y": (4, 4), "z": (3,)}, 1)


def test_an_array_has_one_row_for_each_element_of_a_batch_given_by_name(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.zeros((4, 3), np.float32))
    inputs = onnx_workload_inputs(tmp_path / "x.npy")
    path = model(tmp_path / "m.onnx", x=["N", "length"])
    workload, _ = load(path, dims={"N": (2, 4)}, inputs=inputs)
    assert fed(workload, {"N": 2}, monkeypatch) == ({"x": (2, 3)}, 2)
    message, _ = refusal(path, {"N": 5}, dims={"N": (5,)}, inputs=inputs)
    assert message == "a batch of 5: --input x has 4 rows, one for each element"
    message, remedy = refusal(path, {"N": 2, "length": 7}, dims={"N": (2,), "length": (7,)}, inputs=inputs)
    assert message == "--input x: its array is 4x3: the model declares [N, length=7]"
    assert remedy == "give an array of the shape [N, length=7], or other sizes with --dim"


def onnx_workload_inputs(path):
    from agent.workloads.input_spec import parse_inputs

    return parse_inputs([f"x={path}"])


def test_a_shape_and_a_dimension_go_together_if_they_agree(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx", x=["N", "length"], y=["N", "width"])
    workload, _ = load(path, dims={"N": (4,), "width": (5,)}, shapes={"x": (4, 3)})
    assert fed(workload, {"N": 4, "width": 5}, monkeypatch) == ({"x": (4, 3), "y": (4, 5)}, 1)


@pytest.mark.parametrize(
    ("shapes", "given", "message", "remedy"),
    [
        (
            {"x": ["N", "length"]},
            {"dims": {"seq": (4,)}},
            "--dim seq: no input of the model has a dimension of this name",
            "its named dimensions are N, length",
        ),
        (
            {"x": [1, 3]},
            {"dims": {"seq": (4,)}},
            "--dim seq: no input of the model has a dimension of this name",
            "it names none: give sizes with --shape",
        ),
        (
            {"x": ["N", 3]},
            {"dims": {"N": (4,)}, "batch": (2,)},
            "--dim N: this dimension is the batch, which --batch sets too",
            "give one of them",
        ),
        (
            {"x": ["N", 3]},
            {"dims": {"N": (0,)}},
            "--dim N=0: this dimension is the batch",
            "give sizes of at least 1",
        ),
        (
            {"x": ["N", "length"]},
            {"dims": {"N": (4,)}, "shapes": {"x": (2, 3)}},
            "--dim N=4: --shape gives this dimension of x the size 2",
            "give both the same size, or leave out one of the options",
        ),
        (
            {"x": ["N", "length", "width"]},
            {"dims": {"length": (4,)}},
            "the input 'x' has the shape [N, length=4, width], which leaves sizes open",
            "give --dim width=128, or give it with --shape x=1x4x<width>, a number in place of each <word>",
        ),
        (
            {"x": ["N", None]},
            {"dims": {"N": (4,)}},
            "the input 'x' has the shape [N, ?], which leaves sizes open",
            "give it with --shape x=1x<size>, a number in place of each <word>",
        ),
    ],
)
def test_a_dimension_that_does_not_fit_is_refused_by_name_with_cause_and_remedy(
    tmp_path, shapes, given, message, remedy
):
    point = {name: values[0] for name, values in given["dims"].items()}
    point |= {"batch": 2} if "batch" in given else {}
    assert refusal(model(tmp_path / "m.onnx", **shapes), point, **given) == (message, remedy)


def test_a_size_of_zero_is_a_size(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx", x=["N", "past"])
    assert fed(load(path, dims={"past": (0,)})[0], {"past": 0}, monkeypatch) == ({"x": (1, 0)}, 1)


def test_an_error_of_a_point_names_its_parameters(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx", x=["N", "length"])
    workload, _ = load(path, dims={"length": (4,)})

    def fail(*_):
        raise RuntimeError("it broke")

    monkeypatch.setattr(type(workload.session), "bound", fail)
    with pytest.raises(WorkloadError, match=re.escape("running length=4: RuntimeError: it broke")):
        workload.prepare({"length": 4})
