"""The client's view of a load, exact on requests made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.bounds import Energy
from agent.energy.window import WindowEnergy
from agent.profiling.analysis.metrics import SensorWindows
from agent.profiling.analysis.request_times import request_times
from agent.profiling.analysis.serving import (
    latencies,
    load_of,
    serving_figures,
    times_to_first_token,
    widen_edges,
)
from agent.profiling.serving_records import Lengths, ServiceLevel
from agent.workloads.load_records import LoadTotals
from loads import CLIENT, load_window, report, request, streamed
from synthetic_run import PACKAGE, window

TEN = [streamed(0.5 * number, 0.1 + 0.01 * number, 0.02, late=0.001) for number in range(10)]


def point(*reports, seconds=10.0):
    windows = [load_window(number, 20 * number, 20 * number + seconds, each) for number, each in enumerate(reports, 1)]
    return load_of((each,) for each in windows)


def test_windows_of_a_model_have_no_load():
    assert load_of([(window(1, 0, 1),)]) is None


def test_every_figure_of_ten_streamed_requests():
    found = serving_figures(point(report(TEN), report(TEN)))
    assert (found.arrivals, found.requests, found.completed, found.retries) == ("poisson", 20, 20, 0)
    assert (found.errors, found.finish_reasons) == ({}, {"stop": 20})
    assert found.input_tokens == Lengths(100.0, 100, 100)
    assert found.output_tokens == Lengths(11.0, 11, 11)
    assert found.time_per_output_token_seconds.count == 20
    assert found.time_per_output_token_seconds.p50 == pytest.approx(0.02)
    assert found.send_lag_p99_seconds == pytest.approx(0.001)
    assert found.client_cpus == pytest.approx(0.02)
    assert found.loop_lag_p99_seconds == 0.001
    assert (found.token_source, found.goodput, found.cached_input_tokens_per_second) == ("usage", None, None)


def test_latencies_start_at_the_intended_send():
    load = point(report(TEN))
    first = times_to_first_token(load)
    assert (first.count, first.minimum, first.maximum) == (10, pytest.approx(0.1), pytest.approx(0.19))
    assert latencies(load).mean == pytest.approx(0.145 + 0.2)


def test_errors_and_retries_are_counted_and_have_no_latency():
    failed = [request(1, 1.001, outcome="http 500", attempts=3), request(2, 9, outcome="connection")]
    found = serving_figures(point(report([*TEN, *failed, request(3, 3.1, attempts=2)])))
    assert (found.requests, found.completed) == (13, 11)
    assert found.errors == {"http 500": 1, "connection": 1}
    assert found.retries == 3
    assert latencies(point(report([*TEN, *failed]))) == latencies(point(report(TEN)))


def test_a_time_out_of_an_open_loop_counts_at_its_limit():
    late = [request(1, 61, outcome="timeout"), request(2, 62, 2.5, 61.0, outcome="timeout")]
    load = point(report([*TEN, *late]))
    assert (latencies(load).count, latencies(load).maximum) == (12, 60.0)
    first = times_to_first_token(load)
    assert (first.count, first.maximum) == (12, 60.0)
    assert first.p50 == pytest.approx(0.155)  # the second had its first token after half a second


def test_a_time_out_of_a_closed_loop_is_an_error_alone():
    load = point(report([*TEN, request(1, 61, 1.5, 2.0, outcome="timeout")], "closed"))
    assert (latencies(load).count, times_to_first_token(load).count) == (10, 10)
    assert serving_figures(load).errors == {"timeout": 1}


def test_without_streaming_there_is_no_time_to_the_first_token():
    load = point(report([request(0, 1), request(1, 2)]))
    assert times_to_first_token(load) is None
    assert serving_figures(load).time_per_output_token_seconds is None
    times = request_times([(each,) for each in load.windows], load)
    assert (times.first_token, times.latency.p50, times.mean_seconds.mean) == (None, 1.0, 1.0)


def test_requests_that_were_not_sent_have_no_lateness():
    unsent = request(1, 10, outcome="unsent", late=9.0)
    assert serving_figures(point(report([*TEN, unsent]))).send_lag_p99_seconds == pytest.approx(0.001)
    assert serving_figures(point(report([unsent]))).send_lag_p99_seconds is None


def test_cached_input_is_a_rate_and_unknown_counts_are_left_out():
    known = streamed(0, 0.1, 0.01, cached=60)
    blank = request(1, 2, tokens=(None, None))
    load = point(report([known, known, blank]))
    found = serving_figures(load)
    assert found.cached_input_tokens_per_second == pytest.approx(12)
    assert (found.input_tokens.mean, found.output_tokens.maximum) == (100, 11)
    assert load.without_counts == 1
    assert point(report([request(0, 1, tokens=(5, None))])).without_counts == 0  # an embedding has no output
    assert serving_figures(point(report([blank]))).input_tokens is None


def test_a_level_adds_goodput_and_the_worst_window_is_the_event_loop_s():
    slow = replace_client(report(TEN), 0.5)
    found = serving_figures(point(report(TEN), slow), ServiceLevel(0.5, e2e_seconds=1.0))
    assert found.goodput.requests_per_second == pytest.approx(1.0)
    assert found.loop_lag_p99_seconds == 0.5


def replace_client(load, lag):
    client = type(CLIENT)(CLIENT.cpu_seconds, CLIENT.cpus, lag, lag)
    return report(load.requests, client=client)


def sensor(count=1):
    energy = WindowEnergy(PACKAGE, Energy(100.0, 90.0, 120.0), "counter", 10.0, None, 10, 0.1)
    return (SensorWindows(PACKAGE, ((energy,),) * count),)


def test_without_streaming_the_energy_is_uncertain_by_the_requests_at_the_edges():
    load = point(report([request(number, number + 1) for number in range(10)], in_flight=(2, 3)))
    (found,) = widen_edges(sensor(), load)
    energy = found.windows[0][0].energy
    assert (energy.joules, energy.lower, energy.upper) == (100.0, pytest.approx(60), pytest.approx(180))


def test_the_requests_at_the_edges_are_related_to_the_total_without_single_requests():
    load = point(report([], in_flight=(0, 5), totals=LoadTotals(12, 10, 1.0)))
    (found,) = widen_edges(sensor(), load)
    energy = found.windows[0][0].energy
    assert (energy.lower, energy.upper) == (pytest.approx(60), pytest.approx(180))


def test_with_streaming_tokens_have_their_own_times_and_nothing_is_widened():
    assert widen_edges(sensor(), point(report(TEN, in_flight=(2, 3)))) == sensor()


def test_an_unknown_energy_stays_unknown():
    (reading,) = sensor()
    unknown = replace(reading, windows=((replace(reading.windows[0][0], energy=None),),))
    (found,) = widen_edges([unknown], point(report([request(0, 1)], in_flight=(1, 1))))
    assert found.windows[0][0].energy is None
