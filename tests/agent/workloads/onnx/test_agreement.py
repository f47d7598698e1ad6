"""The agreement of two models: cosine similarity of output vectors, and the same largest class."""

import math

import pytest

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
agreeing = pytest.importorskip("agent.workloads.onnx.agreement", reason="the onnx extra is not installed")


def agree(originals, others):
    arrays = [{name: np.asarray(value, np.float32) for name, value in each.items()} for each in (originals, others)]
    return agreeing.agreement("fp32", *arrays)


def test_the_cosine_is_the_mean_over_the_rows_of_all_outputs():
    found = agree({"a": [[1, 0], [0, 2]], "b": [3, 4]}, {"a": [[2, 0], [1, 1]], "b": [4, 3]})
    assert found.outputs == 3
    assert found.cosine_similarity == pytest.approx((1 + math.sqrt(0.5) + 24 / 25) / 3)
    assert found.reference == "fp32"


def test_the_top_class_is_compared_in_every_row_of_scores():
    found = agree({"y": [[1, 5, 2], [9, 1, 1]]}, {"y": [[1, 5, 2], [1, 9, 1]]})
    assert found.top1_agreement == 0.5


@pytest.mark.parametrize(
    ("name", "values", "scores"),
    [
        ("y", [[1, 2], [3, 4]], True),
        ("y", [[[0.25, 0.75], [1, 0]]], True),
        ("y", [[[1, 2], [3, 4]]], False),
        ("Logits", [[[1, 2], [3, 4]]], True),
        ("logits", [[[[1, 2], [3, 4]]]], False),
        ("logits", [1, 2, 3], False),
        ("probability", [[0.5], [0.25]], False),
    ],
)
def test_only_outputs_that_look_like_scores_of_classes_have_a_top_class(name, values, scores):
    found = agree({name: values}, {name: values})
    assert found.cosine_similarity == pytest.approx(1)
    assert found.top1_agreement == (1.0 if scores else None)


def test_a_map_and_a_column_of_single_numbers_are_one_vector_each():
    assert agree({"map": np.ones((2, 3, 4, 5))}, {"map": np.ones((2, 3, 4, 5))}).outputs == 6
    assert agree({"p": [[0.5], [0.25]]}, {"p": [[0.25], [0.5]]}).cosine_similarity == pytest.approx(0.8)


def test_without_a_vector_of_floats_there_is_nothing_to_compare():
    assert agree({"p": [[0.5]]}, {"p": [[0.5]]}) is None
    labels = {"label": np.array([1, 2, 3])}
    assert agreeing.agreement("fp32", labels, labels) is None


@pytest.mark.parametrize(
    ("one", "other", "cosine"),
    [
        ([[0, 0]], [[0, 0]], 1),
        ([[0, 0]], [[1, 0]], 0),
        ([[1, 0]], [[np.nan, 0]], 0),
        ([[1, 0]], [[np.inf, 0]], 0),
        ([[1, 0]], [[1, 0], [1, 0]], 0),
    ],
)
def test_vectors_without_a_direction_or_of_another_shape_do_not_agree_unless_both_are_zero(one, other, cosine):
    assert agree({"y": one}, {"y": other}).cosine_similarity == cosine


def test_a_missing_output_does_not_agree():
    assert agree({"y": [[1, 2]]}, {}).cosine_similarity == 0
