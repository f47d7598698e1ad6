"""Weights of a graph as inputs and as a file, with ONNX Runtime as the reader."""

import dataclasses

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.transformer.spec import TransformerSpec

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
engine = pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
decoder = pytest.importorskip("agent.workloads.transformer.onnx_decoder", reason="the onnx extra is not installed")
weights = pytest.importorskip("agent.workloads.transformer.onnx_weights", reason="the onnx extra is not installed")
genai = pytest.importorskip("agent.workloads.transformer.genai_folder", reason="the onnx extra is not installed")

SPEC = TransformerSpec(layers=2, width=32, heads=4, vocabulary=61, mlp_ratio=1.5, prompt_tokens=7, output_tokens=5)
ON_CPU = EngineSpec(device="cpu", threads=1)
IDS = np.random.default_rng(5).integers(0, SPEC.vocabulary, (2, 7))


def scores(model, graph=None, extra=None):
    """Return the logits after the prompts."""
    session = engine.open_session(model, ON_CPU, graph.weights if graph else None)
    empty = np.zeros((2, SPEC.heads, 0, SPEC.head_width), np.float32)
    feeds = {"input_ids": IDS, **dict.fromkeys(decoder.cache_names(SPEC, "past"), empty), **(extra or {})}
    (found,) = session.run({name: session.tensor(values) for name, values in feeds.items()}, ["logits"])
    return found.numpy()


def test_a_model_with_its_weights_as_inputs_has_the_same_outputs():
    graph = decoder.build_decoder(SPEC)
    model = weights.weights_as_inputs(graph)
    assert {each.name for each in onnx.load_from_string(model).graph.input} >= set(graph.weights)
    np.testing.assert_allclose(
        scores(model, extra=graph.weights), scores(graph.serialized(), graph), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_model_in_a_folder_has_the_same_scores_and_a_last_token_that_is_never_the_likeliest(tmp_path, precision):
    spec = dataclasses.replace(SPEC, precision=precision)
    graph = decoder.build_decoder(spec)
    genai.write_folder(spec, ON_CPU, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genai_config.json", "model.onnx", "weights.bin"]
    assert (tmp_path / "weights.bin").stat().st_size == sum(values.nbytes for values in graph.weights.values())
    found = scores(tmp_path / "model.onnx")
    assert found.shape == (2, 1, SPEC.vocabulary + 1)
    np.testing.assert_array_equal(found[:, 0, :-1], scores(graph.serialized(), graph))
    assert (found[:, 0, -1] < found[:, 0, :-1].min(axis=1) - 1e6).all()


def test_the_configuration_of_a_folder_names_the_caches_of_the_model_and_ends_a_request_with_no_own_token():
    spec = dataclasses.replace(SPEC, kv_heads=2)
    found = genai.configuration(spec, EngineSpec(device="cuda", threads=3))["model"]
    names = found["decoder"]["inputs"]["past_key_names"], found["decoder"]["outputs"]["present_value_names"]
    assert [name % 1 for name in names] == ["past_key_1", "present_value_1"]
    assert found["eos_token_id"] == found["pad_token_id"] == spec.vocabulary == found["vocab_size"] - 1
    assert found["decoder"]["num_key_value_heads"] == 2
    assert found["decoder"]["session_options"] == {"intra_op_num_threads": 3, "provider_options": [{"cuda": {}}]}
