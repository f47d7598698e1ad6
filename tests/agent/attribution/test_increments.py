from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.attribution import increments
from agent.attribution.exposition import ServerReading
from agent.attribution.increments import OTHER, Arrivals, Increment, ServerCounters


def reading(**tokens: float) -> ServerReading:
    return ServerReading({model: {"output_tokens": value} for model, value in tokens.items()})


def counted(counters: ServerCounters, **tokens: float) -> float | None:
    return counters.advance(reading(**tokens)).total("output_tokens")


def test_the_counts_before_the_first_scrape_do_not_count() -> None:
    counters = ServerCounters()
    assert counted(counters, m=100) == 0
    assert counted(counters, m=130) == 30


def test_a_counter_that_decreased_started_from_zero() -> None:
    counters = ServerCounters()
    counted(counters, m=100)
    step = counters.advance(reading(m=7))
    assert (step.total("output_tokens"), step.restarted) == (7, True)
    assert counted(counters, m=9) == 2


def test_the_counter_of_one_model_that_decreased_does_not_restart_those_of_other_models() -> None:
    counters = ServerCounters()
    counted(counters, a=100, b=1e6)
    step = counters.advance(reading(a=10, b=1e6 + 5))
    assert step.counts == {"a": {"output_tokens": 10}, "b": {"output_tokens": 5}}
    assert step.restarted


def test_a_restart_that_no_counter_shows_counts_the_values_since_then() -> None:
    counters = ServerCounters()
    counted(counters, m=100)
    step = counters.advance(reading(m=150), restarted=True)
    assert (step.total("output_tokens"), step.restarted) == (150, True)


def test_a_model_swapped_under_the_same_name_counts_from_zero() -> None:
    counters = ServerCounters()
    counted(counters, old=100)
    step = counters.advance(reading(new=20))
    assert step.counts == {"new": {"output_tokens": 20}}
    assert counters.advance(reading(new=25, old=100)).counts == {
        "new": {"output_tokens": 5},
        "old": {"output_tokens": 0},
    }


def test_a_series_that_is_missing_once_loses_nothing() -> None:
    counters = ServerCounters()
    counted(counters, a=10, b=10)
    counted(counters, a=11)
    assert counters.advance(reading(a=12, b=14)).counts == {"a": {"output_tokens": 1}, "b": {"output_tokens": 4}}


def test_gauges_are_values_and_unknown_quantities_are_none() -> None:
    step = ServerCounters().advance(ServerReading({"a": {"running": 2.0}, "b": {"running": 1.0}}))
    assert (step.total("running"), step.total("waiting"), Increment().total("requests")) == (3.0, None, None)
    assert not step.restarted


def test_models_beyond_the_limit_count_as_other() -> None:
    counters = ServerCounters()
    models = {f"m{n}": 10.0 for n in range(40)}
    counted(counters, **models)
    step = counters.advance(reading(**dict.fromkeys(models, 11.0)))
    assert len(step.counts) == 17
    assert step.counts[OTHER]["output_tokens"] == 24
    assert step.folded == 24


def test_memory_is_limited_while_labels_change_with_every_scrape(monkeypatch) -> None:
    monkeypatch.setattr(increments, "MOST_MODELS_REMEMBERED", 50)
    counters = ServerCounters()
    for n in range(100):
        counters.advance(reading(**{f"m{n}-{each}": 1.0 for each in range(10)}))
    assert len(counters._last) <= 60


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=30))
def test_increments_add_up_to_the_true_count_over_restarts_seen_in_time(steps: list[tuple[int, bool]]) -> None:
    """After a restart the server counts from 0; the scraper recognizes the restart by its process."""
    counters, value, truth, found = ServerCounters(), 1000.0, 0.0, 0.0
    counted(counters, m=value)
    for tokens, restarted in steps:
        value = tokens if restarted else value + tokens
        truth += tokens
        found += counters.advance(reading(m=value), restarted=restarted).total("output_tokens") or 0.0
    assert found == truth


def state(requests: float, running: float, waiting: float) -> ServerReading:
    return ServerReading({"m": {"requests": requests, "running": running, "waiting": waiting}})


def test_arrivals_are_ended_requests_plus_the_change_of_those_in_flight() -> None:
    counters, arrivals = ServerCounters(), Arrivals()
    readings = [state(5, 2, 0), state(7, 3, 4), state(14, 0, 0), state(14, 0, 0)]
    assert [arrivals.advance(counters.advance(each)) for each in readings] == [{}, {"m": 7}, {"m": 0}, {"m": 0}]


def test_a_restart_ends_the_requests_in_flight() -> None:
    counters, arrivals = ServerCounters(), Arrivals()
    arrivals.advance(counters.advance(state(100, 8, 8)))
    assert arrivals.advance(counters.advance(state(3, 1, 0))) == {"m": 4}


def test_arrivals_are_unknown_without_both_gauges_or_a_count() -> None:
    counters, arrivals = ServerCounters(), Arrivals()
    for counts in (
        {"requests": 1.0, "running": 1.0},
        {"running": 1.0, "waiting": 0.0},
        {"running": 1.0, "waiting": 1.0},
    ):
        assert arrivals.advance(counters.advance(ServerReading({"m": counts}))) == {}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40))
def test_arrivals_add_up_to_the_received_requests(steps: list[tuple[int, int]]) -> None:
    counters, arrivals, ended, flight, received, found = ServerCounters(), Arrivals(), 0, 0, 0, 0.0
    arrivals.advance(counters.advance(state(0, 0, 0)))
    for arrived, wanted in steps:
        done = min(wanted, flight + arrived)
        received, ended, flight = received + arrived, ended + done, flight + arrived - done
        found += arrivals.advance(counters.advance(state(ended, min(flight, 4), max(0, flight - 4))))["m"]
    assert found == received
