"""The load engine: a closed or an open loop of requests around one window.

A load begins before its window: a closed loop until every client has received output, an open loop for about twice the
duration of a request. A window begins and ends at a random moment of a request: an edge at the end of a request would
count too many of its tokens, and one at its start too few. The load goes on after the window until each request that
was under way at its end has ended, so that these end under the same load. Then it stops: open streams are closed, and
other requests are awaited.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING

from agent.workloads.load.event_loop import LoopLag
from agent.workloads.load.requests import Requests
from agent.workloads.load.window import measured
from agent.workloads.load_records import ClientLoad
from agent.workloads.runner.timing import no_garbage_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.workloads.load.requests import Traffic
    from agent.workloads.load.window import LoadFacts
    from agent.workloads.runner.protocol import Measured

MOST_IN_FLIGHT = 10_000
"""The limit of requests under way in an open loop; a load that reaches it is marked as capped."""
_LEAST_LEAD_SECONDS, _LEAD_REQUESTS = 0.2, 2.0


class LoadPhase:
    """A phase of a workload that measures itself: one load of `clients`, or of `rate` requests per second.

    `streams` states whether the server notices a closed connection before the end of a request. `request_seconds` is
    the duration of a request that was alone. `check` is called after each window, and raises WorkloadError if the
    server has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        traffic: Traffic,
        facts: LoadFacts,
        *,
        clients: int,
        rate: float,
        seed: str,
        streams: bool,
        request_seconds: float,
        most_in_flight: int = MOST_IN_FLIGHT,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._traffic = traffic
        self._facts = facts
        self._clients = clients
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311  arrivals that can be repeated, no secret
        self._streams = streams
        self._lead_seconds = max(_LEAST_LEAD_SECONDS, _LEAD_REQUESTS * request_seconds)
        self._most_in_flight = most_in_flight
        self._check = check

    def measure(
        self,
        phase: str,
        seconds: float,
        iterations: int,
        started: Callable[[int], object] = lambda _start_ns: None,
        ended: Callable[[int], object] = lambda _end_ns: None,
    ) -> Measured:
        """Run the load around one window of at least `seconds` and `iterations` reported requests."""
        with no_garbage_collection():
            window = self._loop.run_until_complete(self._measure(phase, seconds, iterations, started, ended))
        self._check()
        return window

    async def _measure(
        self,
        phase: str,
        seconds: float,
        iterations: int,
        started: Callable[[int], object],
        ended: Callable[[int], object],
    ) -> Measured:
        requests = Requests(self._traffic, self._most_in_flight)
        sources = self._sources(requests)
        try:
            await self._lead_in(requests)
            start_ns = requests.begin_window()
            started(start_ns)
            lag = LoopLag()
            await requests.rest((start_ns - time.monotonic_ns()) / 1e9 + seconds)
            if self._count(requests) < iterations:
                await requests.until(lambda: self._count(requests) >= iterations)
                await self._rest_randomly(requests)
            end_ns = requests.end_window()
            lag.stop()
            ended(end_ns)
            await requests.until(requests.followed)
        finally:
            await self._stop(requests, sources)
        for exchange in requests.exchanges:
            exchange.settle()
        client = ClientLoad(lag.cpu_seconds, len(os.sched_getaffinity(0)), lag.p99_seconds, lag.max_seconds)
        return measured(phase, start_ns, end_ns, requests.exchanges, self._facts, client)

    @property
    def _closed(self) -> bool:
        return self._facts.arrivals == "closed"

    def _count(self, requests: Requests) -> int:
        """Return the number of requests of the window that a window reports."""
        return len(requests.exchanges) if self._closed else requests.due

    def _sources(self, requests: Requests) -> list[asyncio.Task[None]]:
        if self._closed:
            return [self._loop.create_task(requests.client()) for _ in range(self._clients)]
        return [self._loop.create_task(requests.arrivals(self._gap))]

    def _gap(self) -> float:
        """Return the seconds from one arrival to the next."""
        return self._random.expovariate(self._rate) if self._facts.arrivals == "poisson" else 1 / self._rate

    async def _lead_in(self, requests: Requests) -> None:
        if not self._closed:
            await requests.rest(self._lead_seconds)
            await requests.until(lambda: requests.warm > 0)
        else:
            await requests.until(lambda: requests.warm >= self._clients and bool(requests.exchanges))
        await self._rest_randomly(requests)

    async def _rest_randomly(self, requests: Requests) -> None:
        """Wait for a random part of a period of the load: a request of a client, or the time between two arrivals."""
        period = requests.mean_seconds if self._closed else 1 / self._rate
        await requests.rest(self._random.random() * period)

    async def _stop(self, requests: Requests, sources: list[asyncio.Task[None]]) -> None:
        """Stop the load: cancel the requests whose end the server notices, await the others."""
        requests.running = False
        tasks = [*sources, *requests.tasks]
        for task in tasks if self._streams else () if self._closed else sources:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        self._traffic.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
