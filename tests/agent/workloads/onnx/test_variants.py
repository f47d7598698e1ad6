"""Quantized variants of a model, made by the engine's own tools and measured beside the original."""

from pathlib import Path

import pytest

from agent.workloads.axes import request
from agent.workloads.errors import WorkloadError
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.parameter import parameters_of
from onnx_models import ENGINE, save, value

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")
quantization = pytest.importorskip("agent.workloads.engines.onnxruntime_quantization", reason="no onnx extra")
variants = pytest.importorskip("agent.workloads.onnx.variants", reason="the onnx extra is not installed")


def tensor(name, *shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape) / np.sqrt(shape[0])
    return onnx.numpy_helper.from_array(values.astype(np.float32), name)


def node(kind, inputs, output, **attributes):
    return onnx.helper.make_node(kind, inputs, [output], name=f"make_{output}", **attributes)


def classifier(path, width=256, classes=64):
    """Save a model of two matrices: [batch, width] to [batch, classes]."""
    nodes = [node("MatMul", ["x", "one"], "a"), node("Relu", ["a"], "b"), node("MatMul", ["b", "two"], "logits")]
    weights = [tensor("one", width, width), tensor("two", width, classes, seed=1)]
    return save(path, nodes, [value("x", ["batch", width])], [value("logits", ["batch", classes])], weights)


def load(path, **given):
    return onnx_model.load(OnnxSpec(path, **given), ENGINE)


def prepared(workload, precision, batch=4):
    """Run a point, and return the facts of its model."""
    point = {"batch": batch, "precision": precision}
    workload.prepare(point)["inference"].run_once([])
    return workload.model_of(point)


def test_the_option_makes_a_point_for_the_original_and_for_each_precision():
    assert OnnxSpec.__dataclass_fields__["precision"].default == "original"
    spec, axes = request(OnnxSpec, {"model": Path("m.onnx"), "precision": ("original", "int8", "int4")})
    assert axes == {"batch": (1,), "precision": ("original", "int8", "int4")}
    assert spec.precision == "original"


@pytest.mark.parametrize(
    ("precision", "largest_share", "least_cosine"),
    [("int8", 0.3, 0.99), ("int8_static", 0.3, 0.99), ("int4", 0.2, 0.95), ("fp16", 0.55, 0.9999)],
)
def test_a_variant_is_smaller_and_its_outputs_agree_with_the_original(tmp_path, precision, largest_share, least_cosine):
    workload = load(classifier(tmp_path / "m.onnx"))
    original = prepared(workload, "original")
    assert (original.precision, original.agreement) == ("fp32", None)
    found = prepared(workload, precision)
    assert found.precision == precision
    assert found.parameters == original.parameters == 256 * 256 + 256 * 64
    assert found.model_bytes < largest_share * original.model_bytes
    assert found.load_start_ns > original.load_start_ns
    assert (found.agreement.reference, found.agreement.outputs) == ("fp32", 4)
    assert least_cosine < found.agreement.cosine_similarity < 1
    assert found.agreement.top1_agreement >= 0.5


def test_a_variant_is_made_once_and_its_agreement_is_that_of_the_inputs_of_the_point(tmp_path):
    workload = load(classifier(tmp_path / "m.onnx"))
    first, second = prepared(workload, "int8"), prepared(workload, "int8", batch=8)
    assert first.load_start_ns == second.load_start_ns
    assert (first.agreement.outputs, second.agreement.outputs) == (4, 8)


def test_without_the_option_all_points_have_the_model_of_the_run(tmp_path):
    workload = load(classifier(tmp_path / "m.onnx"))
    workload.prepare({"batch": 1})
    assert workload.model_of({"batch": 1}) is None


