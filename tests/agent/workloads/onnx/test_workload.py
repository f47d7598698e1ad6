"""Any ONNX model, in this process: its inputs, its facts, its batches."""

import hashlib

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.onnx.spec import OnnxSpec
from onnx_models import FLOAT, INT64, cast, fed, load, save, value

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_file = pytest.importorskip("agent.workloads.onnx.model_file", reason="the onnx extra is not installed")
onnx_workload = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")
input_values = pytest.importorskip("agent.workloads.onnx.input_values", reason="the onnx extra is not installed")


def relu(path, *shapes):
    """Save a model with one input a shape, x0, x1, ..., each with an output of its own."""
    nodes = [onnx.helper.make_node("Relu", [f"x{index}"], [f"y{index}"]) for index in range(len(shapes))]
    inputs = [value(f"x{index}", shape) for index, shape in enumerate(shapes)]
    return save(path, nodes, inputs, [value(f"y{index}", None) for index in range(len(shapes))])


def test_a_model_of_fixed_shape_runs_one_inference_a_run(tmp_path):
    workload = load(relu(tmp_path / "m.onnx", [2, 3]))
    work = workload.prepare({"batch": 1})["inference"]
    work.run_once([])
    assert (work.inferences, work.input_tokens, work.output_tokens) == (1, 0, 0)
    assert workload.ready.phases == ("inference",)


def test_a_model_whose_inputs_leave_only_the_batch_open_takes_batches(tmp_path):
    workload = load(relu(tmp_path / "m.onnx", ["n", 3], [None, 4, 5]))
    assert workload.prepare({"batch": 6})["inference"].inferences == 6
    assert fed(workload, 6) == ((6, 3), (6, 4, 5))


@pytest.mark.parametrize("shapes", [[[2, 3]], [["n", 3], [4]], [[]]])
def test_a_model_without_an_open_batch_runs_only_at_batch_1(tmp_path, shapes):
    workload = load(relu(tmp_path / "m.onnx", *shapes))
    workload.prepare({"batch": 1})
    with pytest.raises(WorkloadError, match="--batch 4") as failure:
        workload.prepare({"batch": 4})
    assert "choose --batch 1" in failure.value.remedy


def test_a_given_shape_fixes_the_batch(tmp_path):
    workload = load(relu(tmp_path / "m.onnx", ["n", 3]), x0=(8, 3))
    assert workload.prepare({"batch": 1})["inference"].inferences == 1
    assert fed(workload, 1) == ((8, 3),)
    with pytest.raises(WorkloadError, match="--batch 2"):
        workload.prepare({"batch": 2})


def test_an_open_size_without_a_shape_is_an_error_that_names_the_input_its_shape_and_the_option(tmp_path):
    path = relu(tmp_path / "m.onnx", ["n", 3, "height", None])
    with pytest.raises(WorkloadError) as failure:
        load(path)
    assert failure.value.message == "the input 'x0' has the shape [n, 3, height, ?], which leaves sizes open"
    assert "--shape x0=1x3x<height>x<size>" in failure.value.remedy
    load(path, x0=(1, 3, 5, 7)).prepare({"batch": 1})


@pytest.mark.parametrize("shape", [(1, 3), (1, 4, 5), (1, 3, 5, 7)])
def test_a_shape_that_does_not_fit_the_declared_one_is_an_error(tmp_path, shape):
    with pytest.raises(WorkloadError, match=r"the model declares \[n, 3, size\]") as failure:
        load(relu(tmp_path / "m.onnx", ["n", 3, "size"]), x0=shape)
    assert "--shape x0=1x3x<size>" in failure.value.remedy


def test_a_shape_for_an_unknown_input_is_an_error(tmp_path):
    with pytest.raises(WorkloadError, match="--shape y: the model has no such input") as failure:
        load(relu(tmp_path / "m.onnx", [1], [1]), y=(1,))
    assert failure.value.remedy == "its inputs are x0, x1"


