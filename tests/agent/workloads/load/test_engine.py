"""The loops of the engine, on a simulated clock and on a source of requests that sleeps instead of sending."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from array import array
from itertools import pairwise

import pytest

from agent.workloads.load.engine import LoadPhase
from agent.workloads.load.event_loop import new_event_loop
from agent.workloads.load.exchange import Exchange
from agent.workloads.load.window import LoadFacts

pytestmark = pytest.mark.system


class SleepingTraffic:
    """Requests that last `seconds`, with output after `first_seconds`."""

    def __init__(self, seconds=0.02, first_seconds=0.01, outcome="ok"):
        self.seconds, self.first_seconds, self.outcome = seconds, first_seconds, outcome
        self.made, self.under_way, self.most_under_way, self.closed = 0, 0, 0, 0
        self.outputs_ns = []

    def next(self):
        self.made += 1
        return Exchange(b"")

    async def send(self, exchange):
        exchange.sent_ns = time.monotonic_ns()
        exchange.intended_ns = exchange.intended_ns or exchange.sent_ns
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.first_seconds)
            exchange.outputs_ns.append(time.monotonic_ns())
            self.outputs_ns += exchange.outputs_ns
            await asyncio.sleep(self.seconds - self.first_seconds)
            exchange.end(self.outcome, time.monotonic_ns())
        finally:
            self.under_way -= 1

    def close(self):
        self.closed += 1


class StreamedTraffic(SleepingTraffic):
    """Requests with all their output at one moment, in as many events as it has tokens."""

    TOKENS = 16

    async def send(self, exchange):
        await super().send(exchange)
        exchange.outputs_ns = array("q", [exchange.outputs_ns[0]] * self.TOKENS)
        exchange.output_tokens = self.TOKENS


class Clock(selectors.EpollSelector):
    """A selector that does not wait, but sets the clock forward by the time that it should wait."""

    now_ns = 1_000_000_000_000

    def select(self, timeout=None):
        assert timeout is not None, "nothing would end this wait"
        self.now_ns += math.ceil(timeout * 1e9)
        return super().select(0)


@pytest.fixture
def loop(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock.now_ns)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now_ns / 1e9)
    made = asyncio.SelectorEventLoop(clock)
    yield made
    made.close()


def phase(loop, traffic, *, clients=1, rate=0.0, streams=True, arrivals=None, **more):
    facts = LoadFacts(arrivals or ("constant" if rate else "closed"), "none", 5.0)
    return LoadPhase(
        loop, traffic, facts, clients=clients, rate=rate, seed="3", streams=streams, request_seconds=0.02, **more
    )


def test_the_window_begins_when_every_client_has_output(loop):
    traffic, edges = SleepingTraffic(), []
    found = phase(loop, traffic, clients=5).measure("serving", 0.1, 1, edges.append, edges.append)
    assert sum(at_ns < found.start_ns for at_ns in traffic.outputs_ns) >= 5
    assert traffic.most_under_way == 5
    assert edges == [found.start_ns, found.end_ns]
    assert found.end_ns - found.start_ns >= 0.1e9


def test_windows_begin_at_any_moment_of_a_request(loop):
    """Clients in step would otherwise have the same part of a request at the start of each window."""
    load, parts = phase(loop, SleepingTraffic(0.1), clients=2), []
    for _ in range(8):
        found = load.measure("serving", 0.0, 1)
        parts.append(-min(each.sent_ns for each in found.load.requests) / 0.1e9)
    assert max(parts) - min(parts) > 0.25
    assert all(part >= 0 for part in parts)


def test_a_window_lasts_until_it_has_its_requests(loop):
    found = phase(loop, SleepingTraffic(), clients=2).measure("serving", 0.0, 12)
    assert found.iterations >= 12
    assert phase(loop, SleepingTraffic(), rate=200.0).measure("serving", 0.0, 7).iterations >= 7


@pytest.mark.parametrize("first_share", [0.1, 0.8])
def test_windows_of_few_requests_have_the_tokens_of_a_request(loop, first_share):
    """The output of a request that comes at its end, or at its start, must not count more often than the request."""
    load = phase(loop, StreamedTraffic(0.02, 0.02 * first_share))
    found = [load.measure("serving", 0.0, 3) for _ in range(16)]
    tokens, requests = sum(each.output_tokens for each in found), sum(each.requests_in_window for each in found)
    assert tokens / requests == pytest.approx(StreamedTraffic.TOKENS, rel=0.09)


def test_streams_end_with_the_load_and_other_requests_are_awaited(loop):
    for streams in (True, False):
        traffic = SleepingTraffic(0.1)
        phase(loop, traffic, clients=3, streams=streams).measure("serving", 0.05, 1)
        assert traffic.under_way == 0
        assert traffic.closed == 1


def test_an_open_loop_waits_for_no_answer(loop):
    traffic = SleepingTraffic(0.3, 0.25)
    found = phase(loop, traffic, rate=100.0).measure("serving", 0.2, 1)
    assert traffic.most_under_way > 20
    assert found.load.in_flight_end > 20
    assert all(each.ok for each in found.load.requests)
    assert {
        round((after.intended_ns - before.intended_ns) / 1e6) for before, after in pairwise(found.load.requests)
    } == {10}


def test_random_arrivals_have_the_mean_rate(loop):
    found = phase(loop, SleepingTraffic(), rate=1000.0, arrivals="poisson").measure("serving", 1.0, 1)
    seconds = (found.end_ns - found.start_ns) / 1e9
    assert found.iterations / seconds == pytest.approx(1000, abs=130)  # four standard deviations of other seeds
    gaps = sorted((after.intended_ns - before.intended_ns) / 1e6 for before, after in pairwise(found.load.requests))
    assert gaps[len(gaps) // 2] == pytest.approx(0.693, rel=0.2)


def test_a_load_beyond_the_limit_of_requests_under_way_is_capped(loop):
    found = phase(loop, SleepingTraffic(0.5, 0.1), rate=200.0, most_in_flight=10).measure("serving", 0.2, 1)
    assert found.load.capped
    unsent = [each for each in found.load.requests if each.outcome == "unsent"]
    assert unsent
    assert {each.end_ns for each in unsent} == {found.end_ns - found.start_ns}
    assert found.inferences == len(found.load.requests) - len(unsent)


def test_clients_pause_after_a_failure(loop):
    traffic = SleepingTraffic(0.0, 0.0, outcome="connection")
    found = phase(loop, traffic, clients=2).measure("serving", 0.3, 1)
    assert {each.outcome for each in found.load.requests} == {"connection"}
    assert traffic.made < 20


def test_a_failure_of_the_client_itself_ends_the_window(loop):
    class Broken(SleepingTraffic):
        async def send(self, exchange):
            await super().send(exchange)
            if self.made > 6:
                raise RuntimeError("no more")

    traffic = Broken()
    with pytest.raises(RuntimeError, match="no more"):
        phase(loop, traffic, clients=2).measure("serving", 60.0, 1)
    assert traffic.closed == 1


def test_the_client_reports_its_cpu_time_and_lateness():
    loop = new_event_loop()
    client = phase(loop, SleepingTraffic()).measure("serving", 0.2, 1).load.client
    loop.close()
    assert 0 < client.cpu_seconds < 60
    assert 0 <= client.loop_lag_p99_seconds <= client.loop_lag_max_seconds
    assert client.cpus >= 1


def test_the_bodies_of_ended_requests_are_dropped_during_the_window(loop):
    class Bodies(SleepingTraffic):
        def next(self):
            made.append(Exchange(b"prompt"))
            return made[-1]

    made = []
    ended = []
    phase(loop, Bodies()).measure(
        "serving", 0.1, 3, ended=lambda _: ended.extend(each.body for each in made if each.ended)
    )
    assert set(ended) == {b""}
