"""The search finds the highest sustainable rate of a queue whose capacity is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.profiling.rate_driver import MOST_CONFIRMATIONS, MOST_WINDOWS, RateSearch
from agent.profiling.rate_search import (
    FIRST_RATE,
    LOWEST_SHARE,
    RESOLUTION,
    at_rate,
    highest_met,
    lowest_missed,
    next_rate,
    rate_to_confirm,
    search_axes,
    trial_seconds,
    verdict,
)
from agent.profiling.serving_records import RateTrial, ServiceLevel
from loads import report, request, streamed
from simulated_server import QueueServer, constant, exponential

NINETY = ServiceLevel(0.9, e2e_seconds=0.2)


def trial(rate, outcome):
    return RateTrial(rate, outcome, 100, 0.5, 0.4, "")


def searched(server, level, first=1.0, shortest=5.0):
    search = RateSearch(level, first, shortest, server.measure, server.confirm, lambda _: None)
    search.run()
    return search


# --- the steps ------------------------------------------------------------------------------------------------------


def test_rates_double_until_one_is_not_met_then_the_bracket_is_halved():
    trials = []
    seen = []
    while (rate := next_rate(trials, 3.0)) is not None:
        seen.append(rate)
        trials.append(trial(rate, "met" if rate <= 17 else "missed"))
    assert seen[:4] == [3, 6, 12, 24]
    assert highest_met(trials) <= 17 < lowest_missed(trials)
    assert lowest_missed(trials) / highest_met(trials) <= RESOLUTION
    assert len(seen) < 10


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4))
def test_any_capacity_within_reach_is_bracketed_to_the_resolution(first, capacity):
    trials = []
    while (rate := next_rate(trials, first)) is not None:
        trials.append(trial(rate, "met" if rate <= capacity else "missed"))
    if capacity < LOWEST_SHARE * min(first, FIRST_RATE):
        assert highest_met(trials) is None
    if highest_met(trials) is not None:
        assert highest_met(trials) <= capacity < lowest_missed(trials)
        assert lowest_missed(trials) / highest_met(trials) <= RESOLUTION
    assert len(trials) < 40


def test_a_search_gives_up_far_below_its_first_rate():
    trials = []
    while (rate := next_rate(trials, 0.5)) is not None:
        trials.append(trial(rate, "missed"))
    assert [each.requests_per_second for each in trials] == [0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert next_rate([trial(0.0625, "missed")], 800.0) is None
    assert next_rate([trial(0.125, "missed")], 800.0) == 0.0625
    assert rate_to_confirm(trials) is None


def test_an_undecided_rate_is_an_upper_end_and_not_a_miss():
    trials = [trial(1, "met"), trial(2, "undecided")]
    assert next_rate(trials, 1.0) == pytest.approx(math.sqrt(2), rel=1e-3)
    assert lowest_missed(trials) is None
    assert lowest_missed([*trials, trial(4, "missed"), trial(3, "missed")]) == 3


def test_each_failed_confirmation_leads_to_a_larger_step_down():
    trials = [trial(10, "met"), trial(20, "met"), trial(20.5, "missed")]
    assert rate_to_confirm(trials) == 20
    trials.append(trial(20, "missed"))
    assert rate_to_confirm(trials, 1) == pytest.approx(20 / RESOLUTION, rel=1e-3)
    trials.append(trial(19.05, "undecided"))
    assert rate_to_confirm(trials, 2) == pytest.approx(19.05 / RESOLUTION**2, rel=1e-3)
    assert rate_to_confirm([trial(19, "met"), trial(20, "met"), trial(20, "missed")], 2) == 19
    assert rate_to_confirm([trial(10, "met")]) == 10
    assert rate_to_confirm([trial(10, "met"), trial(10, "missed")], 1) == pytest.approx(10 / RESOLUTION, rel=1e-3)
    assert rate_to_confirm([trial(10, "missed")], 1) is None
    assert rate_to_confirm([]) is None


def test_a_search_begins_with_one_open_loop():
    axes = {"concurrency": (1, 2, 4), "prompt_tokens": (64,)}
    assert search_axes(axes) == {"prompt_tokens": (64,), "rate": (FIRST_RATE,)}
    assert search_axes({"rate": (4.0,)}) == {"rate": (4.0,)}
    assert at_rate({"concurrency": 2, "prompt_tokens": 64}, 3.7) == {"prompt_tokens": 64, "rate": 3.7}
    for several, words in (({"rate": (1, 2)}, "--rate: .* one rate"), ({"prompt_tokens": (8, 9)}, "--prompt-tokens: ")):
        with pytest.raises(ValueError, match=words):
            search_axes(several)


def test_a_server_that_refuses_everything_has_no_rate():
    refused = report([request(0.1 * n, 0.1 * n + 0.01, outcome="http 503") for n in range(40)])
    search = RateSearch(NINETY, 1.0, 1.0, lambda _, seconds: ([refused], seconds), None, lambda _: None)
    search.run()
    assert {each.outcome for each in search.trials} == {"missed"}
    assert search.result(str).highest_met is None


# --- the verdicts ---------------------------------------------------------------------------------------------------


def test_a_trial_lasts_long_enough_for_the_attainment_and_for_a_queue_to_grow():
    assert trial_seconds(10.0, NINETY, 0.0, 1.0) == pytest.approx(1.2 * 29 / 10)
    assert trial_seconds(10.0, NINETY, 1.0, 1.0) == 10.0
    assert trial_seconds(10.0, NINETY, 90.0, 1.0) == pytest.approx(4 * 1.2 * 29 / 10)
    assert trial_seconds(1000.0, NINETY, 0.0, 5.0) == 5.0
    assert trial_seconds(1000.0, NINETY, 0.0, 1.0) == 10 * 0.2
    assert trial_seconds(1000.0, ServiceLevel(0.9, ttft_seconds=3.0, tpot_seconds=9.0), 0.0, 1.0) == 30.0


def test_each_outcome_has_its_reason():
    fast, slow = (report([streamed(0.1 * n, late, 0.0) for n in range(40)]) for late in (0.1, 0.3))
    few = report(fast.requests[:5])
    growing = report([streamed(0.1 * n, 0.05 + 0.0035 * n, 0.0) for n in range(40)], in_flight=(0, 9))
    capped = report(fast.requests, capped=True)
    failed = report([request(0, 1, outcome="unsent")] * 40)
    assert [(found.outcome, found.reason[:18]) for found in (verdict(9, loads, 4, NINETY) for loads in
            ([fast], [slow], [few], [growing], [growing] * 2, [capped], [failed], [report([])]))] == [
        ("met", "100.00% met the li"),
        ("missed", "0.00% met the limi"),
        ("undecided", "100.00% met the li"),
        ("undecided", "100.00% met the li"),
        ("missed", "the queue of the s"),
        ("undecided", "the client reached"),
        ("missed", "0.00% met the limi"),
        ("undecided", "no request was due"),
    ]  # fmt: skip


def test_a_late_client_does_not_make_the_server_miss():
    def late(lag, first):
        return [report([streamed(0.1 * n, first, 0.0, late=lag) for n in range(40)])]

    found = verdict(9, late(0.02, 0.3), 4, NINETY)
    assert (found.outcome, found.reason) == ("undecided", "the client sent requests up to 20 ms late (p99)")
    assert verdict(9, late(0.0029, 0.3), 4, NINETY).outcome == "missed"  # 1 % of the median time to the first token
    assert verdict(9, late(0.02, 0.1), 4, NINETY).outcome == "met"  # latencies contain the lateness


# --- the search on a queue --------------------------------------------------------------------------------------------


@pytest.mark.system
@settings(max_examples=6)
@given(st.integers(0, 10_000), st.sampled_from([4.0, 32.0, 100.0]))
def test_the_rate_of_an_exponential_queue_is_that_of_theory(seed, first):
    """P(T > t) of M/M/1 is exp(-(mu - lambda) t), so 90 % need lambda <= mu - ln(10) / t."""
    truth = 50.0 - math.log(10) / 0.2
    server = QueueServer(exponential(1 / 50), seed=seed)
    search = searched(server, NINETY, first, shortest=30.0)
    found = search.result(lambda rate: f"rate={rate:g}")
    assert search.confirmed is not None
    assert 0.6 * truth <= search.confirmed <= 1.08 * truth
    assert found.point == f"rate={search.confirmed:g}"
    assert found.highest_met == search.confirmed
    assert all(each.outcome == "met" for each in found.trials if each.requests_per_second < search.confirmed)


@pytest.mark.system
@settings(max_examples=6)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_the_rate_of_a_queue_of_constant_services_is_below_its_capacity(seed, slots):
    server = QueueServer(constant(0.1), slots, seed)
    search = searched(server, ServiceLevel(0.95, e2e_seconds=1.0), shortest=60.0)
    assert search.confirmed is not None
    assert 0.55 * slots / 0.1 <= search.confirmed <= 1.02 * slots / 0.1


def test_a_server_that_never_meets_the_level_has_no_rate():
    search = searched(QueueServer(constant(1.0)), NINETY)
    found = search.result(str)
    assert (found.highest_met, found.point) == (None, None)
    assert found.lowest_missed == 0.0625
    assert {each.outcome for each in found.trials} == {"missed"}


def test_a_trial_without_a_verdict_ends_with_its_budget():
    """91 of 100 requests are too close to 90 % for a verdict."""
    requests = [streamed(0.1 * n, 0.5 if n % 100 < 9 else 0.1, 0.0) for n in range(100)]
    calls = []

    def measure(rate, seconds):
        calls.append(rate)
        return [report(requests)], seconds

    search = RateSearch(NINETY, 1.0, 1.0, measure, measure, lambda _: None)
    search.run()
    assert {each.outcome for each in search.trials} == {"undecided"}
    assert len(calls) == MOST_WINDOWS * len(search.trials)
    assert search.confirmed is None


def test_a_rate_that_is_never_confirmed_is_not_a_result():
    good = report([streamed(0.1 * n, 0.1, 0.0) for n in range(40)])
    bad = report([streamed(0.1 * n, 0.3, 0.0) for n in range(40)])
    asked = []

    def confirm(rate, seconds):
        asked.append(rate)
        return [bad], seconds

    search = RateSearch(
        NINETY, 1.0, 1.0, lambda rate, seconds: ([good if rate < 10 else bad], seconds), confirm, lambda _: None
    )
    search.run()
    assert len(asked) == MOST_CONFIRMATIONS
    assert asked == sorted(asked, reverse=True)
    assert search.result(str).point is None
    assert search.trials[-1].reason.startswith("not confirmed: ")
