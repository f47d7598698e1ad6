"""The numbers of the transformer, in this process."""

import dataclasses

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.transformer.spec import TransformerSpec

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
engine = pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
model = pytest.importorskip("agent.workloads.transformer.onnx_decoder", reason="the onnx extra is not installed")
on_onnxruntime = pytest.importorskip("agent.workloads.transformer.on_onnxruntime", reason="the onnx extra is missing")
transformer = pytest.importorskip("agent.workloads.transformer.workload", reason="the onnx extra is not installed")

TINY = TransformerSpec(layers=2, width=32, heads=4, vocabulary=61, mlp_ratio=1.5, prompt_tokens=7, output_tokens=5)
ONE_THREAD = EngineSpec(device="cpu", threads=1)
POSITIONS = pytest.mark.parametrize("positions", ["rope", "learned"])


class Decoder:
    """A decoder in a session, fed by hand."""

    def __init__(self, spec):
        self.spec = spec
        self.graph = model.build_decoder(spec)
        self.session = engine.open_session(self.graph.serialized(), ONE_THREAD, self.graph.weights)
        self.inputs = ["input_ids", *model.cache_names(spec, "past")]
        self.outputs = ["logits", "next_ids", *model.cache_names(spec, "present")]

    def empty_cache(self, batch):
        shape = (batch, self.spec.heads, 0, self.spec.head_width)
        return [np.zeros(shape, self.graph.element)] * (2 * self.spec.layers)

    def run(self, ids, cache):
        """Return logits, next ids, and the cache."""
        feeds = dict(zip(self.inputs, [ids, *cache], strict=True))
        tensors = {name: self.session.tensor(values) for name, values in feeds.items()}
        logits, next_ids, *cache = (tensor.numpy() for tensor in self.session.run(tensors, self.outputs))
        return logits, next_ids, cache

    def prefill(self, ids):
        return self.run(ids, self.empty_cache(len(ids)))


def prompts(spec, batch, length):
    return np.random.default_rng(5).integers(0, spec.vocabulary, (batch, length))


def normed(x, scale):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale


def reference_logits(spec, weights, ids):
    """The same decoder written down once more, for one prompt, without a cache."""
    count, width, half = len(ids), spec.head_width, spec.head_width // 2
    stream = weights["embedding"][ids]
    if spec.positions == "learned":
        stream = stream + weights["positions"][:count]
    turns = np.exp(1j * model.rotation_angles(count, width))
    for layer in range(spec.layers):
        joined = normed(stream, weights[f"norm_a_{layer}"]) @ weights[f"qkv_{layer}"]
        seen = np.zeros_like(stream)
        for head in range(spec.heads):
            columns = slice(head * width, (head + 1) * width)
            query, key, value = (part[:, columns] for part in np.split(joined, 3, axis=1))
            if spec.positions == "rope":
                query, key = (
                    np.concatenate([turned.real, turned.imag], axis=1)
                    for turned in ((part[:, :half] + 1j * part[:, half:]) * turns for part in (query, key))
                )
            scores = np.where(np.tri(count, dtype=bool), query @ key.T / np.sqrt(width), -np.inf)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            seen[:, columns] = shares / shares.sum(1, keepdims=True) @ value
        stream = stream + seen @ weights[f"attention_out_{layer}"]
        gate, up = np.split(normed(stream, weights[f"norm_f_{layer}"]) @ weights[f"gate_up_{layer}"], 2, axis=1)
        stream = stream + (gate / (1 + np.exp(-gate)) * up) @ weights[f"down_{layer}"]
    return normed(stream[-1], weights["norm_out"]) @ weights["head"]


@POSITIONS
def test_the_graph_computes_the_same_as_the_hand_written_decoder(positions):
    spec = dataclasses.replace(TINY, positions=positions)
    decoder = Decoder(spec)
    ids = prompts(spec, 3, 9)
    logits, _, _ = decoder.prefill(ids)
    expected = [reference_logits(spec, decoder.graph.weights, row) for row in ids]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@POSITIONS
@pytest.mark.parametrize("batch", [1, 3])
def test_decoding_step_by_step_gives_the_logits_of_one_prefill_over_the_whole(positions, batch):
    spec = dataclasses.replace(TINY, positions=positions)
    decoder = Decoder(spec)
    ids = prompts(spec, batch, 12)
    _, _, cache = decoder.prefill(ids[:, :7])
    for position in range(7, 12):
        logits, next_ids, cache = decoder.run(ids[:, position : position + 1], cache)
        whole, _, _ = decoder.prefill(ids[:, : position + 1])
        np.testing.assert_allclose(logits, whole, atol=1e-4)
        np.testing.assert_array_equal(next_ids[:, 0], whole.argmax(axis=1))


