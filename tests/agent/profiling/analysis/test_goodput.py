"""Goodput: the requests that met a service level, and the growth of a queue."""

from __future__ import annotations

import pytest

from agent.profiling.analysis.binomial import lower_limit
from agent.profiling.analysis.goodput import goodput, meets, missed, queue_grows
from agent.profiling.serving_records import ServiceLevel
from loads import report, request, streamed

LEVEL = ServiceLevel(0.9, ttft_seconds=0.5, tpot_seconds=0.05, e2e_seconds=1.0)
FAST = streamed(0.0, 0.2, 0.02)


def steady(count: int = 40, seconds: float = 0.4):
    return report([streamed(0.1 * number, seconds - 0.2, 0.02) for number in range(count)])


def growing(count: int = 40, growth: float = 0.05, in_flight=(2, 20)):
    requests = [streamed(0.1 * number, 0.1 + growth * number, 0.02) for number in range(count)]
    return report(requests, in_flight=in_flight)


@pytest.mark.parametrize(
    ("slow", "met"),
    [
        (FAST, True),
        (streamed(0.0, 0.5, 0.05), True),  # exactly at each limit
        (streamed(0.0, 0.51, 0.01), False),
        (streamed(0.0, 0.2, 0.051), False),
        (streamed(0.0, 0.5, 0.05, tokens=(1, 12)), False),  # 1.05 s in total
        (request(0.0, 0.4), False),  # without streaming the time to the first token is unknown
        (request(0.0, 0.4, 0.4, 0.4, tokens=(1, 1)), True),  # no token had to wait for another
        (request(0.0, 0.4, 0.2, 0.4, tokens=(1, None)), False),
        (streamed(0.0, 0.2, 0.02, outcome="http 500"), False),
        (request(0.0, 0.1, outcome="unsent"), False),
    ],
)
def test_a_request_meets_a_level_within_all_limits(slow, met):
    assert meets(slow, LEVEL) is met


def test_a_level_without_limits_is_met_by_every_success():
    assert meets(request(0.0, 900.0), ServiceLevel(0.5))


def test_goodput_counts_failures_as_misses_over_all_requests():
    requests = [*steady(36).requests, *(request(1, 60, outcome="timeout") for _ in range(4))]
    found = goodput([report(requests)], 8.0, LEVEL)
    assert (found.attained, found.requests_per_second) == (0.9, 4.5)
    assert found.attained_lower == lower_limit(36, 40)
    assert found.met is False


def test_a_level_is_met_only_if_its_lower_limit_reaches_the_share():
    assert goodput([steady(28)], 1.0, LEVEL).met is False
    found = goodput([steady(29)], 1.0, LEVEL)
    assert (found.attained, found.met) == (1.0, True)
    assert 0.9 <= found.attained_lower < 0.91


def test_a_closed_loop_has_no_verdict():
    assert goodput([replace_arrivals(steady(), "closed")], 1.0, LEVEL).met is None


def replace_arrivals(load, arrivals):
    return report(load.requests, arrivals)


def test_no_request_has_no_goodput():
    assert goodput([report([])], 1.0, LEVEL) is None
    assert missed([report([])], LEVEL) is False


def test_a_queue_grows_if_later_requests_take_longer():
    assert queue_grows([growing()])
    assert queue_grows([growing(), growing()])
    assert not queue_grows([report(steady().requests, in_flight=(0, 9))])
    assert not queue_grows([growing(growth=-0.002)])
    assert not queue_grows([growing(growth=0.003)])  # less than half of the mean over the window
    assert not queue_grows([growing(in_flight=(2, 7))])  # as many can be under way by chance
    assert queue_grows([growing(in_flight=(2, 8))])
    assert not queue_grows([])
    assert not queue_grows([report([FAST, FAST], in_flight=(0, 9))])


def test_time_outs_at_the_end_of_a_window_are_growth():
    late = [request(2.0 + 0.1 * number, 62.0, outcome="timeout") for number in range(20)]
    assert queue_grows([report([*steady(20).requests, *late], in_flight=(2, 22))])


def test_a_level_that_a_growing_queue_still_meets_is_not_met():
    patient = ServiceLevel(0.9, e2e_seconds=10.0)
    found = goodput([growing()], 4.0, patient)
    assert (found.attained, found.met) == (1.0, False)
    assert not missed([growing()], patient)


def test_a_level_is_missed_if_its_upper_limit_is_below_the_share():
    slow = [streamed(0.1 * number, 0.6, 0.02) for number in range(10)]
    assert missed([report([*steady(30).requests, *slow])], LEVEL)
    assert not missed([report([*steady(36).requests, *slow[:4]])], LEVEL)
    assert not missed([steady()], LEVEL)
