"""Models with states, loops and branches run, and so do models whose outputs are not tensors of numbers."""

import pytest

from onnx_models import FLOAT, INT64, load, save, value

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
engine = pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
BOOL, STRING = 9, 8
node = onnx.helper.make_node


@pytest.fixture
def runs(monkeypatch):
    """Return a function that runs the point of batch 1 of a workload once more, and returns its outputs."""
    found, bound = [], engine.Session.bound

    def recorded(session, feeds, outputs):
        found.append(bound(session, feeds, outputs))
        return found[-1]

    monkeypatch.setattr(engine.Session, "bound", recorded)

    def last(workload):
        workload.prepare({"batch": 1})["inference"].run_once([])
        return found[-1].results()

    return last


def test_a_model_with_a_state_starts_every_run_with_the_same_state(tmp_path, runs):
    nodes = [node("Add", ["x", "state"], ["next"]), node("Identity", ["next"], ["y"])]
    inputs, results = [value("x", [2]), value("state", [2])], [value("y", [2]), value("next", [2])]
    workload = load(save(tmp_path / "m.onnx", nodes, inputs, results), "x=1", "state=5")
    for _ in range(2):
        assert [each.numpy().tolist() for each in runs(workload)] == [[6, 6], [6, 6]]


@pytest.mark.parametrize(("count", "sum_"), [(3, 3), (0, 0)])
def test_a_loop_runs_as_often_as_its_input_says(tmp_path, runs, count, sum_):
    one = onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")
    step = [node("Add", ["before", "one"], ["after"]), node("Identity", ["go"], ["more"])]
    body = onnx.helper.make_graph(
        step, "body", [value("i", [], INT64), value("go", [], BOOL), value("before", [1])],
        [value("more", [], BOOL), value("after", [1])], [one],
    )  # fmt: skip
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    loop = node("Loop", ["n", "", "zero"], ["y"], body=body)
    workload = load(save(tmp_path / "m.onnx", [loop], [value("n", [], INT64)], [value("y", [1])], [zero]), f"n={count}")
    assert runs(workload)[0].numpy().tolist() == [sum_]


@pytest.mark.parametrize(("flag", "result"), [("true", -2), ("false", 2)])
def test_a_branch_is_chosen_by_its_input(tmp_path, runs, flag, result):
    negated, same = (
        onnx.helper.make_graph([node(kind, ["x"], [kind])], kind, [], [value(kind, [1])])
        for kind in ("Neg", "Identity")
    )
    choice = node("If", ["b"], ["y"], then_branch=negated, else_branch=same)
    path = save(tmp_path / "m.onnx", [choice], [value("b", [], BOOL), value("x", [1])], [value("y", [1])])
    assert runs(load(path, f"b={flag}", "x=2"))[0].numpy().tolist() == [result]


def test_an_output_may_be_text(tmp_path, runs):
    path = save(
        tmp_path / "m.onnx", [node("Cast", ["x"], ["y"], to=STRING)], [value("x", [2])], [value("y", [2], STRING)]
    )
    assert [float(text) for text in runs(load(path, "x=2.5"))[0].numpy()] == [2.5, 2.5]


def test_an_output_may_be_a_sequence_of_maps_and_an_optional_one_is_not_fetched(tmp_path, runs):
    zipped = node("ZipMap", ["x"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[4, 7])
    tensor = onnx.helper.make_tensor_type_proto(FLOAT, [1])
    absent = node("Optional", [], ["none"], type=tensor)
    maps = onnx.helper.make_map_type_proto(INT64, onnx.helper.make_tensor_type_proto(FLOAT, []))
    results = [
        onnx.helper.make_value_info("maps", onnx.helper.make_sequence_type_proto(maps)),
        onnx.helper.make_value_info("none", onnx.helper.make_optional_type_proto(tensor)),
    ]
    graph = onnx.helper.make_graph([zipped, absent], "g", [value("x", ["n", 2])], results)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    (tmp_path / "m.onnx").write_bytes(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    )
    (found,) = runs(load(tmp_path / "m.onnx"))
    assert not found.is_tensor()