def test_nothing_is_written_beside_the_model_and_nothing_stays_among_the_temporary_files(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "models").mkdir()
    workload = load(classifier(tmp_path / "models/m.onnx"))
    for precision in ("int8", "int8_static", "int4", "fp16"):
        prepared(workload, precision)
    assert [each.name for each in (tmp_path / "models").iterdir()] == ["m.onnx"]
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("int8", "no operator with constant weights that is quantized dynamically"),
        ("int8_static", "no operator that is quantized statically"),
        ("int4", "no MatMul whose second operand is a constant matrix"),
        ("fp16", "no weights in fp32"),
    ],
)
def test_a_model_in_which_nothing_can_be_quantized_is_an_error(tmp_path, precision, reason):
    path = save(tmp_path / "m.onnx", [node("Sin", ["x"], "y")], [value("x", [2, 8])], [value("y", [2, 8])])
    with pytest.raises(WorkloadError, match=f"--quantize {precision}: the model m.onnx has {reason}") as raised:
        prepared(load(path), precision, batch=1)
    assert raised.value.remedy == f"leave out {precision}: nothing would change"


def test_a_convolution_is_quantized_dynamically_and_statically(tmp_path):
    weight = tensor("w", 16, 8, 3, 3)
    nodes = [node("Conv", ["x", "w"], "c"), node("GlobalAveragePool", ["c"], "y")]
    path = save(tmp_path / "m.onnx", nodes, [value("x", ["n", 8, 12, 12])], [value("y", ["n", 16, 1, 1])], [weight])
    workload = load(path)
    for precision in ("int8", "int8_static"):
        assert prepared(workload, precision).agreement.cosine_similarity > 0.95


def test_operators_in_a_branch_are_quantized_too(tmp_path):
    branches = [
        onnx.helper.make_graph(
            [node("MatMul", ["x", f"w{name}"], f"o{name}")],
            f"g{name}",
            [],
            [value(f"o{name}", None)],
            [tensor(f"w{name}", 64, 64)],
        )
        for name in "ab"
    ]
    choice = onnx.helper.make_node("If", ["b"], ["y"], then_branch=branches[0], else_branch=branches[1])
    inputs = [value("x", [2, 64]), value("b", [], onnx.TensorProto.BOOL)]
    workload = load(save(tmp_path / "m.onnx", [choice], inputs, [value("y", [2, 64])]))
    for precision in ("int8", "int4"):
        assert 0.95 < prepared(workload, precision, batch=1).agreement.cosine_similarity < 1


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("largest", [1 << 30, 0])
def test_a_model_with_weights_in_another_file_is_quantized(tmp_path, monkeypatch, links, largest):
    monkeypatch.setattr(quantization, "_LARGEST_IN_ONE_FILE", largest)
    path, files = tmp_path / "m.onnx", tmp_path / "files"
    files.mkdir()
    model = onnx.load(classifier(tmp_path / "one.onnx"))
    onnx.save(model, (files if links else tmp_path) / "m.onnx", save_as_external_data=True, location="weights.bin")
    if links:
        for name in ("m.onnx", "weights.bin"):
            (tmp_path / name).symlink_to(files / name)
    workload = load(path)
    original = prepared(workload, "original")
    for precision in ("int8", "int8_static", "int4", "fp16"):
        found = prepared(workload, precision)
        assert found.model_bytes < 0.6 * original.model_bytes
        assert found.agreement.cosine_similarity > 0.9


def test_a_missing_tool_is_an_error_that_names_the_module_and_the_extra(monkeypatch):
    monkeypatch.setattr(variants, "missing_module", lambda _precision: "onnx_ir")
    with pytest.raises(WorkloadError, match=r"--quantize int4: .* needs the module onnx_ir") as raised:
        variants.check_tools("int4")
    assert raised.value.remedy == "pip install 'inferometer[onnx]'"
    variants.check_tools("original")


def test_an_unknown_precision_is_an_error_that_names_the_known_ones():
    option = next(each for each in parameters_of(OnnxSpec) if each.name == "precision")
    assert option.parse_values("int8, int4,int8") == ("original", "int8", "int4")
    with pytest.raises(ValueError, match="--quantize: 'int3' is not one of fp16, int8, int8_static, int4"):
        option.parse_values("int8,int3")
    with pytest.raises(ValueError, match="'fp4' is not one of"):
        OnnxSpec(Path("m.onnx"), precision="fp4")
