"""The table of the metrics of inference servers: one row per kind of server.

A name may have one label: `name{label="value"}`; then only series with this value count. `a+b` is the sum of two
metrics, or `a` alone if the server has no `b`. The first name that a server exports counts. Sources, read in 2026: the
source code of vLLM (`vllm/v1/metrics/loggers.py`), SGLang (`observability/metrics_collector.py`), Text Generation
Inference, Text Embeddings Inference (`metrics::counter!` in `router` and `core`), llama.cpp (`tools/server`) and
TensorRT-LLM (`MetricsCollector`), and the metrics page of Triton Inference Server. Ollama exports no metrics in any
release.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GENERIC = "generic"
"""The kind without metrics of its own: the settings name them."""

SUM = "+"
"""The sign between metrics that are added."""

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricNames:
    """The names of a server's metrics, empty if it has none for a quantity.

    `requests` counts ended requests, `arrivals` received ones. `running` and `waiting` are gauges of requests.
    `duration`, `prefill` and `decode` are counters of request time in units of `time_unit_seconds`. `counts_every_end`
    states that `requests` includes those that failed or were aborted, so that arrivals follow from it and the gauges.
    """

    input_tokens: Names = ()
    output_tokens: Names = ()
    requests: Names = ()
    arrivals: Names = ()
    errors: Names = ()
    running: Names = ()
    waiting: Names = ()
    duration: Names = ()
    prefill: Names = ()
    decode: Names = ()
    model_labels: Names = ()
    time_unit_seconds: float = 1.0
    counts_every_end: bool = False


_SETTINGS = {"model_labels", "time_unit_seconds", "counts_every_end"}
QUANTITIES = tuple(each.name for each in fields(MetricNames) if each.name not in _SETTINGS)
"""The quantities that a server may report."""


def _sglang(name: str) -> Names:
    return f"sglang:{name}", f"sglang_{name}"


KINDS: Mapping[str, MetricNames] = {
    "vllm": MetricNames(
        input_tokens=("vllm:prompt_tokens_total",),
        output_tokens=("vllm:generation_tokens_total",),
        requests=("vllm:request_success_total",),
        errors=('vllm:request_success_total{finished_reason="error"}',),
        running=("vllm:num_requests_running",),
        waiting=("vllm:num_requests_waiting",),
        duration=("vllm:e2e_request_latency_seconds_sum",),
        prefill=("vllm:request_prefill_time_seconds_sum",),
        decode=("vllm:request_decode_time_seconds_sum",),
        model_labels=("model_name",),
        counts_every_end=True,
    ),
    "sglang": MetricNames(
        input_tokens=_sglang("prompt_tokens_total"),
        output_tokens=_sglang("generation_tokens_total"),
        requests=_sglang("num_requests_total"),
        errors=_sglang("num_aborted_requests_total"),
        running=_sglang("num_running_reqs"),
        waiting=_sglang("num_queue_reqs"),
        duration=_sglang("e2e_request_latency_seconds_sum"),
        model_labels=("model_name",),
    ),
    "tgi": MetricNames(
        input_tokens=("tgi_request_input_length_sum",),
        output_tokens=("tgi_request_generated_tokens_sum",),
        requests=("tgi_request_success", "tgi_request_success_total"),
        arrivals=("tgi_request_count", "tgi_request_count_total"),
        errors=("tgi_request_failure", "tgi_request_failure_total"),
        running=("tgi_batch_current_size",),
        waiting=("tgi_queue_size",),
        duration=("tgi_request_duration_sum",),
    ),
    "llamacpp": MetricNames(
        input_tokens=("llamacpp:prompt_tokens_total+llamacpp:prompt_tokens_cached_total",),
        output_tokens=("llamacpp:tokens_predicted_total",),
        running=("llamacpp:requests_processing",),
        waiting=("llamacpp:requests_deferred",),
        prefill=("llamacpp:prompt_seconds_total",),
        decode=("llamacpp:tokens_predicted_seconds_total",),
    ),
    "triton": MetricNames(
        input_tokens=("nv_llm_input_token_len_sum",),
        output_tokens=("nv_llm_output_token_len_sum",),
        requests=("nv_inference_request_success",),
        errors=("nv_inference_request_failure",),
        running=('nv_trt_llm_request_metrics{request_type="active"}',),
        waiting=("nv_inference_pending_request_count",),
        duration=("nv_inference_request_duration_us",),
        model_labels=("model",),
        time_unit_seconds=1e-6,
    ),
    "tensorrt-llm": MetricNames(
        input_tokens=("trtllm_prompt_tokens_total",),
        output_tokens=("trtllm_generation_tokens_total",),
        requests=("trtllm_request_success_total",),
        errors=("trtllm_request_error_total",),
        running=("trtllm_num_requests_running",),
        waiting=("trtllm_num_requests_waiting",),
        duration=("trtllm_e2e_request_latency_seconds_sum",),
        prefill=("trtllm_request_prefill_time_seconds_sum",),
        decode=("trtllm_request_decode_time_seconds_sum",),
        model_labels=("model_name",),
    ),
    "tei": MetricNames(
        input_tokens=("te_request_input_length_sum",),
        requests=("te_request_success", "te_request_success_total"),
        arrivals=("te_request_count", "te_request_count_total"),
        errors=("te_request_failure", "te_request_failure_total"),
        waiting=("te_queue_size",),
        duration=("te_request_duration_sum",),
    ),
    GENERIC: MetricNames(model_labels=("model_name", "model")),
}
