"""The operations and the bytes of a request, counted by hand for small shapes."""

from pytest import approx  # noqa: PT013  stands in every test

from agent.workloads.transformer.spec import TransformerSpec
from agent.workloads.transformer.work import work_of

TINY = TransformerSpec(
    layers=2, width=8, heads=2, kv_heads=1, vocabulary=10, mlp_ratio=2.0, prompt_tokens=3, output_tokens=4, batch=2
)
MATRICES = 2 * (8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 16)
"""Queries, keys and values, outputs, and the gated feed-forward, of two layers."""
HEAD, NORMS, CACHED = 8 * 10, 5 * 8, 2 * 2 * 4 * 4
"""CACHED: bytes of the keys and values of a token, of both layers in fp32."""
ATTENTION = 4 * 2 * 8
"""Operations for each attended token, of both layers."""


def test_a_prompt_passes_all_matrices_and_is_scored_once():
    prefill = work_of(TINY)["prefill"]
    assert prefill.operations == 2 * 3 * MATRICES + ATTENTION * 3 * 3 + 2 * HEAD
    assert prefill.moved_bytes == approx(4 * (MATRICES + HEAD + NORMS) / 2 + 3 * CACHED)
    assert prefill.allocated_bytes is None


def test_each_step_reads_the_weights_once_for_the_batch_and_the_cache_of_its_request():
    decode = work_of(TINY)["decode"]
    attended = 4 + 5 + 6
    assert decode.operations == 3 * 2 * (MATRICES + HEAD) + attended * ATTENTION
    assert decode.moved_bytes == approx(3 * 4 * (MATRICES + HEAD + NORMS) / 2 + attended * CACHED)


def test_a_request_of_one_token_has_no_decode_and_an_encoder_one_phase():
    one = TransformerSpec(layers=2, width=8, heads=2, output_tokens=1)
    assert set(work_of(one)) == {"prefill"}
    encoder = TransformerSpec(kind="encoder", layers=2, width=8, heads=2, output_tokens=0, prompt_tokens=3)
    assert set(work_of(encoder)) == {"encode"}
    assert work_of(encoder)["encode"].moved_bytes == encoder.step_bytes()
