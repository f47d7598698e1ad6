"""The values that the user gives for the inputs of a model."""

import hashlib
import json

import pytest

from agent.workloads.errors import WorkloadError
from agent.workloads.input_spec import parse_inputs, synthetic_note
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.parameter import settings_of
from onnx_models import INT64, cast, fed, load, save, value

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_inputs = pytest.importorskip("agent.workloads.onnx.inputs", reason="the onnx extra is not installed")


def fed_values(workload, batch):
    """Return what the one input of a workload is fed for a batch, as the engine echoes it."""
    batched = onnx_inputs.supports_batches(workload.inputs.declared, workload.spec.shapes, workload.inputs.arrays)
    array = workload.inputs.arrays["x"]
    return onnx_inputs.feed(workload.inputs.declared[0], fed(workload, batch)[0], array, batched=batched)


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
        each.name: workload.session.tensor(
            onnx_inputs.feed(each, shape, workload.inputs.arrays[each.name], batched=False)
        )
        for each, shape in zip(workload.inputs.declared, fed(workload, 1), strict=True)
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
    assert settings == {"model": "m.onnx", "shapes": {}, "providers": [], "seed": 0}
    assert str(tmp_path) not in json.dumps(settings)
    one, other = (load(counting_loop(tmp_path / "l.onnx"), f"n={count}").ready.inputs[0] for count in (1, 200))
    assert one.sha256 != other.sha256
