"""Any ONNX model, in this process: its inputs, its facts, its batches."""

import hashlib
import json

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.input_spec import parse_inputs, synthetic_note
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.parameter import settings_of

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_file = pytest.importorskip("agent.workloads.onnx.model_file", reason="the onnx extra is not installed")
onnx_inputs = pytest.importorskip("agent.workloads.onnx.inputs", reason="the onnx extra is not installed")
input_values = pytest.importorskip("agent.workloads.onnx.input_values", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")

FLOAT, INT64 = 1, 7
ENGINE = EngineSpec(provider="cpu", threads=1)


def value(name, shape, element=FLOAT):
    return onnx.helper.make_tensor_value_info(name, element, shape)


def save(path, nodes, inputs, outputs, initializers=(), opset=17):
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [onnx.helper.make_opsetid("", opset)]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


def relu(path, *shapes):
    """Save a model with one input a shape, x0, x1, ..., each with an output of its own."""
    nodes = [onnx.helper.make_node("Relu", [f"x{index}"], [f"y{index}"]) for index in range(len(shapes))]
    inputs = [value(f"x{index}", shape) for index, shape in enumerate(shapes)]
    return save(path, nodes, inputs, [value(f"y{index}", None) for index in range(len(shapes))])


def load(path, *given, **shapes):
    return onnx_model.load(OnnxSpec(path, shapes, inputs=parse_inputs(given)), ENGINE)


def fed(workload, batch):
    """Return the shapes the model is fed for a batch."""
    return onnx_inputs.resolved_shapes(workload.inputs, workload.spec.shapes, workload.arrays, batch)


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


def cast(path, element, shape):
    """Save a model that turns an input of any type into float32."""
    number = onnx.TensorProto.DataType.Value(element.upper())
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=FLOAT)
    return save(path, [node], [value("x", shape, number)], [value("y", None)], opset=21)


@pytest.mark.parametrize("element", NATIVE + BITS)
def test_synthetic_inputs_of_every_type_are_finite_varied_and_accepted(tmp_path, element):
    workload = load(cast(tmp_path / "m.onnx", element, ["n", 40]))
    workload.prepare({"batch": 2})
    declared = workload.inputs[0]
    values = input_values.synthetic(declared.element, (2, 40), np.random.default_rng(0))
    tensor = workload.session.tensor(values, declared.element.onnx_type)
    result = workload.session.run({"x": tensor}, ["y"])[0].numpy()
    assert result.shape == (2, 40)
    assert np.isfinite(result).all()
    assert len(np.unique(result)) > 1
    if declared.element.kind != "float":
        assert set(np.unique(result)) == {0, 1}


def typed(path, declared):
    """Save a model whose one input has a type that is no tensor of numbers."""
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


# --- values that the user gives -------------------------------------------------------------------------------------


def fed_values(workload, batch):
    """Return what the one input of a workload is fed for a batch, as the engine echoes it."""
    batched = onnx_inputs.supports_batches(workload.inputs, workload.spec.shapes, workload.arrays)
    array = workload.arrays["x"]
    return onnx_inputs.feed(workload.inputs[0], fed(workload, batch)[0], array, batched=batched)


