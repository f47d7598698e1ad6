"""The requests of a load that are under way, and those that touch its window."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from agent.workloads.load_records import UNSENT
from agent.workloads.runner.timing import LEAD_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.workloads.load.exchange import Exchange

_PAUSE_AFTER_FAILURE_SECONDS = 0.1
"""The pause of a client after a failed request, so that it does not flood a dead server."""
_POLL_SECONDS = 0.002


class Traffic(Protocol):
    """The source of the requests, and the way to the server."""

    def next(self) -> Exchange:
        """Return the next request."""
        ...

    async def send(self, exchange: Exchange) -> None:
        """Send a request, and return after its end."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Requests:
    """Runs the requests of one load until `running` is False.

    `exchanges` are the ended requests that touch the window: those that were under way in it or due in it. Before the
    window, they are all that have ended.
    """

    def __init__(self, traffic: Traffic, most_in_flight: int) -> None:
        self.running = True
        self.tasks: set[asyncio.Task[None]] = set()
        self.exchanges: list[Exchange] = []
        self.due = 0
        self._traffic = traffic
        self._most_in_flight = most_in_flight
        self._in_flight: set[Exchange] = set()
        self._first: list[Exchange] = []
        self._start_ns, self._end_ns = 0, sys.maxsize
        self._next_arrival_ns = sys.maxsize
        self._followed: set[Exchange] | None = None
        self._failure: Exception | None = None
        self._failed = asyncio.Event()

    @property
    def warm(self) -> int:
        """The clients whose first request has output or has ended; in an open loop 1 or 0."""
        return sum(each.ended or bool(each.outputs_ns) for each in self._first)

    @property
    def mean_seconds(self) -> float:
        """The mean duration of the successful ended requests, 0 if there are none."""
        seconds = [(each.end_ns - each.sent_ns) / 1e9 for each in self.exchanges if each.ok]
        return sum(seconds) / len(seconds) if seconds else 0.0

    def begin_window(self) -> int:
        """Begin the window, and return its start, which is up to a millisecond ahead."""
        self.exchanges.clear()
        self.due, self._start_ns = 0, time.monotonic_ns() + LEAD_NS
        return self._start_ns

    def end_window(self) -> int:
        """End the window, and return its end."""
        self._followed, self._end_ns = set(self._in_flight), time.monotonic_ns()
        return self._end_ns

    def followed(self) -> bool:
        """Return whether all requests that were under way at the end of the window, or due in it, have ended."""
        self._followed = {each for each in self._followed or () if not each.ended}
        return not self._followed and self._next_arrival_ns >= self._end_ns

    async def rest(self, seconds: float) -> None:
        """Wait for this time. Raises the exception that ended a client, at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._failed.wait()
        if self._failure is not None:
            raise self._failure

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition is true. Raises the exception that ended a client."""
        while not condition():
            if self._failure is not None:
                raise self._failure
            await asyncio.sleep(_POLL_SECONDS)

    async def client(self) -> None:
        """Send one request after the other."""
        is_first = True
        while self.running:
            exchange = self._traffic.next()
            if is_first:
                self._first.append(exchange)
                is_first = False
            await self._run(exchange)
            if not exchange.ok:
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)

    async def arrivals(self, gap: Callable[[], float]) -> None:
        """Send requests at their intended times, whether earlier ones have ended or not; `gap` is in seconds."""
        intended = time.monotonic()
        while self.running:
            intended += gap()
            exchange = self._traffic.next()
            exchange.intended_ns = self._next_arrival_ns = round(intended * 1e9)
            if not self._first:
                self._first.append(exchange)
            await asyncio.sleep(max(0.0, intended - time.monotonic()))
            self.due += exchange.intended_ns >= self._start_ns
            if len(self._in_flight) >= self._most_in_flight:
                exchange.sent_ns = exchange.intended_ns
                exchange.end(UNSENT, time.monotonic_ns())
                self._note(exchange)
                continue
            self._in_flight.add(exchange)
            if self._followed is not None and exchange.intended_ns < self._end_ns:  # this loop is late
                self._followed.add(exchange)
            task = asyncio.create_task(self._run(exchange))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _run(self, exchange: Exchange) -> None:
        self._in_flight.add(exchange)
        try:
            await self._traffic.send(exchange)
        except Exception as error:
            self._failure = error
            self._failed.set()
            raise
        finally:
            self._in_flight.discard(exchange)
            exchange.body = b""  # long prompts must not fill the memory during a window
            self._note(exchange)

    def _note(self, exchange: Exchange) -> None:
        if exchange.ended and exchange.end_ns >= self._start_ns and exchange.intended_ns < self._end_ns:
            self.exchanges.append(exchange)
