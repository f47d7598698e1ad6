"""The numbers of the transformer, in this process."""

import collections
import dataclasses

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.transformer.spec import TransformerSpec
from transformer_reference import reference_outputs

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
engine = pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
model = pytest.importorskip("agent.workloads.transformer.onnx_decoder", reason="the onnx extra is not installed")
weights = pytest.importorskip("agent.workloads.transformer.weights", reason="the onnx extra is not installed")
on_onnxruntime = pytest.importorskip(
    "agent.workloads.transformer.on_onnxruntime", reason="the onnx extra is not installed"
)
transformer = pytest.importorskip("agent.workloads.transformer.workload", reason="the onnx extra is not installed")

TINY = TransformerSpec(layers=2, width=32, heads=4, vocabulary=61, mlp_ratio=1.5, prompt_tokens=7, output_tokens=5)
ONE_THREAD = EngineSpec(device="cpu", threads=1)
OPTIONS = {
    "rope": {},
    "learned": {"positions": "learned"},
    "grouped": {"kv_heads": 2},
    "one-kv-head": {"kv_heads": 1, "positions": "learned"},
    "wide-heads": {"kv_heads": 2, "head_width": 12},
    "tied": {"tied": True},
    "plain": {"mlp": "plain"},
    "experts": {"experts": 5, "active_experts": 2, "kv_heads": 2},
    "one-active": {"experts": 3, "mlp": "plain"},
}
"""Each option of a decoder, alone or with one other."""
EACH_OPTION = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
ENCODERS = {
    "encoder": {},
    "encoder-of-bert": {"positions": "learned", "mlp": "plain"},
    "encoder-of-experts": {"experts": 4, "active_experts": 2, "kv_heads": 2},
}
EACH_ENCODER = pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)


def encoder(**options):
    return dataclasses.replace(TINY, kind="encoder", output_tokens=0, **options)


def changed(spec, **options):
    """Return the spec with other options, and the widths that follow from them."""
    return dataclasses.replace(spec, **{"kv_heads": 0, "head_width": 0, **options})


class Decoder:
    """A decoder in a session, fed by hand."""

    def __init__(self, spec):
        self.spec = spec
        self.graph = model.build_decoder(spec)
        self.session = engine.open_session(self.graph.serialized(), ONE_THREAD, self.graph.weights)
        self.inputs = ["input_ids", *model.cache_names(spec, "past")]
        self.outputs = ["logits", "next_ids", *model.cache_names(spec, "present")]

    def empty_cache(self, batch):
        shape = (batch, self.spec.kv_heads, 0, self.spec.head_width)
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


@EACH_OPTION
def test_the_graph_computes_the_same_as_the_hand_written_decoder(options):
    spec = changed(TINY, **options)
    decoder = Decoder(spec)
    ids = prompts(spec, 3, 9)
    logits, _, _ = decoder.prefill(ids)
    expected = [reference_outputs(spec, dict(weights.weights_of(spec)), row) for row in ids]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@EACH_ENCODER
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_encoder_computes_the_same_as_the_hand_written_one(options, precision):
    spec = changed(encoder(precision=precision), **options)
    ids = prompts(spec, 3, 6)
    loaded = on_onnxruntime.load(spec, ONE_THREAD)
    expected = [reference_outputs(spec, dict(weights.weights_of(spec)), row) for row in ids]
    np.testing.assert_allclose(loaded.logits(loaded.prompts(ids)), expected, atol=1e-4 if precision == "fp32" else 2e-2)


@EACH_OPTION
@pytest.mark.parametrize("batch", [1, 3])
def test_decoding_step_by_step_gives_the_logits_of_one_prefill_over_the_whole(options, batch):
    spec = changed(TINY, **options)
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


