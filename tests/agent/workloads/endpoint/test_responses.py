"""Responses that a real llama-server sent, read again with exact times; and the faults of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.endpoint.responses import Embedding, StreamedCompletion, WholeCompletion
from agent.workloads.load.window import LoadFacts, measured
from agent.workloads.load_records import ClientLoad
from trees import FIXTURES

RECORDED = FIXTURES / "serving/llama-server"
MS = 1_000_000


def replayed(name, step=None, gap_ms=10, count=None, first_ms=0):
    """Return a stream whose events, or pieces of `step` bytes, arrive at equal distances."""
    whole = (RECORDED / name).read_bytes()
    pieces = [each + b"\n\n" for each in whole.split(b"\n\n") if each]
    if step:
        pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
    made = StreamedCompletion(b"", "a prompt", count)
    made.begin(200)
    for number, piece in enumerate(pieces):
        made.receive(piece, (first_ms + number * gap_ms) * MS)
    made.complete((first_ms + len(pieces) * gap_ms) * MS)
    return made


@pytest.mark.parametrize(
    ("name", "tokens", "events", "finish"),
    [
        ("chat_stream.sse", (34, 0, 12), 11, "stop"),
        ("chat_stream_eos.sse", (34, 33, 12), 11, "stop"),
        ("chat_stream_utf8.sse", (50, 24, 48), 26, "length"),
        ("chat_stream_ignore_eos.sse", (34, 33, 64), 64, "length"),
        ("completion_stream.sse", (5, 0, 16), 16, "length"),
    ],
)
def test_a_recorded_stream_has_the_tokens_of_its_server(name, tokens, events, finish):
    made = replayed(name)
    assert made.outcome == "ok"
    assert (made.input_tokens, made.cached_tokens, made.output_tokens) == tokens
    assert (len(made.outputs_ns), made.finish_reason) == (events, finish)


@given(step=st.integers(1, 5000))
def test_the_borders_of_packets_change_no_count(step):
    made = replayed("chat_stream_utf8.sse", step)
    assert (made.outcome, made.output_tokens, len(made.outputs_ns), made.finish_reason) == ("ok", 48, 26, "length")


def test_every_figure_of_a_recorded_stream_is_exact():
    """The first event has no output: 64 tokens arrive at 10, 20, ... 640 ms, and the stream ends at 680 ms."""
    made = replayed("chat_stream_ignore_eos.sse")
    assert len(made.outputs_ns) == made.output_tokens == 64
    found = measured("serving", 0, 320 * MS, [made], LoadFacts("poisson", "usage", 60.0), ClientLoad(0, 1, 0, 0))
    (request,) = found.load.requests
    assert request.time_to_first_token_seconds == 0.01
    assert request.time_per_output_token_seconds == 0.01
    assert request.end_to_end_seconds == pytest.approx(made.end_ns / 1e9)
    assert (found.input_tokens, found.output_tokens) == (34, 31)
    assert found.step_seconds == pytest.approx((0.01,) * 30)
    assert found.requests_in_window == pytest.approx(320 * MS / made.end_ns)


def test_a_stream_without_usage_is_counted_by_a_tokenizer():
    made = replayed("chat_stream_no_usage.sse", count=lambda text: len(text.split()))
    assert (made.outcome, made.output_tokens) == ("ok", None)
    made.settle()
    assert made.input_tokens == 2
    assert made.output_tokens > 0
    assert replayed("chat_stream_no_usage.sse").outcome == "no usage"


@pytest.mark.parametrize("name", ["chat.json", "completion.json"])
def test_a_recorded_object_has_the_tokens_of_its_server(name):
    made = WholeCompletion(b"")
    made.begin(200)
    content = (RECORDED / name).read_bytes()
    made.receive(content[:50], 1)
    made.receive(content[50:], 2)
    made.complete(3)
    assert made.outcome == "ok"
    assert made.input_tokens > 0
    assert made.output_tokens > 0
    assert not made.outputs_ns
    assert made.end_ns == 3


def test_embeddings_have_the_tokens_of_the_prompt():
    made = Embedding(b"")
    made.begin(200)
    made.receive(b'{"object":"list","usage":{"prompt_tokens":5,"total_tokens":5},"data":[{"embedding":[0.5]}]}', 1)
    made.complete(2)
    assert (made.outcome, made.input_tokens, made.output_tokens) == ("ok", 5, None)


def test_the_message_of_an_error_is_available_for_the_trial():
    made = StreamedCompletion(b"")
    made.begin(400)
    made.receive((RECORDED / "error_too_long.json").read_bytes(), 1)
    made.complete(2)
    assert made.outcome == "http 400"
    assert b"exceeds the available context size" in made.error


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b'data: {"error": {"message": "out of memory"}}\n\n', "server error"),
        (b'data: {"choices": 3}\n\n', "malformed"),
        (b'data: {"usage": {"prompt_tokens": -5, "completion_tokens": 1}}\n\n', "malformed"),
        (b"data: {\n\n", "malformed"),
        (b"\xff\xfe\n\n", "truncated"),
        (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "truncated"),
        (b"x" * (5 << 20), "malformed"),
    ],
)
def test_a_wrong_stream_has_its_outcome(content, outcome):
    made = StreamedCompletion(b"")
    made.begin(200)
    made.receive(content, 1)
    made.complete(2)
    assert made.outcome == outcome


def test_an_object_nested_too_deep_is_malformed():
    made = WholeCompletion(b"")
    made.begin(200)
    made.receive(b'{"error": ' + b"[" * 100_000, 1)
    made.complete(2)
    assert made.outcome == "malformed"


def test_the_finish_reason_is_cut():
    made = StreamedCompletion(b"")
    made.begin(200)
    made.receive(b'data: {"choices": [{"finish_reason": "' + b"x" * 1000 + b'"}]}\n\n', 1)
    assert made.finish_reason == "x" * 64


def test_a_response_beyond_the_limit_ends_the_request():
    made = StreamedCompletion(b"")
    made.begin(200)
    for _ in range(65):
        made.receive((b": ping" + b" " * 1016 + b"\n\n") * 1024, 1)
    assert made.outcome == "too large"
