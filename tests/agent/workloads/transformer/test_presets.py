"""The presets: their counts against the published ones, and their names."""

import re

import pytest

from agent.workloads.axes import request
from agent.workloads.transformer.presets import PRESETS, find_preset
from agent.workloads.transformer.spec import TransformerSpec

WITHOUT_BIASES = 0.02
"""The generated models have no biases, and an encoder no pooler: up to 2 % of the weights of a small one."""


@pytest.mark.parametrize("name", PRESETS)
def test_the_parameters_of_a_preset_are_those_that_its_authors_publish(name):
    preset = PRESETS[name]
    context = {"prompt_tokens": (preset.context - 1 if preset.kind == "decoder" else preset.context,)}
    lengths = {**context, "output_tokens": (1 if preset.kind == "decoder" else 0,)} if preset.context else {}
    spec, _ = request(TransformerSpec, {"preset": name, **lengths})
    least = 0.998 if preset.kind == "decoder" and preset.mlp == "gated" else 1 - WITHOUT_BIASES
    assert least <= spec.parameter_count() / preset.published <= 1.002


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_model_of_its_own_width(name):
    preset = PRESETS[name]
    spec, axes = request(TransformerSpec, {"preset": name})
    assert spec.mlp_width == preset.mlp_width
    assert spec.preset == name
    assert spec.phases == (("prefill", "decode") if preset.kind == "decoder" else ("encode",))
    assert set(axes) == {"batch"}


def test_other_options_override_a_preset():
    spec, _ = request(TransformerSpec, {"preset": "qwen3-0.6b", "layers": 2, "tied": False, "output_tokens": (5,)})
    assert (spec.layers, spec.tied, spec.output_tokens, spec.head_width) == (2, False, 5, 128)
    decoder, _ = request(TransformerSpec, {"preset": "bert-base", "kind": "decoder"})
    assert (decoder.width, decoder.output_tokens) == (768, 32)


def test_an_encoder_needs_no_number_of_output_tokens():
    spec, _ = request(TransformerSpec, {"kind": "encoder"})
    assert spec.output_tokens == 0
    with pytest.raises(ValueError, match="--output-tokens 8: an encoder writes no tokens"):
        request(TransformerSpec, {"kind": "encoder", "output_tokens": (8,)})


def test_an_unknown_preset_is_refused_with_the_names_of_all():
    with pytest.raises(ValueError, match="--preset: 'gpt5' is not one of ") as refused:
        request(TransformerSpec, {"preset": "gpt5"})
    assert set(re.split(r"is not one of |, ", str(refused.value))[1:]) == set(PRESETS)


def test_presets_reach_from_22_million_to_70_billion_parameters():
    sizes = sorted(preset.published for preset in PRESETS.values())
    assert sizes[0] < 25e6
    assert sizes[-1] > 70e9
    assert find_preset("MIXTRAL-8x7b").active_experts == 2
