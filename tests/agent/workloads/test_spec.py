import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.input_spec import InputSpec
from agent.workloads.spec import EngineSpec, OnnxSpec, TransformerSpec, parse_shape, parse_shapes, spec_from_json

sizes = st.integers(1, 4096)
shape_sizes = st.integers(0, 4096)
transformer_specs = st.builds(
    lambda heads, head_width, **options: TransformerSpec(width=2 * heads * head_width, heads=heads, **options),
    heads=st.integers(1, 16),
    head_width=st.integers(1, 64),
    layers=sizes,
    vocabulary=st.integers(2, 10**6),
    mlp_ratio=st.floats(1, 64),
    prompt_tokens=sizes,
    output_tokens=sizes,
    positions=st.sampled_from(["rope", "learned"]),
    precision=st.sampled_from(["fp32", "fp16", "int8"]),
    seed=st.integers(0, 2**63),
)
shapes = st.dictionaries(st.text(min_size=1), st.lists(shape_sizes, min_size=1, max_size=5).map(tuple), max_size=3)
input_spec = st.one_of(
    st.builds(InputSpec, text=st.text()),
    st.builds(InputSpec, file=st.sampled_from([Path("x.npy"), Path("/a b/ü.npz")]), array=st.none() | st.text()),
)
onnx_specs = st.builds(
    OnnxSpec,
    model=st.sampled_from([Path("m.onnx"), Path("/a b/ü.onnx")]),
    shapes=shapes,
    seed=st.integers(0, 9),
    inputs=st.dictionaries(st.text(), input_spec, max_size=2),
)


@given(transformer_specs | onnx_specs)
def test_a_spec_comes_back_from_its_json_and_gives_the_same_json_again(spec):
    assert spec_from_json(spec.to_json()) == spec
    assert spec_from_json(spec.to_json()).to_json() == spec.to_json()


def test_the_json_of_a_spec_names_its_workload_and_does_not_depend_on_the_order_of_shapes():
    one = OnnxSpec(Path("m.onnx"), {"b": (2,), "a": (1, 3)})
    other = OnnxSpec(Path("m.onnx"), {"a": (1, 3), "b": (2,)})
    assert one.to_json() == other.to_json()
    assert (
        one.to_json()
        == '{"batch":1,"inputs":{},"model":"m.onnx","seed":0,"shapes":{"a":[1,3],"b":[2]},"workload":"onnx"}'
    )


def test_specs_are_hashable_so_that_they_can_be_keys():
    assert len({OnnxSpec(Path("m.onnx"), {"a": (1,)}), OnnxSpec(Path("m.onnx"), {"a": (1,)}), TransformerSpec()}) == 2


def test_the_parameters_of_a_small_model_are_those_counted_by_hand():
    spec = TransformerSpec(layers=2, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4)
    layer = 8 * 24 + 8 * 8 + 8 * 32 + 16 * 8 + 2 * 8
    assert spec.parameters() == 10 * 8 + 2 * layer + 8 + 8 * 10
    assert msgspec.structs.replace(spec, positions="learned").parameters() == spec.parameters() + 7 * 8
    assert spec.model_bytes() == 4 * spec.parameters()
    assert msgspec.structs.replace(spec, precision="fp16").model_bytes() == 2 * spec.parameters()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 0}, "--layers is 0: give a number of at least 1"),
        ({"width": -8}, "--width is -8"),
        ({"heads": 0}, "--heads is 0"),
        ({"vocabulary": 1}, "--vocabulary is 1: give a number of at least 2"),
        ({"prompt_tokens": 0}, "--prompt-tokens is 0"),
        ({"output_tokens": 0}, "--output-tokens is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"mlp_ratio": 0.0}, "--mlp-ratio is 0.0"),
        ({"mlp_ratio": float("nan")}, "--mlp-ratio is nan"),
        ({"width": 250}, "--width 250 is not an even multiple of --heads 4 (rope rotates pairs): choose --width 256"),
        ({"width": 7, "heads": 3}, "choose --width 12"),
        ({"width": 250, "positions": "learned"}, "--width 250 is not a multiple of --heads 4: choose --width 252"),
        ({"width": 20, "heads": 4}, "choose --width 24"),
        ({"positions": "none"}, "--positions is 'none': choose one of rope, learned"),
        ({"precision": "fp64"}, "--precision is 'fp64': choose one of fp32, fp16, int8"),
    ],
)
def test_a_bad_option_is_refused_by_its_name_with_what_to_do(options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        TransformerSpec(**options)


@given(st.integers(1, 4096), st.integers(1, 256), st.sampled_from(["rope", "learned"]))
def test_every_width_that_an_error_suggests_is_accepted(width, heads, positions):
    try:
        spec = TransformerSpec(width=width, heads=heads, positions=positions)
    except ValueError as error:
        suggested = int(re.search(r"choose --width (\d+)", str(error))[1])
        spec = TransformerSpec(width=suggested, heads=heads, positions=positions)
        assert width < suggested < width + 2 * heads
    assert spec.width % spec.heads == 0


def test_learned_positions_take_heads_of_an_odd_width():
    assert TransformerSpec(width=20, heads=4, positions="learned").head_width == 5


def test_an_engine_of_unknown_provider_or_negative_threads_is_refused():
    with pytest.raises(ValueError, match="--provider is 'tpu': choose one of auto, cpu, cuda"):
        EngineSpec(provider="tpu")
    with pytest.raises(ValueError, match="--threads is -1"):
        EngineSpec(threads=-1)


@pytest.mark.parametrize("model", ["", "."])
def test_an_onnx_spec_without_a_file_name_is_refused(model):
    with pytest.raises(ValueError, match=r"give the path of an \.onnx file"):
        OnnxSpec(Path(model))


@pytest.mark.parametrize(("shape", "shown"), [((-1, 3), "-1x3"), ((), "")])
def test_an_onnx_spec_with_an_empty_or_negative_shape_is_refused(shape, shown):
    with pytest.raises(ValueError, match=f"--shape x={shown}: say it as name=1x3x224x224"):
        OnnxSpec(Path("m.onnx"), {"x": shape})


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("x=7", ("x", (7,))),
        ("input:0=1x3x224x224", ("input:0", (1, 3, 224, 224))),
        ("a=b=2X5", ("a=b", (2, 5))),
        ("past=1x8x0x64", ("past", (1, 8, 0, 64))),
    ],
)
def test_a_shape_is_read_from_its_text(text, shape):
    assert parse_shape(text) == shape


@pytest.mark.parametrize(
    "text", ["", "x", "x=", "=1x2", "x=1x", "x=1x-2", "x=9999999999999999999", "x=1.5", "x=1,2", "x=1x٣"]
)
def test_a_text_that_is_no_shape_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="say it as name=1x3x224x224"):
        parse_shape(text)


def test_an_input_given_two_shapes_is_refused():
    assert parse_shapes(["a=1", "b=2x3"]) == {"a": (1,), "b": (2, 3)}
    with pytest.raises(ValueError, match="the input 'a' was given a shape before"):
        parse_shapes(["a=1", "a=2"])
