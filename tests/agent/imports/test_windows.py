"""Windows made from runs, worked out by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent.imports.records import TimeRange, ToolRun
from agent.imports.uncertain_time import UncertainTimeEnergy
from agent.imports.windows import PlacedRun, distinguished, windows_of
from agent.profiling.analysis.serving import load_of
from agent.workloads.load_records import LoadTotals
from loads import request
from result_files import AIPERF, GUIDELLM, VLLM, only_run, runs_of, written
from simulated import SECOND
from synthetic_run import PACKAGE, power_steps, read

if TYPE_CHECKING:
    from pathlib import Path

    from store.records import Window

TWO_SECONDS = 2 * SECOND


def run_of(*requests: Any, **facts: Any) -> ToolRun:
    values = {"parameters": {"concurrency": 1}, "start": TimeRange(0, 0), "duration_ns": 10 * SECOND, "figures": {}}
    return ToolRun(tool="t", version=None, file="f", model=None, requests=requests, **{**values, **facts})


def window_of(run: ToolRun) -> Window:
    (window,) = windows_of([PlacedRun(run, TimeRange(5 * SECOND, 7 * SECOND))], "run")
    return window


def test_a_window_lies_in_the_middle_of_the_possible_times() -> None:
    window = window_of(run_of(request(0, 4, 1, 3)))
    assert (window.start_ns, window.end_ns) == (6 * SECOND, 16 * SECOND)


def test_requests_at_the_edges_count_by_their_parts() -> None:
    before, after = request(-4, 4, -2, 2), request(8, 12, 9, 11)
    failed = request(1, 2, outcome="http 500", tokens=(None, None))
    window = window_of(run_of(before, request(2, 6, 3, 5), after, failed))
    assert window.work == pytest.approx(0.5 + 1 + 0.5)
    assert window.output_tokens == round(11 * 0.5 + 11 + 11 * 0.5)
    assert window.input_tokens == 200  # the first output of the first request came before the window
    assert (window.iterations, window.inferences) == (4, 3)
    load = load_of([(window,)])
    assert load is not None
    assert (load.reports[0].in_flight_start, load.reports[0].in_flight_end) == (1, 1)


def test_a_request_without_a_stream_counts_at_its_end() -> None:
    window = window_of(run_of(request(-5, 5), request(5, 15), request(3, 3)))
    assert (window.input_tokens, window.output_tokens) == (200, 22)
    assert window.work == pytest.approx(0.5 + 0.5 + 1)


def test_totals_are_the_work_of_a_run_without_requests() -> None:
    window = window_of(run_of(totals=LoadTotals(10, 8, 0.5), input_tokens=800, output_tokens=80))
    assert (window.work, window.input_tokens, window.output_tokens, window.iterations) == (8, 800, 80, 10)


def test_repetitions_are_iterations_without_a_load() -> None:
    window = window_of(run_of(repetitions=(5.0, 5.0), input_tokens=128, parameters={"prompt_tokens": 64}))
    assert (window.phase, window.load, window.latencies_seconds) == ("inference", None, (5.0, 5.0))
    assert (window.work, window.input_tokens) == (2, 128)


def test_equal_loads_are_repeats_and_other_loads_are_points() -> None:
    one, two = run_of(request(0, 4)), run_of(request(0, 4), parameters={"concurrency": 2})
    placed = [PlacedRun(each, TimeRange(0, 0)) for each in (one, two, one)]
    assert [(each.point, each.repeat) for each in windows_of(placed, "run")] == [
        ('{"concurrency":1}', 1),
        ('{"concurrency":2}', 1),
        ('{"concurrency":1}', 2),
    ]


def test_loads_of_other_lengths_are_points_and_have_them_in_their_names() -> None:
    short, alike, long = (run_of(request(0, 4, tokens=(count, 10))) for count in (100, 104, 200))
    assert [dict(each.parameters) for each in distinguished([short, alike])] == [{"concurrency": 1}] * 2
    named = [each.parameters["prompt_tokens"] for each in distinguished([short, long])]
    assert named == [100, 200]
    totals = run_of(totals=LoadTotals(10, 8, 0.5), input_tokens=800, output_tokens=80, parameters={})
    (only,) = distinguished([totals])
    assert dict(only.parameters) == {"prompt_tokens": 100, "output_tokens": 10}


def test_the_energy_of_an_uncertain_time_spans_every_possible_one() -> None:
    series = read(PACKAGE, power_steps((50, 4), (100, 4), (50, 10)), 18)
    window = (4 * SECOND, 8 * SECOND)
    exact = UncertainTimeEnergy(series, {}).between(*window).energy
    widened = UncertainTimeEnergy(series, {window: SECOND}).between(*window).energy
    assert exact is not None
    assert widened is not None
    assert widened.joules == exact.joules == pytest.approx(400)
    assert widened.lower == pytest.approx(200, abs=2)
    assert widened.upper == pytest.approx(500, abs=2)
    for shift in (-SECOND, 0, SECOND):
        possible = UncertainTimeEnergy(series, {}).between(window[0] + shift, window[1] + shift).energy
        assert possible is not None
        assert widened.lower <= possible.joules <= widened.upper


def test_a_time_more_uncertain_than_its_length_has_no_lower_bound() -> None:
    series = read(PACKAGE, power_steps((100, 20)), 18)
    window = (8 * SECOND, 9 * SECOND)
    energy = UncertainTimeEnergy(series, {window: TWO_SECONDS}).between(*window).energy
    assert energy is not None
    assert (energy.lower, energy.joules) == (0, pytest.approx(100))


def test_samples_that_do_not_reach_every_possible_time_give_no_energy() -> None:
    series = read(PACKAGE, power_steps((100, 20)), 9)
    window = (1 * SECOND, 8 * SECOND)
    assert UncertainTimeEnergy(series, {window: TWO_SECONDS}).between(*window).energy is None
    assert UncertainTimeEnergy(series, {(9 * SECOND, 19 * SECOND): 1}).between(9 * SECOND, 19 * SECOND).energy is None


def changed(path: Path, folder: Path, **values: Any) -> Path:
    result = json.loads(path.read_text())
    result.update(values)
    return written(folder, json.dumps(result), path.name)


def test_vllm_without_lists_of_requests_has_totals(tmp_path: Path) -> None:
    run = only_run(changed(VLLM, tmp_path, start_times=None, ttfts=None, latencies=[0.5, 1.5, 0.0], failed=2))
    assert run.totals == LoadTotals(32, 30, 1.0)
    run = only_run(changed(VLLM, tmp_path, start_times=None, latencies=None, failed=None, num_prompts=30))
    assert run.totals == LoadTotals(30, 30, pytest.approx(1.8425962586))
    with pytest.raises(ValueError, match="--save-detailed"):
        only_run(changed(VLLM, tmp_path, start_times=None, latencies=None, mean_e2el_ms=None))


@pytest.mark.parametrize(
    ("values", "parameters", "arrivals"),
    [
        ({"max_concurrency": None}, {"rate": "inf"}, "unknown"),
        ({"max_concurrency": None, "request_rate": 2.5}, {"rate": 2.5}, "unknown"),
        ({"max_concurrency": 8, "request_rate": 2.5}, {"concurrency": 8, "rate": 2.5}, "unknown"),
        ({}, {"concurrency": 2}, "closed"),
    ],
)
def test_the_load_of_vllm_names_its_point(tmp_path: Path, values: Any, parameters: Any, arrivals: str) -> None:
    run = only_run(changed(VLLM, tmp_path, **values))
    assert (dict(run.parameters), run.arrivals) == (parameters, arrivals)


def test_one_token_output_of_vllm_has_its_time_to_first_token(tmp_path: Path) -> None:
    result = json.loads(VLLM.read_text())
    result |= {"itls": [[], *result["itls"][1:]], "output_lens": [1, *result["output_lens"][1:]]}
    first, second, *_ = only_run(written(tmp_path, json.dumps(result))).requests
    assert first.time_to_first_token_seconds == pytest.approx(result["ttfts"][0], abs=1e-8)
    assert first.last_ns == first.first_ns
    assert first.time_per_output_token_seconds is None
    assert second.time_to_first_token_seconds == pytest.approx(result["ttfts"][1], abs=1e-8)
    unstreamed = {**result, "ttfts": [0.0, *result["ttfts"][1:]]}
    assert only_run(written(tmp_path, json.dumps(unstreamed))).requests[0].first_ns is None


def test_appended_results_of_vllm_are_runs_of_their_own(tmp_path: Path) -> None:
    line = VLLM.read_text().strip()
    assert len(runs_of(written(tmp_path, f"{line}\n{line}\n"))) == 2


@pytest.mark.parametrize(
    ("strategy", "parameters", "arrivals"),
    [
        ({"type_": "synchronous"}, {"concurrency": 1}, "closed"),
        ({"type_": "constant", "rate": 2.0}, {"rate": 2.0}, "constant"),
        ({"type_": "poisson", "rate": 0.5}, {"rate": 0.5}, "poisson"),
        ({"type_": "throughput"}, {"strategy": "throughput"}, "unknown"),
    ],
)
def test_the_strategy_of_guidellm_names_its_point(
    tmp_path: Path, strategy: Any, parameters: Any, arrivals: str
) -> None:
    result = json.loads(GUIDELLM.read_text())
    result["benchmarks"][0]["config"]["strategy"] = strategy
    run = only_run(written(tmp_path, json.dumps(result)))
    assert (dict(run.parameters), run.arrivals) == (parameters, arrivals)
    lags = [each.sent_ns - each.intended_ns for each in run.requests]
    assert (max(lags) > 0) == (arrivals in {"constant", "poisson"})
    assert min(lags) >= 0


def test_a_sample_of_guidellms_requests_has_totals(tmp_path: Path) -> None:
    result = json.loads(GUIDELLM.read_text())
    del result["benchmarks"][0]["requests"]["successful"][5:]
    run = only_run(written(tmp_path, json.dumps(result)))
    assert (run.requests, run.totals) == ((), LoadTotals(30, 30, pytest.approx(1.4065259138743083)))
    assert (run.input_tokens, run.output_tokens) == (1860, 480)


def test_requests_of_aiperf_without_a_summary_have_their_own_figures_only() -> None:
    run = only_run(AIPERF)
    assert (dict(run.parameters), dict(run.figures), run.version, run.arrivals) == ({}, {}, None, "unknown")


def test_the_warm_up_of_aiperf_does_not_count(tmp_path: Path) -> None:
    lines = AIPERF.read_text().splitlines()
    lines[0] = lines[0].replace('"benchmark_phase":"profiling"', '"benchmark_phase":"warmup"')
    lines[1] = lines[1].replace('"was_cancelled":false', '"was_cancelled":true')
    run = only_run(written(tmp_path, "\n".join(lines)))
    assert (len(run.requests), run.in_flight_end) == (28, 1)
