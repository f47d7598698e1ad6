from __future__ import annotations

from pathlib import Path

import pytest

from agent.attribution.exposition import (
    LONGEST_LABEL,
    MOST_MODELS,
    MOST_SERIES,
    ExpositionError,
    ServerReading,
    read_exposition,
)
from agent.attribution.increments import ServerCounters
from agent.config.serving_kinds import KINDS, MetricNames

VLLM = KINDS["vllm"]
NAMES = MetricNames(output_tokens=("tokens_total",), model_labels=("model",))

TEXTS = {
    "vllm": """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 10.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 5.0
vllm:generation_tokens_total{engine="0",model_name="m"} 200.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="error",model_name="m"} 1.0
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 8.5
vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 4.0
vllm:request_prefill_time_seconds_sum{engine="0",model_name="m"} 1.5
vllm:request_decode_time_seconds_sum{engine="0",model_name="m"} 7.0
""",
    "sglang": """sglang:prompt_tokens_total{model_name="m"} 10
sglang:generation_tokens_total{model_name="m"} 200
sglang:num_requests_total{model_name="m"} 4
sglang:num_aborted_requests_total{model_name="m"} 1
sglang:num_running_reqs{engine_type="unified",model_name="m"} 2.0
sglang:num_queue_reqs{model_name="m"} 1.0
sglang:e2e_request_latency_seconds_sum{model_name="m"} 8.5
""",
    "tgi": """tgi_request_input_length_sum 10
tgi_request_generated_tokens_sum 200
tgi_request_success 3
tgi_request_count 5
tgi_request_failure{err="validation"} 1
tgi_request_failure{err="overloaded"} 1
tgi_batch_current_size 2
tgi_queue_size 1
tgi_request_duration_sum 8.5
""",
    "llamacpp": """# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 4
llamacpp:prompt_tokens_cached_total 6
llamacpp:prompt_seconds_total 1.5
llamacpp:tokens_predicted_total 200
llamacpp:tokens_predicted_seconds_total 7
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
""",
    "triton": """nv_inference_request_success{model="m",version="1"} 4
nv_inference_request_failure{model="m",reason="OTHER",version="1"} 1
nv_inference_pending_request_count{model="m",version="1"} 1
nv_inference_request_duration_us{model="m",version="1"} 8500000
nv_llm_input_token_len_sum{model="m",version="1"} 10
nv_llm_output_token_len_sum{model="m",version="1"} 200
nv_trt_llm_request_metrics{model="m",request_type="active",version="1"} 2
nv_trt_llm_request_metrics{model="m",request_type="max",version="1"} 64
""",
    "tensorrt-llm": """trtllm_prompt_tokens_total{engine_type="trtllm",model_name="m"} 10
trtllm_generation_tokens_total{engine_type="trtllm",model_name="m"} 200
trtllm_request_success_total{engine_type="trtllm",finished_reason="stop",model_name="m"} 4
trtllm_request_error_total{engine_type="trtllm",model_name="m"} 1
trtllm_num_requests_running{engine_type="trtllm",model_name="m"} 2
trtllm_num_requests_waiting{engine_type="trtllm",model_name="m"} 1
trtllm_e2e_request_latency_seconds_sum{engine_type="trtllm",model_name="m"} 8.5
trtllm_request_prefill_time_seconds_sum{engine_type="trtllm",model_name="m"} 1.5
trtllm_request_decode_time_seconds_sum{engine_type="trtllm",model_name="m"} 7
""",
    "tei": """te_request_input_length_sum 10
te_request_success{method="single"} 3
te_request_success{method="batch"} 1
te_request_count{method="single"} 5
te_request_failure{err="overloaded"} 1
te_queue_size 1
te_request_duration_sum 8.5
""",
}
"""Metrics as each kind writes them: 10 input and 200 output tokens, 8.5 s of requests, 2 running and 1 waiting."""
EXPECTED = {
    "input_tokens": 10.0,
    "output_tokens": 200.0,
    "requests": 4.0,
    "errors": 1.0,
    "running": 2.0,
    "waiting": 1.0,
    "duration": 8.5,
    "prefill": 1.5,
    "decode": 7.0,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_the_metrics_of_each_kind_of_server_are_read(kind: str) -> None:
    names = KINDS[kind]
    ((model, counts),) = read_exposition(TEXTS[kind].encode(), names).models.items()
    wanted = {name: value for name, value in EXPECTED.items() if getattr(names, name)}
    if kind == "vllm":
        wanted["input_tokens"] = 15.0
    if kind == "tgi":
        wanted |= {"requests": 3.0, "arrivals": 5.0, "errors": 2.0}
    if kind == "tei":
        wanted["arrivals"] = 5.0
    assert counts == wanted
    assert model == ("m" if names.model_labels else "")


def test_every_kind_but_the_generic_one_has_a_text() -> None:
    assert KINDS.keys() - TEXTS.keys() == {"generic"}


def test_the_first_name_that_a_server_exports_counts() -> None:
    names = MetricNames(output_tokens=("new_total", "old_total"))
    assert read_exposition(b"old_total 3", names, "m").models == {"m": {"output_tokens": 3.0}}
    assert read_exposition(b"old_total 3\nnew_total 4", names, "m").models == {"m": {"output_tokens": 4.0}}


def test_a_condition_selects_series_and_an_unmet_one_none() -> None:
    names = MetricNames(requests=("n",), errors=('n{end="bad"}',))
    assert read_exposition(b'n{end="good"} 3\r\nn{end="bad"} 1', names).models[""] == {"requests": 4.0, "errors": 1.0}
    assert read_exposition(b'n{end="good"} 3', names).models[""] == {"requests": 3.0}


@pytest.mark.parametrize("value", ["NaN", "-1", "+Inf", "1e308"])
def test_an_impossible_value_is_left_out(value: str) -> None:
    with pytest.raises(ExpositionError, match="none of the server's metrics"):
        read_exposition(f"tokens_total {value}\n".encode(), NAMES)


@pytest.mark.parametrize("text", [b"", b"\0\xff\xfe", b"<html>", b"{}", b"tokens 5", b"# tokens_total 5"])
def test_a_text_without_the_metrics_is_refused(text: bytes) -> None:
    with pytest.raises(ExpositionError, match="none of the server's metrics"):
        read_exposition(text, NAMES)


@pytest.mark.parametrize(
    "text", [b"tokens_total\xff 5", b"tokens_total {{{ 5", b'tokens_total{a="b 5', b"tokens_total x"]
)
def test_a_garbled_line_is_refused(text: bytes) -> None:
    with pytest.raises(ExpositionError):
        read_exposition(text, NAMES)


def test_labels_are_shortened_and_freed_of_control_characters() -> None:
    text = 'tokens_total{model="a\x1b[31m"} 1\ntokens_total{model="' + "x" * 500 + '"} 2\ntokens_total{model="ok"} 3'
    reading = read_exposition(text.encode(), NAMES)
    assert list(reading.models) == ["a?[31m", "x" * (LONGEST_LABEL - 1) + "…", "ok"]
    assert reading.shortened == 2


def test_too_many_series_or_models_are_refused() -> None:
    lines = [f'tokens_total{{model="{n % 5}",n="{n}"}} 1' for n in range(MOST_SERIES + 1)]
    with pytest.raises(ExpositionError, match="more than 10000 series"):
        read_exposition("\n".join(lines).encode(), NAMES)
    lines = [f'tokens_total{{model="{n}"}} 1' for n in range(MOST_MODELS + 1)]
    with pytest.raises(ExpositionError, match="more than 1000 models"):
        read_exposition("\n".join(lines).encode(), NAMES)


def test_lines_of_other_metrics_are_not_parsed() -> None:
    text = b"unparsable {{{\n" * 1000 + b"tokens_total 5\n"
    assert read_exposition(text, NAMES) == ServerReading({"": {"output_tokens": 5.0}})


FIXTURES = Path(__file__).parents[2] / "fixtures/serving"


def test_a_real_vllm_server_under_load_is_read() -> None:
    reading = read_exposition((FIXTURES / "vllm/metrics_load.txt").read_bytes(), VLLM)
    assert reading.models["smollm2"] == pytest.approx(
        {
            "input_tokens": 546,
            "output_tokens": 398,
            "requests": 15,
            "errors": 0,
            "running": 4,
            "waiting": 1,
            "duration": 17.46787428855896,
            "prefill": 1.4456068970030174,
            "decode": 15.694282673000998,
        }
    )


def test_a_real_llama_server_is_read_with_the_tokens_of_its_cache() -> None:
    names = KINDS["llamacpp"]
    load = read_exposition((FIXTURES / "llama-server/metrics_load.txt").read_bytes(), names, "smollm2")
    after = read_exposition((FIXTURES / "llama-server/metrics_after.txt").read_bytes(), names, "smollm2")
    assert (load.models["smollm2"]["running"], load.models["smollm2"]["waiting"]) == (4, 1)
    assert after.models["smollm2"] == pytest.approx(
        {
            "input_tokens": 83 + 531,
            "output_tokens": 1297,
            "running": 0,
            "waiting": 0,
            "prefill": 2.38721,
            "decode": 93.3043,
        }
    )


def test_the_increments_of_a_real_server_are_those_between_two_scrapes() -> None:
    counters = ServerCounters()
    for name in ("load", "after"):
        reading = read_exposition((FIXTURES / f"vllm/metrics_{name}.txt").read_bytes(), VLLM)
        step = counters.advance(reading)
    assert step.total("output_tokens") == 1345 - 398
    assert step.total("requests") == 5
    assert step.total("running") == 0


def test_a_sum_is_that_of_its_metrics_as_far_as_they_exist() -> None:
    names = MetricNames(input_tokens=("a+b",))
    assert read_exposition(b"a 3\nb 4", names).models[""] == {"input_tokens": 7.0}
    assert read_exposition(b"a 3", names).models[""] == {"input_tokens": 3.0}
    with pytest.raises(ExpositionError):
        read_exposition(b"b 3", names)
