"""The declaration of the ONNX workload: its shapes, its named dimensions and its settings."""

from pathlib import Path

import pytest

from agent.workloads.onnx.shape_spec import LARGEST_SIZE, parse_dims, parse_shape, parse_shapes
from agent.workloads.onnx.spec import OnnxSpec


@pytest.mark.parametrize("model", ["", "."])
def test_an_onnx_spec_without_a_file_name_is_refused(model):
    with pytest.raises(ValueError, match=r"give the path of an \.onnx file"):
        OnnxSpec(Path(model))


@pytest.mark.parametrize(("shape", "shown"), [((-1, 3), "-1x3"), ((), "")])
def test_an_onnx_spec_with_an_empty_or_negative_shape_is_refused(shape, shown):
    with pytest.raises(ValueError, match=f"--shape x={shown}: write it as name=1x3x224x224"):
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
def test_a_text_that_is_not_a_shape_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write it as name=1x3x224x224"):
        parse_shape(text)


def test_an_input_given_two_shapes_is_refused():
    assert parse_shapes(["a=1", "b=2x3"]) == {"a": (1,), "b": (2, 3)}
    with pytest.raises(ValueError, match="the input 'a' has a shape already"):
        parse_shapes(["a=1", "a=2"])


def test_the_sizes_of_a_named_dimension_are_read_each_once_in_their_order():
    assert parse_dims(["batch=8, 1,8", "past + new=0"]) == {"batch": (8, 1), "past + new": (0,)}


@pytest.mark.parametrize(
    "text", ["", "seq", "seq=", "=1", "seq=1,", "seq=-1", "seq=1.5", "seq=1x2", "seq=٣", "seq=2147483648"]
)
def test_a_text_that_is_not_a_dimension_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=f"write it as NAME=128 or NAME=128,256, with sizes from 0 to {LARGEST_SIZE}"):
        parse_dims([text])


def test_a_dimension_given_twice_has_the_sizes_of_both():
    assert parse_dims(["seq=1", "batch=2", "seq=4,1"]) == {"seq": (1, 4), "batch": (2,)}
