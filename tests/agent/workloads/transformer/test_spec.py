"""The declaration of the transformer: sizes counted by hand, and options refused by name."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.axes import request
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


def test_the_parameters_of_grouped_tied_and_plain_models_match_a_count_by_hand():
    spec = TransformerSpec(
        layers=2, width=8, heads=4, kv_heads=2, head_width=6, vocabulary=10, mlp="plain", mlp_ratio=2, tied=True
    )
    layer = 8 * (24 + 12 + 12) + 24 * 8 + 8 * 16 + 16 * 8 + 2 * 8
    assert spec.parameter_count() == 10 * 8 + 2 * layer + 8
    assert dataclasses.replace(spec, tied=False).parameter_count() == spec.parameter_count() + 8 * 10
    assert spec.model_bytes() == 4 * spec.parameter_count()
    assert spec.step_bytes() == spec.model_bytes()
    assert dataclasses.replace(spec, tied=False).step_bytes() == spec.step_bytes()


def test_only_the_chosen_experts_count_as_work():
    spec = TransformerSpec(layers=3, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4)
    mixed = dataclasses.replace(spec, experts=5, active_experts=2)
    expert, router = 8 * 32 + 16 * 8, 8 * 5
    assert mixed.parameter_count() == spec.parameter_count() + 3 * (4 * expert + router)
    assert mixed.prompt_operations() == spec.prompt_operations() + 2 * 3 * 3 * (expert + router)
    assert mixed.step_bytes() == spec.step_bytes() + 4 * 3 * (expert + router)


def test_an_encoder_scores_no_vocabulary():
    spec = TransformerSpec(layers=2, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4)
    encoder = dataclasses.replace(spec, kind="encoder", output_tokens=0)
    assert encoder.phases == ("encode",)
    assert encoder.parameter_count() == spec.parameter_count() - 8 * 10
    assert encoder.prompt_operations() == spec.prompt_operations() - 2 * 8 * 10
    scores, rotations, outputs = 2 * 3 * 3, 3 * 4, 8
    assert encoder.minimum_bytes(on_host=True) == encoder.model_bytes() + 4 * (scores + rotations + outputs)


def test_bytes_of_each_precision_match_a_count_by_hand():
    spec = TransformerSpec(layers=1, width=40, heads=2, vocabulary=10, mlp_ratio=1, prompt_tokens=3, output_tokens=4)
    columns = 120 + 40 + 80 + 40 + 10
    exact = 4 * (10 * 40 + 3 * 40)
    precisions = {each: dataclasses.replace(spec, precision=each) for each in ("bf16", "int8", "int8_static", "int4")}
    assert precisions["bf16"].model_bytes() == 2 * spec.parameter_count()
    assert precisions["int8"].model_bytes() == exact + columns * (40 + 4)
    assert precisions["int8_static"].model_bytes() == precisions["int8"].model_bytes()
    assert precisions["int4"].model_bytes() == exact + columns * 2 * (16 + 4)  # 40 rows fill two blocks of 32
    assert precisions["int4"].step_bytes() == 4 * 3 * 40 + columns * 2 * (16 + 4)


def test_a_quantized_head_is_stored_beside_the_tied_table():
    tied = TransformerSpec(tied=True, precision="int8")
    assert tied.model_bytes() == dataclasses.replace(tied, tied=False).model_bytes()
    assert tied.parameter_count() < dataclasses.replace(tied, tied=False).parameter_count()


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
        ({"heads": 6, "width": 264, "kv_heads": 4}, "--heads 6 is not a multiple of --kv-heads 4: choose --kv-heads 3"),
        ({"kv_heads": 8}, "--heads 4 is not a multiple of --kv-heads 8: choose --kv-heads 4"),
        ({"head_width": 33}, "--head-width 33 is odd (rope rotates pairs): choose --head-width 34"),
        ({"active_experts": 2}, "--active-experts 2 is more than --experts 1"),
        ({"experts": 0}, "--experts: 0"),
        ({"kind": "encoder"}, "--output-tokens 32: an encoder writes no tokens"),
        ({"kind": "encoder", "output_tokens": 0, "tied": True}, "--tied: an encoder does not"),
        ({"positions": "none"}, "--positions: 'none' is not one of rope, learned"),
        ({"precision": "fp64"}, "--precision: 'fp64' is not one of fp32, bf16, fp16, int8, int8_static, int4"),
    ],
)
def test_a_bad_option_is_refused_by_name_with_a_remedy(options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        TransformerSpec(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "onnxruntime"}, "--compile: onnxruntime has no compiler; choose --engine torch"),
        ({"experts": 4, "active_experts": 2}, "--compile: a router chooses experts at run time"),
    ],
)
def test_a_model_that_cannot_be_compiled_before_it_is_measured_is_refused(options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        TransformerSpec(**({"engine": "torch"} | options), compiled=True)


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


def test_the_memory_of_several_precisions_is_their_sum():
    spec = TransformerSpec(batch=1)
    points = points_of({"batch": (1,), "precision": ("fp32", "int8_static", "int4")})
    weights = {
        each: dataclasses.replace(spec, precision=each).model_bytes() for each in ("fp32", "int8_static", "int4")
    }
    calibrating = sum(weights.values()) + weights["fp32"]
    found = check_memory(spec, EngineSpec("cpu"), points, Limits(memory_bytes=calibrating))
    assert re.fullmatch(
        rf"the run needs at least {calibrating / 2**20:.3g} MiB of memory, \S+ GiB are available", found
    )
    with pytest.raises(
        WorkloadError, match=r"in fp32, int8_static, int4 at batch=1 precision=fp32 needs at least \S+ MiB"
    ):
        check_memory(spec, EngineSpec("cpu"), points, Limits(memory_bytes=calibrating - 1))


def test_a_model_that_is_too_large_is_refused_with_the_needed_and_the_available_memory():
    spec, axes = request(TransformerSpec, {"preset": "Llama-3.1-70B", "batch": (1,)})
    with pytest.raises(
        WorkloadError, match=r"7.06e\+10 parameters at batch=1 needs at least 262.\d GiB, .* allows 16 GiB"
    ):
        check_memory(spec, EngineSpec("cpu"), points_of(axes), Limits(memory_bytes=16 << 30))


def test_the_least_memory_of_a_small_transformer_matches_a_count_by_hand():
    spec = TransformerSpec(
        batch=5, layers=2, width=8, heads=2, vocabulary=10, mlp_ratio=2, prompt_tokens=3, output_tokens=4
    )
    cache, scores, rotations, logits = 2 * 2 * 5 * 6 * 8, 5 * 2 * 3 * 3, 7 * 4, 5 * 10
    assert spec.minimum_bytes(on_host=True) == spec.model_bytes() + 4 * (cache + scores + rotations + logits)
    assert spec.minimum_bytes(on_host=False) == spec.model_bytes()
