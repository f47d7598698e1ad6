"""The real result of each tool: recognized by its content, with figures equal to the tool's own where defined alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.imports.files import read_file
from agent.imports.records import ResultError, TimeRange
from agent.imports.registry import TOOLS, tool_of
from agent.imports.windows import PlacedRun, windows_of
from agent.profiling.analysis.serving import latencies, load_of, serving_figures, times_to_first_token
from agent.profiling.analysis.statistics import summarize_latencies
from agent.profiling.tool_records import ToolFigure
from result_files import AIPERF, AIPERF_SUMMARY, GUIDELLM, LIFECYCLES, LLAMA_BENCH, REPORT, RESULTS, VLLM, only_run

if TYPE_CHECKING:
    from pathlib import Path

    from agent.imports.records import ToolRun
    from agent.profiling.analysis.serving import PointLoad
    from agent.profiling.run_facts import LatencySummary
    from store.records import Window

NAMES = {
    VLLM: "vllm-bench",
    GUIDELLM: "guidellm",
    AIPERF: "aiperf",
    AIPERF_SUMMARY: "aiperf",
    REPORT: "inference-perf",
    LIFECYCLES: "inference-perf",
    LLAMA_BENCH: "llama-bench",
    RESULTS / "llama-bench/llama-bench.jsonl": "llama-bench",
}


def derived(run: ToolRun) -> tuple[Window, PointLoad]:
    """Return the window of a run and the load derived from it."""
    (window,) = windows_of([PlacedRun(run, TimeRange(10**18, 10**18))], "run")
    load = load_of([(window,)])
    assert load is not None
    return window, load


def assert_equal(found: LatencySummary | None, own: ToolFigure, *names: str) -> None:
    assert found is not None
    assert [getattr(found, name) for name in names] == pytest.approx([getattr(own, name) for name in names])


def time_per_token(load: PointLoad) -> LatencySummary | None:
    return serving_figures(load).time_per_output_token_seconds


@pytest.mark.parametrize("path", NAMES, ids=lambda path: path.name)
def test_every_result_is_recognized_by_its_content_alone(path: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "x"
    renamed.write_bytes(path.read_bytes())
    file = read_file(renamed)
    assert [tool.name for tool in TOOLS if tool.recognizes(file)] == [NAMES[path]]


def test_a_file_of_no_tool_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"a": 1}')
    with pytest.raises(ResultError, match=r"other\.json: this is not a result of vllm-bench, guidellm, aiperf"):
        tool_of([read_file(other)])


def test_the_figures_of_guidellm_are_equal_where_defined_alike() -> None:
    run = only_run(GUIDELLM)
    window, load = derived(run)
    own = run.figures
    assert_equal(latencies(load), own["request_latency_seconds"], "mean")
    assert_equal(times_to_first_token(load), own["time_to_first_token_seconds"], "mean")
    assert_equal(time_per_token(load), own["inter_token_latency_seconds"], "mean")  # its ITL is our TPOT
    assert own["time_per_output_token_seconds"].mean == pytest.approx(0.08781288557)
    assert window.work / window.seconds == pytest.approx(own["requests_per_second"].mean)
    assert window.output_tokens / window.seconds == pytest.approx(own["output_tokens_per_second"].mean)
    assert window.input_tokens / window.seconds == pytest.approx(own["input_tokens_per_second"].mean)
    assert (run.model, run.arrivals, dict(run.parameters)) == ("smollm2", "closed", {"concurrency": 2})


def test_the_figures_of_vllm_are_equal_where_defined_alike() -> None:
    run = only_run(VLLM)
    window, load = derived(run)
    own = run.figures
    assert_equal(latencies(load), own["request_latency_seconds"], "mean", "p50")
    assert_equal(times_to_first_token(load), own["time_to_first_token_seconds"], "mean", "p50")
    assert_equal(time_per_token(load), own["time_per_output_token_seconds"], "mean", "p50")
    assert window.work / window.seconds == pytest.approx(own["requests_per_second"].mean)
    assert window.output_tokens / window.seconds == pytest.approx(own["output_tokens_per_second"].mean)
    # 17 gaps for 16 tokens: the chunk of the role, and that of the finish reason
    mean = own["time_per_output_token_seconds"].mean
    assert summarize_latencies(window.step_seconds).mean == pytest.approx(mean)
    assert len(window.step_seconds) == 30 * 17


def test_the_figures_of_aiperf_are_equal_where_defined_alike() -> None:
    run = only_run(AIPERF, AIPERF_SUMMARY)
    window, load = derived(run)
    own = run.figures
    assert_equal(times_to_first_token(load), own["time_to_first_token_seconds"], "mean", "p50", "p90")
    assert_equal(time_per_token(load), own["inter_token_latency_seconds"], "mean", "p50", "p90")
    steps = summarize_latencies(window.step_seconds)
    assert_equal(steps, own["inter_chunk_latency_seconds"], "mean", "p50", "p90", "p95", "p99")
    assert window.input_tokens == 1860
    assert window.output_tokens == 480
    # the tool's latency ends with the last text, ours with the stream
    assert latencies(load).mean == pytest.approx(own["request_latency_seconds"].mean, rel=1e-3)
    assert latencies(load).mean > (own["request_latency_seconds"].mean or 0)
    assert (run.version, run.model) == ("0.13.0", "smollm2")


def test_the_figures_of_inference_perf_are_equal_where_defined_alike() -> None:
    run = only_run(LIFECYCLES, REPORT)
    window, load = derived(run)
    own = run.figures
    assert_equal(latencies(load), own["request_latency_seconds"], "mean", "p50")
    assert_equal(times_to_first_token(load), own["time_to_first_token_seconds"], "mean", "p50")
    assert_equal(time_per_token(load), own["time_per_output_token_seconds"], "p50")  # two texts of 14 and 15 tokens
    assert window.work / window.seconds == pytest.approx(own["requests_per_second"].mean)
    assert window.input_tokens / window.seconds == pytest.approx(own["input_tokens_per_second"].mean)
    figures = serving_figures(load)
    assert (figures.requests, figures.completed, figures.errors) == (30, 27, {"ServerDisconnectedError": 3})


def test_the_figures_of_llama_bench_are_its_repetitions() -> None:
    (prefill, decode, both) = tool_of([read_file(LLAMA_BENCH)]).runs([read_file(LLAMA_BENCH)], None)
    assert prefill.repetitions == (0.354409393, 0.350605961, 0.356109133)
    assert (prefill.input_tokens, prefill.output_tokens) == (192, 0)
    assert (decode.input_tokens, decode.output_tokens) == (0, 48)
    assert (both.input_tokens, both.output_tokens) == (192, 48)
    rate = sum(64 / each for each in prefill.repetitions) / 3
    assert prefill.figures["total_tokens_per_second"].mean == pytest.approx(rate)


def test_a_tool_reports_no_figure_that_it_has_not() -> None:
    assert only_run(VLLM).figures["request_latency_seconds"] == ToolFigure(
        mean=pytest.approx(1.84259625), p50=pytest.approx(1.94430617), p99=pytest.approx(2.09060043)
    )