def npy(path, values):
    np.save(path, values)
    return f"x={path}"


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        ([3], "x=7", [7, 7, 7]),
        ([2, 2], "x=1,2", [[1, 2], [1, 2]]),
        ([2, 2], "x=[[1],[2]]", [[1, 1], [2, 2]]),
        ([], "x=200", 200),
        (["a", "b"], "x=[[1,2,3]]", [[1, 2, 3]]),
        ([0, 2], "x=5", np.zeros((0, 2))),
    ],
)
def test_a_value_is_broadcast_to_the_shape_of_its_input(tmp_path, shape, text, expected):
    workload = load(cast(tmp_path / "m.onnx", "int64", shape), text)
    workload.prepare({"batch": 1})
    assert fed_values(workload, 1).tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize(
    ("element", "text", "words"),
    [
        ("int64", "x=1.5", "does not fit the type int64"),
        ("int64", "x=true", "does not fit the type int64"),
        ("uint8", "x=-1", "does not fit the type uint8"),
        ("int32", "x=3000000000", "does not fit the type int32"),
        ("int64", "x=99999999999999999999999999", "too large for int64"),
        ("float16", "x=70000", "does not fit the type float16"),
        ("float", "x=1e999", "does not fit the type float32"),
        ("bool", "x=2", "does not fit the type bool"),
        ("int64", "x=[[1],[2,3]]", "not a list of equal rows"),
        ("int64", "x=1,2,3", "do not fit 1x2"),
        ("bfloat16", "x=1", "of the type bfloat16 cannot be given"),
        ("int64", "y=1", "--input y: the model has no such input"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_a_remedy(tmp_path, element, text, words):
    with pytest.raises(WorkloadError) as failure:
        load(cast(tmp_path / "m.onnx", element, [1, 2]), text).prepare({"batch": 1})
    assert words in failure.value.message
    assert failure.value.remedy


@pytest.mark.parametrize("value", ["true", "1", "0", "[true, false]"])
def test_a_boolean_is_true_or_false_or_one_or_zero(tmp_path, value):
    load(cast(tmp_path / "m.onnx", "bool", [2]), f"x={value}").prepare({"batch": 1})


def test_an_array_gives_the_open_sizes_and_its_first_dimension_is_the_batch(tmp_path):
    path = cast(tmp_path / "m.onnx", "int64", ["batch", "tokens"])
    rows = np.arange(12).reshape(4, 3)
    workload = load(path, npy(tmp_path / "x.npy", rows))
    assert fed_values(workload, 1).tolist() == rows[:1].tolist()
    assert fed_values(workload, 3).tolist() == rows[:3].tolist()
    assert workload.prepare({"batch": 4})["inference"].inferences == 4
    with pytest.raises(WorkloadError, match="a batch of 5: --input x has 4 rows, one for each element"):
        workload.prepare({"batch": 5})
    single = load(path, npy(tmp_path / "one.npy", rows[:1]))
    assert fed_values(single, 8).tolist() == rows[:1].tolist() * 8


def test_a_list_of_lengths_has_one_row_for_each_element_of_the_batch(tmp_path):
    workload = load(cast(tmp_path / "m.onnx", "int64", ["batch"]), "x=[200, 150, 100]")
    assert fed_values(workload, 2).tolist() == [200, 150]
    with pytest.raises(WorkloadError, match="--input x has 3 rows") as failure:
        workload.prepare({"batch": 4})
    assert failure.value.remedy == "give one row, or at least 4; or choose batches up to 3"


def test_an_array_of_the_wrong_shape_or_type_is_refused_by_name(tmp_path):
    path = cast(tmp_path / "m.onnx", "int32", ["n", 3])
    with pytest.raises(WorkloadError, match=r"--input x: its array is 2x4: the model declares \[n, 3\]"):
        load(path, npy(tmp_path / "x.npy", np.zeros((2, 4), np.int32)))
    with pytest.raises(WorkloadError, match=r"x.npy: the array has the type int64, the model takes int32") as failure:
        load(path, npy(tmp_path / "x.npy", np.zeros((2, 3), np.int64)))
    assert failure.value.remedy == "save array.astype('int32')"
    with pytest.raises(WorkloadError, match="values of the shape 2x3 do not fit 4x3"):
        load(path, npy(tmp_path / "x.npy", np.zeros((2, 3), np.int32)), x=(4, 3)).prepare({"batch": 1})


def test_an_input_without_a_declared_shape_is_not_assumed_to_be_a_scalar(tmp_path):
    path = cast(tmp_path / "m.onnx", "float", None)
    with pytest.raises(WorkloadError, match="declares no shape for the input 'x'") as failure:
        load(path)
    assert "--shape x=<size>x<size>" in failure.value.remedy
    assert "--input x=0" in failure.value.remedy
    assert fed(load(path, x=(2, 3)), 1) == ((2, 3),)
    assert fed(load(path, "x=0"), 1) == ((),)
    assert fed(load(path, npy(tmp_path / "x.npy", np.ones((4, 5), np.float32))), 1) == ((4, 5),)


def test_a_size_of_zero_is_accepted_if_it_is_open_or_declared(tmp_path):
    load(cast(tmp_path / "m.onnx", "float", ["n", 2, "past"]), x=(1, 2, 0)).prepare({"batch": 1})
    load(cast(tmp_path / "m.onnx", "float", [0, 4])).prepare({"batch": 1})


def counting_loop(path):
    """Save a model that doubles x n times."""
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["c"], ["d"]), onnx.helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [value("i", [], INT64), value("c", [], onnx.TensorProto.BOOL), value("v", [1])],
        [value("d", [], onnx.TensorProto.BOOL), value("w", [1])],
    )
    loop = onnx.helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
    return save(path, [loop], [value("n", [], INT64), value("x", [1])], [value("y", [1])])


def test_a_given_loop_count_decides_the_iterations(tmp_path):
    workload = load(counting_loop(tmp_path / "m.onnx"), "n=10", "x=1")
    feeds = {
        each.name: workload.session.tensor(onnx_inputs.feed(each, shape, workload.arrays[each.name], batched=False))
        for each, shape in zip(workload.inputs, fed(workload, 1), strict=True)
    }
    assert workload.session.run(feeds, ["y"])[0].numpy().tolist() == [2.0**10]
    assert synthetic_note(workload.ready.inputs) is None


def test_synthetic_integers_and_scalars_are_noted_by_name_and_given_ones_are_not(tmp_path):
    path = counting_loop(tmp_path / "m.onnx")
    note = synthetic_note(load(path).ready.inputs)
    assert "n (int64 scalar)" in note
    assert "x (" not in note
    assert "--input n=VALUE" in note
    assert synthetic_note(load(path, "n=200").ready.inputs) is None


def test_the_facts_of_given_inputs_hold_their_digest_and_never_their_values_or_paths(tmp_path):
    text = npy(tmp_path / "secret.npy", np.full((1, 2), 424242, np.int64))
    ready = load(cast(tmp_path / "m.onnx", "int64", ["n", 2]), text).ready
    facts = ready.inputs[0]
    digest = hashlib.sha256((tmp_path / "secret.npy").read_bytes()).hexdigest()
    assert (facts.name, facts.element, facts.shape, facts.values, facts.sha256) == (
        "x",
        "int64",
        (1, 2),
        "given",
        digest,
    )
    settings = settings_of(OnnxSpec(tmp_path / "m.onnx", inputs=parse_inputs([text])))
    assert settings == {"model": "m.onnx", "shapes": {}, "seed": 0}
    assert str(tmp_path) not in json.dumps(settings)
    one, other = (load(counting_loop(tmp_path / "l.onnx"), f"n={count}").ready.inputs[0] for count in (1, 200))
    assert one.sha256 != other.sha256


def test_a_model_without_weights_has_no_precision(tmp_path):
    ready = load(relu(tmp_path / "m.onnx", [1])).ready
    assert (ready.parameters, ready.precision) == (0, None)
