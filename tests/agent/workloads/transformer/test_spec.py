"""The declaration of the transformer: sizes counted by hand, and options refused by name."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import Limits
from agent.workloads.point import points_of
from agent.workloads.transformer.spec import TransformerSpec, check_memory


def test_the_parameters_of_a_small_model_match_a_count_by_hand():
    spec = TransformerSpec(layers=2, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4)
    layer = 8 * 24 + 8 * 8 + 8 * 32 + 16 * 8 + 2 * 8
    assert spec.parameter_count() == 10 * 8 + 2 * layer + 8 + 8 * 10
    assert dataclasses.replace(spec, positions="learned").parameter_count() == spec.parameter_count() + 7 * 8
    assert spec.model_bytes() == 4 * spec.parameter_count()
    assert dataclasses.replace(spec, precision="fp16").model_bytes() == 2 * spec.parameter_count()


def test_operations_of_a_prompt_and_bytes_of_a_step_match_a_count_by_hand():
    spec = TransformerSpec(layers=2, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4)
    matrices = 8 * 24 + 8 * 8 + 8 * 32 + 16 * 8
    scores_and_values = 2 * (3 * 3 * 8) + 2 * (3 * 3 * 8)
    assert spec.prompt_operations() == 2 * (2 * 3 * matrices + scores_and_values) + 2 * 8 * 10
    assert spec.step_bytes() == 4 * (2 * matrices + (2 * 2 + 1) * 8 + 8 * 10)
    assert dataclasses.replace(spec, precision="fp16").step_bytes() == spec.step_bytes() // 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 0}, "--layers: 0 is out of range: 1 to"),
        ({"width": -8}, "--width: -8"),
        ({"heads": 0}, "--heads: 0"),
        ({"vocabulary": 1}, "--vocabulary: 1 is out of range: 2 to"),
        ({"prompt_tokens": 0}, "--prompt-tokens: 0"),
        ({"output_tokens": 0}, "--output-tokens: 0"),
        ({"seed": -1}, "--seed: -1"),
        ({"mlp_ratio": 0.0}, "--mlp-ratio: 0.0"),
        ({"mlp_ratio": float("nan")}, "--mlp-ratio: nan"),
        ({"width": 250}, "--width 250 is not an even multiple of --heads 4 (rope rotates pairs): choose --width 256"),
        ({"width": 7, "heads": 3}, "choose --width 12"),
        ({"width": 250, "positions": "learned"}, "--width 250 is not a multiple of --heads 4: choose --width 252"),
        ({"width": 20, "heads": 4}, "choose --width 24"),
        ({"positions": "none"}, "--positions: 'none' is not one of rope, learned"),
        ({"precision": "fp64"}, "--precision: 'fp64' is not one of fp32, fp16, int8"),
    ],
)
def test_a_bad_option_is_refused_by_name_with_a_remedy(options, words):
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


def test_every_point_must_fit_into_memory_on_the_host_that_computes():
    small, huge = (points_of({"batch": (1, batch), "prompt_tokens": (512,)}) for batch in (8, 1 << 20))
    check_memory(TransformerSpec(), EngineSpec("cpu"), small, Limits())
    with pytest.raises(WorkloadError, match="at batch=1048576 prompt_tokens=512 needs "):
        check_memory(TransformerSpec(), EngineSpec("cpu"), huge, Limits())
    check_memory(TransformerSpec(), EngineSpec("cuda"), huge, Limits())


def test_the_least_memory_of_a_small_transformer_matches_a_count_by_hand():
    spec = TransformerSpec(
        batch=5, layers=2, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4
    )
    cache, scores, rotations, logits = 2 * 2 * 5 * 6 * 8, 5 * 2 * 3 * 3, 7 * 4, 5 * 10
    assert spec.minimum_bytes(on_host=True) == spec.model_bytes() + 4 * (cache + scores + rotations + logits)
    assert spec.minimum_bytes(on_host=False) == spec.model_bytes()