NATIVE = ["float16", "float", "double", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool"]
BITS = ["bfloat16", "float8e4m3fn", "float8e5m2", "int4", "uint4"]


@pytest.mark.parametrize("element", NATIVE + BITS)
def test_synthetic_inputs_of_every_type_are_finite_varied_and_accepted(tmp_path, element):
    workload = load(cast(tmp_path / "m.onnx", element, ["n", 40]))
    workload.prepare({"batch": 2})
    declared = workload.inputs.declared[0]
    values = input_values.synthetic(declared.element, (2, 40), np.random.default_rng(0))
    tensor = workload.session.tensor(values, declared.element.onnx_type)
    result = workload.session.run({"x": tensor}, ["y"])[0].numpy()
    assert result.shape == (2, 40)
    assert np.isfinite(result).all()
    assert len(np.unique(result)) > 1
    if declared.element.kind != "float":
        assert set(np.unique(result)) == {0, 1}


def typed(path, declared):
    """Save a model whose one input has a type that is not a tensor of numbers."""
    info = onnx.helper.make_value_info("x", declared)
    output = onnx.helper.make_value_info("y", declared)
    return save(path, [onnx.helper.make_node("Identity", ["x"], ["y"])], [info], [output])


def test_inputs_that_can_be_neither_generated_nor_given_are_refused_by_name_at_load(tmp_path):
    tensor = onnx.helper.make_tensor_type_proto(FLOAT, [1])
    cases = {
        "text": onnx.helper.make_tensor_type_proto(onnx.TensorProto.STRING, [1]),
        "a sequence": onnx.helper.make_sequence_type_proto(tensor),
        "an optional value": onnx.helper.make_optional_type_proto(tensor),
    }
    for reason, declared in cases.items():
        words = rf"the input 'x' takes .*: {reason} can be neither generated nor given"
        with pytest.raises(WorkloadError, match=words) as failure:
            load(typed(tmp_path / "m.onnx", declared))
        assert "export the model with inputs" in failure.value.remedy


@pytest.mark.parametrize("declared", ["map(int64,tensor(float))", "sparse_tensor(float)", "tensor(complex64)", "odd"])
def test_every_other_type_of_input_has_a_reason(declared):
    with pytest.raises(WorkloadError, match=r"the input 'x' takes .* can be neither generated nor given"):
        input_values.element_of("x", declared)


def test_a_model_may_have_no_inputs_an_output_of_changing_size_or_a_sequence(tmp_path):
    random = onnx.helper.make_node("RandomNormal", [], ["r"], shape=[50])
    positive = onnx.helper.make_node("Relu", ["r"], ["p"])
    where = onnx.helper.make_node("NonZero", ["p"], ["y"])
    listed = onnx.helper.make_node("SequenceConstruct", ["r", "p"], ["s"])
    outputs = [value("y", None, INT64), onnx.helper.make_tensor_sequence_value_info("s", FLOAT, None)]
    work = load(save(tmp_path / "m.onnx", [random, positive, where, listed], [], outputs)).prepare({"batch": 1})[
        "inference"
    ]
    for _ in range(5):
        work.run_once([])


def test_the_facts_of_a_model_count_weights_and_not_the_integers_that_shape_tensors(tmp_path):
    weight = onnx.numpy_helper.from_array(np.ones((3, 5), np.float16), "w")
    shape = onnx.numpy_helper.from_array(np.array([1, -1], np.int64), "s")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.ones(4, np.float32)))
    branch = onnx.helper.make_graph([constant], "branch", [], [value("c", [4])])
    choice = onnx.helper.make_node("If", ["b"], ["y"], then_branch=branch, else_branch=branch)
    nodes = [choice, onnx.helper.make_node("Reshape", ["w", "s"], ["z"])]
    outputs = [value("y", [4]), value("z", None, onnx.TensorProto.FLOAT16)]
    path = save(tmp_path / "m.onnx", nodes, [value("b", [], onnx.TensorProto.BOOL)], outputs, [weight, shape])
    facts = onnx_file.read_model_file(path)
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


@pytest.mark.parametrize(
    ("dims", "raw", "bits"), [((1 << 40,), b"", 0), ((-5, 4), b"", 0), ((4,), b"\0" * 8, 2), ((2, 3), b"\0" * 24, 6)]
)
def test_parameters_are_counted_by_the_stored_bytes(tmp_path, dims, raw, bits):
    tensor = onnx.TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=raw)
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    path = save(tmp_path / "m.onnx", [node], [value("x", [1])], [value("y", [1])], [tensor])
    assert onnx_file.read_model_file(path).parameters == bits


def test_parameters_of_every_way_to_store_them_are_counted(tmp_path):
    stored = [
        onnx.helper.make_tensor("a", FLOAT, [3], [1, 2, 3]),
        onnx.helper.make_tensor("b", onnx.TensorProto.FLOAT16, [2], [1, 2]),
        onnx.helper.make_tensor("c", onnx.TensorProto.DOUBLE, [5], range(5)),
        onnx.helper.make_tensor("d", onnx.TensorProto.INT8, [7], range(7)),
        onnx.helper.make_tensor("e", onnx.TensorProto.INT4, [6], range(6)),
    ]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    path = save(tmp_path / "m.onnx", [node], [value("x", [1])], [value("y", [1])], stored, opset=21)
    assert onnx_file.read_model_file(path).parameters == 3 + 2 + 5 + 7 + 6


def test_a_model_and_inputs_that_cannot_fit_into_memory_are_refused_with_the_figures(tmp_path):
    with pytest.raises(WorkloadError, match=r"the input of a batch of 1 needs at least 4096 GiB of memory") as failure:
        load(relu(tmp_path / "m.onnx", [1 << 20, 1 << 20])).prepare({"batch": 1})
    assert failure.value.remedy == "choose a smaller --batch, --shape or --dim"
    tensor = onnx.TensorProto(name="w", data_type=FLOAT, dims=[1 << 40], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(1 << 42)
    path = save(tmp_path / "e.onnx", [], [], [value("w", [1 << 40])], [tensor])
    with pytest.raises(WorkloadError, match=r"the model e\.onnx needs at least 4096 GiB of memory, .* are available"):
        load(path)


def test_a_model_without_weights_has_no_precision(tmp_path):
    ready = load(relu(tmp_path / "m.onnx", [1])).ready
    assert (ready.parameters, ready.precision) == (0, None)


def test_providers_are_honored_in_place_of_the_device(tmp_path):
    path = relu(tmp_path / "m.onnx", [1])
    spec = OnnxSpec(path, providers={"CPUExecutionProvider": {}})
    ready = onnx_workload.load(spec, EngineSpec()).ready
    assert (ready.provider, ready.device, ready.cpu_operator_share) == ("cpu", "cpu", None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"nonsense": {}}, "--providers nonsense: this onnxruntime .* offers only .*cpu"),
        ({"azure": {}, "cpu": {}}, "azure is requested but not used: azure runs no operator .*cpu runs 1"),
        ({"cpu": {"threads": "1"}}, "--providers cpu:threads: the engine ignores this option"),
    ],
)
def test_a_provider_that_is_not_used_as_asked_is_an_error(tmp_path, given, words):
    spec = OnnxSpec(relu(tmp_path / "m.onnx", [1]), providers=given)
    with pytest.raises(WorkloadError, match=words):
        onnx_workload.load(spec, EngineSpec())
