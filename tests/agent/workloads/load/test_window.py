"""The figures of a window, exact for requests with known times."""

from __future__ import annotations

from array import array

import pytest

from agent.workloads.load.exchange import Exchange
from agent.workloads.load.window import LoadFacts, measured
from agent.workloads.load_records import OK, TIMEOUT, UNSENT, ClientLoad

MS = 1_000_000
CLIENT = ClientLoad(0.1, 2, 0.001, 0.002)
CLOSED = LoadFacts("closed", "usage", 60.0)
OPEN = LoadFacts("poisson", "usage", 60.0)


def request(sent, end, outputs=(), *, outcome=OK, tokens=None, intended=None, inputs=10):
    """Return a request with its times in milliseconds after the start of the window."""
    made = Exchange(b"")
    made.sent_ns, made.intended_ns = sent * MS, (sent if intended is None else intended) * MS
    made.outputs_ns = array("q", [each * MS for each in outputs])
    made.end(outcome, end * MS)
    if outcome == OK:
        made.input_tokens, made.output_tokens = inputs, len(outputs) if tokens is None else tokens
    return made


def window(exchanges, facts=CLOSED, end=1000):
    return measured("serving", 0, end * MS, exchanges, facts, CLIENT)


def test_a_closed_loop_reports_the_requests_that_ended_in_the_window():
    inside, after, before = request(-500, 500), request(900, 1100), request(-200, -1)
    found = window([inside, after, before])
    assert [each.end_ns for each in found.load.requests] == [500 * MS]
    assert (found.iterations, found.inferences, found.latencies_seconds) == (1, 1, (1.0,))
    assert (found.load.in_flight_start, found.load.in_flight_end) == (1, 1)


def test_an_open_loop_reports_the_requests_that_were_due_in_the_window():
    early, late = request(-100, 300, intended=-100), request(950, 2950, intended=900)
    found = window([early, late], OPEN)
    assert [each.intended_ns for each in found.load.requests] == [900 * MS]
    assert found.latencies_seconds == (2.05,)
    assert found.load.requests[0].lag_seconds == 0.05


def test_a_request_counts_by_the_part_of_its_time_within_the_window():
    found = window([request(-500, 500), request(0, 1000), request(900, 1100), request(-1, 1001)])
    assert found.requests_in_window == pytest.approx(0.5 + 1 + 0.5 + 1000 / 1002)


def test_failed_requests_are_reported_without_work():
    found = window([request(0, 500, [400], outcome="http 500"), request(0, 600, outcome=TIMEOUT)])
    assert (found.iterations, found.inferences, found.requests_in_window) == (2, 0, 0)
    assert (found.input_tokens, found.output_tokens, found.step_seconds) == (0, 0, ())
    assert [each.outcome for each in found.load.requests] == ["http 500", TIMEOUT]


def test_output_tokens_count_by_their_own_arrival():
    found = window([request(-100, 200, [-50, 0, 50]), request(800, 1300, [999, 1000, 1200])])
    assert found.output_tokens == 3
    assert found.input_tokens == 10


def test_events_of_several_tokens_share_the_count_of_the_server():
    found = window([request(0, 700, [100, 300, 700], tokens=9)])
    assert found.output_tokens == 9
    assert found.step_seconds == pytest.approx((0.05, 0.1))


def test_steps_are_the_times_between_tokens_that_arrived_in_the_window():
    found = window([request(-100, 1200, [-20, 10, 30, 1100])])
    assert found.step_seconds == pytest.approx((0.03, 0.02))


def test_without_a_stream_tokens_count_at_the_end():
    found = window([request(-100, 500, tokens=7), request(900, 1100, tokens=5)])
    assert (found.input_tokens, found.output_tokens) == (10, 7)
    assert found.load.requests[0].first_ns is None


def test_an_unsent_request_ends_with_the_window_and_marks_the_load_as_capped():
    unsent = request(500, 500, outcome=UNSENT)
    found = window([unsent, request(100, 300)], OPEN)
    assert found.load.capped
    assert found.load.requests[0].end_ns == 1000 * MS
    assert (found.load.in_flight_start, found.load.in_flight_end) == (0, 0)


def test_inferences_of_a_request_multiply_the_work():
    facts = LoadFacts("closed", "none", 60.0, inferences_per_request=8)
    found = window([request(0, 500), request(500, 1500)], facts)
    assert (found.inferences, found.requests_in_window) == (8, 12.0)


def test_a_request_without_duration_counts_once():
    assert window([request(300, 300)]).requests_in_window == 1.0
