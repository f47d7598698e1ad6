"""Points of a load on a server, worked out by hand from windows, requests and samples with round numbers."""

from __future__ import annotations

from dataclasses import replace

from pytest import approx  # noqa: PT013  stands in almost every line

from agent.cost.tariff import Tariff
from agent.host.records import HostLoad, RunEnvironment, window_key
from agent.profiling.points import analyze
from agent.profiling.serving_records import ServiceLevel
from agent.runtime.typed_json import to_json
from agent.workloads.load_records import LoadTotals
from loads import load_window, report, request, streamed
from synthetic_run import PACKAGE, idle, power_steps, read, sensors

LOADED = [idle("idle_loaded", 0.5, 2.5), idle("idle_loaded", 27, 29, side=1)]
SERIES = read(PACKAGE, power_steps((50, 4), (100, 21), (50, 10)), 31)
"""W and s: the idle server, the load, the idle server."""
LOAD = report([streamed(0.5 * number, 0.1, 0.02, tokens=(100, 11)) for number in range(10)], in_flight=(1, 2))


def loaded(load=LOAD, **facts):
    """Three windows of 6 s at 100 W."""
    return [load_window(number, start, start + 6, load, **facts) for number, start in enumerate((5, 11, 17), 1)]


def only_point(windows, tariff=None, environment=None, level=None):
    (point,) = analyze(
        [LOADED[0], *windows, LOADED[1]], sensors(SERIES), tariff, environment or RunEnvironment(), level
    )
    return point


def test_energy_is_divided_by_the_parts_of_requests_in_the_window():
    point = only_point(loaded(work=9.5, steps=(0.02,) * 100))
    assert point.valid
    assert point.parameters == {"rate": 2.0}
    energy = point.energy
    assert energy.joules_per_inference.total.mean == approx(600 / 9.5)
    assert energy.joules_per_output_token.mean == approx(600 / 110)
    assert energy.joules_per_input_token.mean == approx(600 / 1000)
    assert energy.joules_per_total_token.mean == approx(600 / 1110)
    assert (energy.joules_per_inference.idle, energy.joules_per_inference.dynamic) == (None, None)
    assert point.inferences_per_second.mean == approx(9.5 / 6)
    assert point.output_tokens_per_second.mean == approx(110 / 6)
    assert (point.input_tokens_per_inference, point.output_tokens_per_inference) == (100, 11)
    assert point.power.mean_watts.mean == approx(100)
    assert point.time_to_first_token_seconds.p50 == approx(0.1)
    assert point.inter_token_latency_seconds.p50 == approx(0.02)
    assert point.latency_seconds.mean == point.mean_latency_seconds.mean == approx(0.3)
    (phase,) = point.phases
    assert (phase.phase, phase.iterations, phase.inferences) == ("serving", 30, 30)
    assert phase.latency_seconds == point.latency_seconds


def test_tokens_of_each_repeat_divide_its_own_energy():
    windows = [
        load_window(number, 6 * number - 1, 6 * number + 5, LOAD, tokens=(0, 100 * number)) for number in (1, 2, 3)
    ]
    point = only_point(windows)
    assert point.energy.joules_per_output_token.mean == approx((6 + 3 + 2) / 3)
    assert point.energy.joules_per_input_token is None
    assert point.output_tokens_per_second.mean == approx(200 / 6)


def test_without_streaming_energy_is_uncertain_by_the_cut_requests_and_power_is_not():
    whole = report([request(0.5 * number, 0.5 * number + 0.4) for number in range(10)], in_flight=(1, 1))
    point = only_point(loaded(whole))
    total, watts = point.energy.joules_per_inference.total, point.power.mean_watts
    assert total.mean == approx(60)
    assert (total.lower, total.upper) == (approx(60 / 1.2, rel=0.01), approx(60 * 1.2, rel=0.01))
    assert (watts.lower, watts.upper) == (approx(100, rel=0.01), approx(100, rel=0.01))


def test_the_cost_of_idle_time_uses_the_loaded_idle_power():
    tariff = Tariff(price_per_kwh=3.6, utilization=0.5, pue=1.0)
    point = only_point(loaded(), tariff)
    joules = 60 + 50 * 0.6  # an inference takes 0.6 s, and as long again is idle
    assert point.cost.allocation.per_inference.energy.mean == approx(joules * 1e-6)
    assert "idle_watts" not in {each.name for each in point.cost.missing}


