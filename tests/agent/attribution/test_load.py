from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.attribution.load import BIN_NS, HOUR_NS, HourlyLoad, level, merged, parse_histogram, rate_at
from agent.attribution.traffic import Interval
from agent.energy.bounds import Energy

SECOND = 10**9
HOUR = 480_000
START = HOUR * HOUR_NS


def interval(end: float, seconds: float, **counts: float) -> Interval:
    return Interval(START + round(end * SECOND), seconds, counts, 1.0, Energy(2, 1, 3), Energy(20, 10, 30))


def records(load: HourlyLoad):
    return load.records("host", "chat", "m")


@given(st.floats(1e-6, 1e6))
def test_a_level_contains_its_rates_to_nine_percent(rate: float) -> None:
    assert rate <= level(rate) * (1 + 1e-5)
    assert level(rate) <= rate * 2 ** (1 / 8) * (1 + 1e-5)
    assert math.isclose(level(level(rate)), level(rate), rel_tol=0.1)


def test_an_hour_of_steady_load_has_one_level() -> None:
    load = HourlyLoad("arrivals", "measured")
    for n in range(1, 721):
        load.add(interval(5 * n, 5.0, output_tokens=40.0), 5.0, 10.0, censored=False)
    (hour,) = records(load)
    assert (hour.hour, hour.basis, hour.source, hour.bins, hour.censored_bins) == (HOUR, "arrivals", "measured", 360, 0)
    assert parse_histogram(hour.requests_histogram) == {2.0: [360, 0]}
    assert parse_histogram(hour.tokens_histogram) == {8.0: [360, 0]}
    assert (hour.requests, hour.output_tokens, hour.errors, hour.duration) == (7200, 28800, None, None)
    assert hour.seconds == 3600
    assert (hour.idle_joules, hour.attributed_joules, hour.attributed_lower, hour.attributed_upper) == (
        1440,
        14400,
        7200,
        21600,
    )


def test_counts_are_distributed_over_bins_by_time() -> None:
    load = HourlyLoad("served")
    for end, tokens in ((4, 0), (14, 100), (24, 0)):
        load.add(interval(end, 10.0, output_tokens=tokens), 10.0, None, censored=False)
    (later,) = records(load)
    assert parse_histogram(later.tokens_histogram) == {level(6): [1, 0], level(4): [1, 0]}
    assert (later.bins, later.requests, parse_histogram(later.requests_histogram)) == (2, None, {})


def test_a_bin_in_which_requests_waited_is_censored() -> None:
    load = HourlyLoad("served")
    load.add(interval(10, 10.0, output_tokens=10.0), 10.0, 1.0, censored=True)
    load.add(interval(20, 10.0, output_tokens=10.0), 10.0, 1.0, censored=False)
    (hour,) = records(load)
    assert hour.censored_bins == 1
    assert parse_histogram(hour.tokens_histogram) == {1.0: [2, 1]}
    assert parse_histogram(hour.requests_histogram) == {level(0.1): [2, 1]}


def test_bins_of_a_long_pause_between_scrapes_are_unknown_but_its_counts_are_kept() -> None:
    load = HourlyLoad("served")
    load.add(interval(120, 120.0, output_tokens=10.0), 120.0, 1.0, censored=False)
    (hour,) = records(load)
    assert (hour.bins, hour.output_tokens) == (0, 10.0)


def test_a_server_without_output_tokens_has_the_rate_of_its_input_tokens() -> None:
    load = HourlyLoad("served")
    load.add(interval(10, 10.0, input_tokens=20.0), 10.0, None, censored=False)
    assert parse_histogram(records(load)[0].tokens_histogram) == {2.0: [1, 0]}


def test_an_hour_continues_after_a_restart() -> None:
    before, after = HourlyLoad("served"), HourlyLoad("served")
    before.add(interval(10, 10.0, output_tokens=10.0), 10.0, 4.0, censored=True)
    after.resume(records(before)[0])
    after.add(interval(30, 10.0, output_tokens=10.0), 10.0, 2.0, censored=False)
    (hour,) = records(after)
    assert (hour.bins, hour.censored_bins, hour.requests, hour.output_tokens) == (2, 1, 6.0, 20.0)
    assert parse_histogram(hour.tokens_histogram) == {1.0: [2, 1]}
    assert hour.errors is None


def test_only_the_newest_two_hours_stay_in_memory() -> None:
    load = HourlyLoad("served")
    for n in range(4):
        load.add(interval(3600 * n + 10, 10.0), 10.0, None, censored=False)
    assert [each.hour for each in records(load)] == [HOUR, HOUR + 1, HOUR + 2, HOUR + 3]
    assert [each.hour for each in records(load)] == [HOUR + 2, HOUR + 3]


@given(st.lists(st.tuples(st.floats(0.5, 60), st.floats(0, 1000)), min_size=1, max_size=40))
def test_the_sums_of_an_hour_are_those_of_its_intervals(steps: list[tuple[float, float]]) -> None:
    load, end = HourlyLoad("served"), 0.0
    for seconds, tokens in steps:
        end += seconds
        load.add(interval(end, seconds, output_tokens=tokens), seconds, tokens / 10, censored=False)
    hours = records(load)
    assert math.isclose(sum(each.output_tokens or 0.0 for each in hours), sum(t for _, t in steps), abs_tol=1e-6)
    assert sum(each.bins for each in hours) <= end * SECOND / BIN_NS
    counted = [sum(rows[0] for rows in parse_histogram(each.tokens_histogram).values()) for each in hours]
    assert counted == [each.bins for each in hours]


def test_a_histogram_is_a_list_of_limits_bins_and_censored_bins() -> None:
    assert parse_histogram("[[0.0,3,1],[2.0,1,0]]") == {0.0: [3, 1], 2.0: [1, 0]}
    assert level(0.0) == 0.0
    with pytest.raises(ValueError, match="Expecting"):
        parse_histogram("{")


def test_rates_are_read_from_a_merged_histogram() -> None:
    histogram = merged([{0.0: [5, 0], 2.0: [3, 1]}, {2.0: [1, 1], 4.0: [1, 0]}])
    assert histogram == {0.0: [5, 0], 2.0: [4, 2], 4.0: [1, 0]}
    assert [rate_at(histogram, share) for share in (0.5, 0.6, 0.9, 1.0)] == [0.0, 2.0, 2.0, 4.0]
    assert rate_at({}, 0.5) is None


def test_the_source_of_an_hour_is_that_of_its_last_energy_also_after_a_restart() -> None:
    load, after = HourlyLoad("served"), HourlyLoad("served")
    load.add(interval(5, 5.0), 5.0, None, censored=False)
    load.source = "measured"
    load.add(interval(10, 5.0), 5.0, None, censored=False)
    assert records(load)[0].source == "measured"
    after.resume(records(load)[0])
    assert records(after)[0].source == "measured"
