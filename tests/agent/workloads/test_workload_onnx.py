"""Any ONNX model, in this process: its inputs, its facts, its batches."""

import hashlib

import pytest

from agent.workloads.errors import WorkloadError
from agent.workloads.spec import EngineSpec, OnnxSpec

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_file = pytest.importorskip("agent.workloads.onnx_file", reason="the onnx extra is not installed")
onnx_inputs = pytest.importorskip("agent.workloads.onnx_inputs", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx_model", reason="the onnx extra is not installed")

FLOAT, INT64 = 1, 7
ENGINE = EngineSpec(provider="cpu", threads=1)


def value(name, shape, element=FLOAT):
    return onnx.helper.make_tensor_value_info(name, element, shape)


def save(path, nodes, inputs, outputs, initializers=()):
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opset = onnx.helper.make_opsetid("", 17)
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
    return path


def relu(path, *shapes):
    """Save a model with one input a shape, x0, x1, ..., each with an output of its own."""
    nodes = [onnx.helper.make_node("Relu", [f"x{index}"], [f"y{index}"]) for index in range(len(shapes))]
    inputs = [value(f"x{index}", shape) for index, shape in enumerate(shapes)]
    return save(path, nodes, inputs, [value(f"y{index}", None) for index in range(len(shapes))])


def load(path, **shapes):
    return onnx_model.load(OnnxSpec(path, shapes), ENGINE)


def fed(workload, batch):
    """Return the shapes the model is fed for a batch."""
    return onnx_inputs.settled_shapes(workload.inputs, workload.spec.shapes, batch)


def test_a_model_of_fixed_shape_runs_one_inference_a_run(tmp_path):
    workload = load(relu(tmp_path / "m.onnx", [2, 3]))
    work = workload.prepare(1)["inference"]
    work.iterate([])
    assert (work.inferences, work.input_tokens, work.output_tokens) == (1, 0, 0)
    assert workload.ready.phases == ("inference",)


def test_a_model_whose_inputs_leave_only_the_batch_open_is_swept_over_it(tmp_path):
    workload = load(relu(tmp_path / "m.onnx", ["n", 3], [None, 4, 5]))
    assert workload.prepare(6)["inference"].inferences == 6
    assert fed(workload, 6) == ((6, 3), (6, 4, 5))


@pytest.mark.parametrize("shapes", [[[2, 3]], [["n", 3], [4]], [[]]])
def test_a_model_that_leaves_no_batch_open_runs_at_batch_1_alone(tmp_path, shapes):
    workload = load(relu(tmp_path / "m.onnx", *shapes))
    workload.prepare(1)
    with pytest.raises(WorkloadError, match="--batch 4") as failure:
        workload.prepare(4)
    assert "choose --batch 1" in failure.value.remedy


def test_a_given_shape_settles_the_batch(tmp_path):
    workload = load(relu(tmp_path / "m.onnx", ["n", 3]), x0=(8, 3))
    assert workload.prepare(1)["inference"].inferences == 1
    assert fed(workload, 1) == ((8, 3),)
    with pytest.raises(WorkloadError, match="--batch 2"):
        workload.prepare(2)


def test_an_open_size_without_a_shape_is_an_error_that_names_the_input_its_shape_and_the_option(tmp_path):
    path = relu(tmp_path / "m.onnx", ["n", 3, "height", None])
    with pytest.raises(WorkloadError) as failure:
        load(path)
    assert failure.value.message == "the input 'x0' has the shape [n, 3, height, ?], which leaves sizes open"
    assert "--shape x0=1x3x<height>x<size>" in failure.value.remedy
    load(path, x0=(1, 3, 5, 7)).prepare(1)


@pytest.mark.parametrize("shape", [(1, 3), (1, 4, 5), (1, 3, 5, 7)])
def test_a_shape_that_does_not_fit_the_declared_one_is_an_error(tmp_path, shape):
    with pytest.raises(WorkloadError, match=r"the model declares \[n, 3, size\]") as failure:
        load(relu(tmp_path / "m.onnx", ["n", 3, "size"]), x0=shape)
    assert "--shape x0=1x3x<size>" in failure.value.remedy


def test_a_shape_for_an_input_the_model_does_not_have_is_an_error(tmp_path):
    with pytest.raises(WorkloadError, match="--shape y: the model has no such input") as failure:
        load(relu(tmp_path / "m.onnx", [1], [1]), y=(1,))
    assert failure.value.remedy == "its inputs are x0, x1"


@pytest.mark.parametrize("element", ["float16", "float", "double", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_inputs_of_every_common_type_are_made_up_and_taken(tmp_path, element):
    number = onnx.TensorProto.DataType.Value(element.upper())
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    path = save(tmp_path / "m.onnx", [node], [value("x", ["n", 40], number)], [value("y", None, number)])
    workload = load(path)
    workload.prepare(2)
    declared = workload.inputs[0]
    values = onnx_inputs.made_up(declared, (2, 40), np.random.default_rng(0))
    assert values.shape == (2, 40)
    assert len(np.unique(values)) > 1
    if np.issubdtype(values.dtype, np.integer):
        assert set(np.unique(values)) == {0, 1}


def test_an_input_that_cannot_be_made_up_is_an_error(tmp_path):
    text = onnx.TensorProto.STRING
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    workload = load(save(tmp_path / "m.onnx", [node], [value("x", [1], text)], [value("y", [1], text)]))
    with pytest.raises(WorkloadError, match=r"the input 'x' wants tensor\(string\)"):
        workload.prepare(1)


def test_a_model_may_have_no_inputs_an_output_of_changing_size_or_a_sequence(tmp_path):
    random = onnx.helper.make_node("RandomNormal", [], ["r"], shape=[50])
    positive = onnx.helper.make_node("Relu", ["r"], ["p"])
    where = onnx.helper.make_node("NonZero", ["p"], ["y"])
    listed = onnx.helper.make_node("SequenceConstruct", ["r", "p"], ["s"])
    outputs = [value("y", None, INT64), onnx.helper.make_tensor_sequence_value_info("s", FLOAT, None)]
    work = load(save(tmp_path / "m.onnx", [random, positive, where, listed], [], outputs)).prepare(1)["inference"]
    for _ in range(5):
        work.iterate([])


def test_the_facts_of_a_model_count_weights_and_not_the_integers_that_shape_tensors(tmp_path):
    weight = onnx.numpy_helper.from_array(np.ones((3, 5), np.float16), "w")
    shape = onnx.numpy_helper.from_array(np.array([1, -1], np.int64), "s")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.ones(4, np.float32)))
    branch = onnx.helper.make_graph([constant], "branch", [], [value("c", [4])])
    choice = onnx.helper.make_node("If", ["b"], ["y"], then_branch=branch, else_branch=branch)
    nodes = [choice, onnx.helper.make_node("Reshape", ["w", "s"], ["z"])]
    outputs = [value("y", [4]), value("z", None, onnx.TensorProto.FLOAT16)]
    path = save(tmp_path / "m.onnx", nodes, [value("b", [], onnx.TensorProto.BOOL)], outputs, [weight, shape])
    facts = onnx_file.read_model_facts(path)
    assert facts.parameters == 15 + 4 + 4
    assert facts.precision == "fp32"
    assert facts.model_bytes == path.stat().st_size
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_bytes_of_a_model_include_its_external_files(tmp_path):
    weights = np.ones(1000, np.float32)
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    path = save(tmp_path / "m.onnx", [node], [value("x", [1000])], [value("y", [1000])])
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    ready = load(path).ready
    assert ready.parameters == 1000
    assert ready.model_bytes == path.stat().st_size + 4000
    assert ready.precision == "fp32"


def test_a_model_without_weights_has_no_precision(tmp_path):
    ready = load(relu(tmp_path / "m.onnx", [1])).ready
    assert (ready.parameters, ready.precision) == (0, None)
