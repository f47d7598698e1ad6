import gc
import time

import pytest

from agent.workloads.runner.timing import Phase, measure


def sleeping(milliseconds, **counts):
    return Phase(lambda _steps: time.sleep(milliseconds / 1000), **counts)


def test_a_window_lasts_the_requested_time_even_if_the_iterations_are_done():
    measured = measure("inference", sleeping(2, inferences=3), seconds=0.05, iterations=1)
    assert measured.end_ns - measured.start_ns >= 50_000_000
    assert measured.iterations > 1


def test_a_window_has_the_requested_iterations_even_if_the_time_is_over():
    measured = measure("inference", sleeping(2, inferences=1), seconds=0.0, iterations=7)
    assert measured.iterations == 7


@pytest.mark.parametrize("iterations", [0, -3])
def test_a_window_has_at_least_one_iteration(iterations):
    assert measure("inference", sleeping(0, inferences=1), seconds=0.0, iterations=iterations).iterations == 1


def test_the_counts_of_a_window_are_the_counts_of_one_iteration_times_the_iterations():
    work = sleeping(0, inferences=3, input_tokens=30, output_tokens=21)
    measured = measure("prefill", work, seconds=0.0, iterations=5)
    assert (measured.inferences, measured.input_tokens, measured.output_tokens) == (15, 150, 105)
    assert measured.phase == "prefill"


def test_each_iteration_has_one_latency_and_they_add_up_to_the_window():
    measured = measure("inference", sleeping(1, inferences=1), seconds=0.02, iterations=4)
    assert len(measured.latencies_seconds) == measured.iterations
    assert min(measured.latencies_seconds) >= 0.001
    assert sum(measured.latencies_seconds) == pytest.approx((measured.end_ns - measured.start_ns) / 1e9, abs=1e-9)


def test_the_window_contains_only_the_iterations_on_the_monotonic_clock():
    seen = []
    before = time.monotonic_ns()
    measured = measure("inference", Phase(lambda _: seen.append(time.monotonic_ns()), 1), seconds=0.0, iterations=3)
    after = time.monotonic_ns()
    assert before <= measured.start_ns <= seen[0]
    assert seen[-1] <= measured.end_ns <= after


def test_the_steps_of_all_iterations_are_reported_in_seconds():
    measured = measure("decode", Phase(lambda steps: steps.extend([1_000, 2_000_000]), 1), seconds=0.0, iterations=2)
    assert measured.step_seconds == (1e-6, 2e-3, 1e-6, 2e-3)


def test_garbage_collection_pauses_during_a_window_and_resumes_even_after_a_failure():
    enabled = []
    measure("inference", Phase(lambda _: enabled.append(gc.isenabled()), 1), seconds=0.0, iterations=2)
    assert enabled == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        measure("inference", Phase(lambda _: 1 // 0, 1), seconds=0.0, iterations=2)
    assert gc.isenabled()