@pytest.mark.parametrize("options", [{}, OPTIONS["experts"], OPTIONS["tied"]], ids=["dense", "experts", "tied"])
@pytest.mark.parametrize(
    ("precision", "least"), [("fp16", 0.999), ("int8", 0.95), ("int8_static", 0.95), ("int4", 0.8)]
)
def test_a_lower_precision_stays_finite_and_near_fp32(precision, least, options):
    spec = TransformerSpec(layers=3, width=128, heads=4, vocabulary=200, prompt_tokens=16, output_tokens=4, **options)
    exact = on_onnxruntime.load(spec, ONE_THREAD)
    rough = on_onnxruntime.load(dataclasses.replace(spec, precision=precision), ONE_THREAD)
    ids = prompts(spec, 8, 16)
    expected, found = (each.logits(each.prompts(ids)) for each in (exact, rough))
    assert np.isfinite(found).all()
    for row, expected_row in zip(found, expected, strict=True):
        assert row @ expected_row / np.linalg.norm(row) / np.linalg.norm(expected_row) > least
    state = rough.step(rough.step(rough.prefill(rough.prompts(ids[:1]))))
    assert 0 <= rough.tokens(state)[0] < 200


@pytest.mark.system
def test_activations_stay_finite_in_fp16_however_deep_the_model():
    spec = TransformerSpec(layers=24, width=64, heads=2, vocabulary=64, precision="fp16")
    logits, _, cache = Decoder(spec).prefill(prompts(spec, 1, 64))
    assert np.isfinite(logits).all()
    assert all(np.isfinite(values).all() for values in cache)


@pytest.mark.parametrize("options", [*OPTIONS.values(), {"kind": "encoder", "output_tokens": 0}])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8_static", "int4"])
def test_the_spec_and_the_built_weights_have_the_same_parameters_and_bytes(options, precision):
    spec = changed(TINY, precision=precision, **options)
    assert sum(values.size for _, values in weights.weights_of(spec)) == spec.parameter_count()
    ranges = collections.defaultdict(lambda: (-1.0, 1.0))
    built = model.build_decoder(spec, ranges).weights
    assert sum(values.nbytes for values in built.values()) == spec.model_bytes()


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

    provider, device, load_start_ns, load_seconds, cpu_operator_share = "cpu", "cpu", 1, 0.0, None

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


def test_an_encoder_has_one_phase_without_output_tokens():
    workload = transformer.load(encoder(), ONE_THREAD)
    works = workload.prepare({"batch": 3})
    assert workload.ready.phases == tuple(works) == ("encode",)
    assert (works["encode"].inferences, works["encode"].input_tokens, works["encode"].output_tokens) == (3, 21, 0)
    works["encode"].run_once([])


@pytest.mark.parametrize("spec", [TINY, encoder()], ids=["decoder", "encoder"])
def test_each_precision_has_its_own_model_and_its_agreement_with_the_first(spec):
    workload = transformer.load(spec, ONE_THREAD)
    points = [{"batch": 1, "precision": precision} for precision in ("fp32", "int8_static", "int4")]
    for point in points:
        workload.prepare(point)
    models = [workload.model_of(point) for point in points]
    assert [each.precision for each in models] == ["fp32", "int8_static", "int4"]
    assert [each.model_bytes for each in models] == [
        dataclasses.replace(spec, precision=each.precision).model_bytes() for each in models
    ]
    exact, static, blocks = (each.agreement for each in models)
    assert exact is None
    assert static.reference == blocks.reference == "fp32"
    assert 0.8 < blocks.cosine_similarity < 1
    assert (blocks.top1_agreement is None) == (spec.kind == "encoder")


@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_a_precision_whose_first_point_is_short_has_room_for_longer_ones(positions):
    workload = transformer.load(dataclasses.replace(TINY, positions=positions), ONE_THREAD)
    for tokens in (2, 7):
        point = {"batch": 1, "prompt_tokens": tokens, "precision": "fp16"}
        workload.prepare(point)["decode"].run_once([])
    assert workload.model_of(point).agreement.cosine_similarity > 0.999
    assert workload.model_of(point).computes_in in {"fp16", "fp32"}


@pytest.mark.parametrize("precision", ["int8", "int8_static"])
def test_int8_on_cuda_is_refused_with_the_alternatives(precision):
    with pytest.raises(WorkloadError, match=f"--precision {precision} with --device cuda") as failure:
        transformer.load(dataclasses.replace(TINY, precision=precision), EngineSpec(device="cuda"))
    assert "fp16" in failure.value.remedy


def test_bf16_is_refused_with_the_alternatives():
    with pytest.raises(WorkloadError, match="--precision bf16") as failure:
        on_onnxruntime.check(TINY, ONE_THREAD, ("fp32", "bf16"))
    assert "fp16" in failure.value.remedy