def test_a_prompt_in_two_pieces_gives_the_same_as_in_one():
    decoder = Decoder(TINY)
    ids = prompts(TINY, 2, 10)
    _, _, cache = decoder.prefill(ids[:, :4])
    np.testing.assert_allclose(decoder.run(ids[:, 4:], cache)[0], decoder.prefill(ids)[0], atol=1e-4)


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.9999), ("int8", 0.98)])
def test_a_lower_precision_stays_finite_and_near_fp32(precision, least):
    spec = TransformerSpec(layers=3, width=128, heads=4, vocabulary=200, prompt_tokens=16, output_tokens=4)
    exact, rough = Decoder(spec), Decoder(dataclasses.replace(spec, precision=precision))
    ids = prompts(spec, 2, 16)
    (_, _, exact_cache), (_, _, rough_cache) = exact.prefill(ids), rough.prefill(ids)
    for _ in range(3):
        expected, _, exact_cache = exact.run(ids[:, :1], exact_cache)
        logits, _, rough_cache = rough.run(ids[:, :1], rough_cache)
        assert np.isfinite(logits).all()
        assert rough_cache[0].dtype == rough.graph.element
        for row, expected_row in zip(logits, expected, strict=True):
            assert row @ expected_row / np.linalg.norm(row) / np.linalg.norm(expected_row) > least


def test_activations_stay_finite_in_fp16_however_deep_the_model():
    spec = TransformerSpec(layers=24, width=64, heads=2, vocabulary=64, precision="fp16")
    logits, _, cache = Decoder(spec).prefill(prompts(spec, 1, 64))
    assert np.isfinite(logits).all()
    assert all(np.isfinite(values).all() for values in cache)


@POSITIONS
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_spec_and_the_built_weights_have_the_same_parameters_and_bytes(positions, precision):
    spec = dataclasses.replace(TINY, positions=positions, precision=precision)
    weights = model.build_decoder(spec).weights
    assert sum(values.size for name, values in weights.items() if not name.endswith("_scale")) == spec.parameter_count()
    assert sum(values.nbytes for values in weights.values()) == spec.model_bytes()


def test_the_weights_follow_from_the_seed():
    first, again = model.build_decoder(TINY).weights, model.build_decoder(TINY).weights
    other = model.build_decoder(dataclasses.replace(TINY, seed=1)).weights
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["head"], other["head"])


def test_a_request_is_one_prefill_and_one_decode_iteration():
    workload = transformer.load(TINY, ONE_THREAD)
    works = workload.prepare({"batch": 3})
    assert workload.ready.phases == tuple(works) == ("prefill", "decode")
    assert (works["prefill"].inferences, works["prefill"].input_tokens, works["prefill"].output_tokens) == (3, 21, 3)
    assert (works["decode"].inferences, works["decode"].input_tokens, works["decode"].output_tokens) == (3, 0, 12)
    steps = []
    works["prefill"].run_once(steps)
    assert steps == []
    works["decode"].run_once(steps)
    assert len(steps) == 4
    assert min(steps) > 0


class WatchedSession:
    """A session that notes the tokens and the length of the cache of every run."""

    provider, device, load_start_ns, load_seconds = "cpu", "cpu", 1, 0.0

    def __init__(self, session):
        self.session, self.tensor, self.fed = session, session.tensor, []

    def run(self, feeds, outputs):
        self.fed.append((feeds["input_ids"].numpy().tolist(), feeds["past_key_0"].shape()[2]))
        return self.session.run(feeds, outputs)


def test_every_decode_iteration_starts_from_the_same_cache_and_feeds_back_the_likeliest_token(monkeypatch):
    decoder = Decoder(TINY)
    session = WatchedSession(decoder.session)
    monkeypatch.setattr(on_onnxruntime.onnxruntime, "open_session", lambda *_: session)
    works, fed = transformer.TransformerWorkload(TINY, ONE_THREAD).prepare({"batch": 2}), session.fed
    (prompt, _), fed[:] = fed[0], []
    works["decode"].run_once([])
    first, fed[:] = list(fed), []
    works["decode"].run_once([])
    assert first == fed
    assert [past for _, past in first] == [7, 8, 9, 10]

    ids, cache = np.array(prompt), None
    expected = []
    for _ in range(4):
        _, ids, cache = decoder.prefill(ids) if cache is None else decoder.run(ids, cache)
        expected.append(ids.tolist())
    assert [tokens for tokens, _ in first] == expected


def test_a_request_of_one_output_token_has_no_decode_phase():
    workload = transformer.load(dataclasses.replace(TINY, output_tokens=1), ONE_THREAD)
    assert workload.ready.phases == tuple(workload.prepare({"batch": 1})) == ("prefill",)


def test_int8_on_cuda_is_refused_with_the_alternatives():
    with pytest.raises(WorkloadError, match="--precision int8 with --device cuda") as failure:
        transformer.load(dataclasses.replace(TINY, precision="int8"), EngineSpec(device="cuda"))
    assert "fp16" in failure.value.remedy