def test_the_load_of_others_leaves_the_loaded_idle_power_out_if_no_other_is_known():
    busy, quiet = (HostLoad(6.0, 4, 9.0, others, 0.0, 0.0, None) for others in (3.0, 0.0))
    windows = loaded()
    loads = {window_key(window): busy for window in windows} | {window_key(window): quiet for window in LOADED}
    total = only_point(windows, environment=RunEnvironment(loads=loads)).energy.joules_per_inference.total
    assert total.lower == approx((600 - 0.25 * 300) / 10, rel=0.01)
    assert total.upper == approx(60, rel=0.01)


def test_requests_without_token_counts_have_no_lengths():
    blank = report([request(0.5 * number, 0.5 * number + 0.4, tokens=(None, None)) for number in range(10)])
    point = only_point(loaded(blank))
    assert (point.input_tokens_per_inference, point.output_tokens_per_inference) == (None, None)
    assert point.energy.joules_per_total_token is None


def test_totals_of_a_load_give_rates_and_energy_and_no_percentiles():
    totals = replace(load_window(1, 0, 1, report([], totals=LoadTotals(12, 10, 0.4))), inferences=10)
    windows = [
        replace(window, load=totals.load, inferences=10, requests_in_window=10.0, input_tokens=1000, output_tokens=110)
        for window in loaded()
    ]
    point = only_point(windows)
    assert (point.serving.requests, point.serving.completed, point.serving.errors) == (36, 30, {"failed": 6})
    assert (point.input_tokens_per_inference, point.output_tokens_per_inference) == (100, 11)
    assert point.mean_latency_seconds.mean == approx(0.4)
    assert (point.latency_seconds, point.time_to_first_token_seconds, point.phases) == (None, None, ())
    assert point.output_tokens_per_second.mean == approx(110 / 6)


def test_a_level_gives_a_load_its_goodput():
    serving = only_point(loaded(), level=ServiceLevel(0.9, e2e_seconds=0.4)).serving
    assert (serving.requests, serving.completed, serving.goodput.met) == (30, 30, True)
    assert serving.goodput.requests_per_second == approx(30 / 18)


def test_the_cost_at_a_met_level_is_that_of_the_requests_that_met_it():
    tariff = Tariff(price_per_kwh=3.6, capital=100.0, pue=1.0)
    slow = streamed(4.9, 2.0, 0.02)
    load = report([*LOAD.requests[:9], slow])
    plain, priced = (
        only_point(loaded(load), tariff, level=level) for level in (None, ServiceLevel(0.5, e2e_seconds=1.0))
    )
    assert (priced.serving.goodput.met, priced.serving.goodput.attained) == (True, 0.9)
    for part in ("energy", "capital"):
        whole, met = (getattr(point.cost.usage.per_inference, part).mean for point in (plain, priced))
        assert met == approx(whole / 0.9)
    missed = only_point(loaded(load), tariff, level=ServiceLevel(0.99, e2e_seconds=1.0))
    assert missed.cost == plain.cost


def test_a_window_without_a_success_is_not_a_repeat():
    failed = load_window(4, 23, 24, report([request(0.1, 0.2, outcome="http 500")]), work=0.4)
    assert only_point([*loaded(), failed]).repeats == 3


def test_the_failures_of_a_window_without_a_success_count():
    dead = report([request(0.5 * number, 0.5 * number + 60, outcome="timeout") for number in range(10)])
    first, *others = loaded()
    point = only_point(
        [first, *(replace(window, load=to_json(dead), inferences=0) for window in others)],
        level=ServiceLevel(0.5, e2e_seconds=1.0),
    )
    assert (point.repeats, point.valid, point.energy) == (1, False, None)
    assert (point.serving.requests, point.serving.completed, point.serving.errors) == (30, 10, {"timeout": 20})
    assert (point.serving.goodput.met, point.serving.goodput.attained) == (False, 1 / 3)
    assert (point.latency_seconds.count, point.latency_seconds.maximum) == (30, 60.0)
    assert "requests_succeed" in {check.name for check in point.checks if check.failed}


def test_requests_that_overlap_need_not_add_up_to_the_window():
    point = only_point(loaded())
    assert "window_matches_iterations" not in {check.name for check in point.checks}
    assert {check.name for check in point.checks} >= {"sends_on_time", "server_elsewhere", "no_errors"}


def test_a_load_that_shows_no_energy_here_has_none():
    silent = read(PACKAGE, power_steps((50, 40)), 31)
    windows = [LOADED[0], *loaded(), LOADED[1]]
    (point,) = analyze(windows, sensors(silent), None)
    assert not point.valid
    assert [check.name for check in point.checks if check.failed and check.severity == "invalid"] == [
        "server_elsewhere"
    ]
    assert (point.energy, point.serving.completed) == (None, 30)
