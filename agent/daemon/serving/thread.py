"""The one thread that scrapes all inference servers; it cannot delay sampling, and a stop never waits for a server."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from agent.attribution.device_energy import DeviceMeter
from agent.attribution.exposition import ExpositionError, read_exposition
from agent.attribution.ledger import Ledger, Observation, ServerObservation
from agent.attribution.snapshot import ServingSnapshot
from agent.daemon.serving.accounts import stored_totals, totals_of
from agent.daemon.serving.fetch import FetchError, Target, fetch
from agent.daemon.serving.host_observer import HostObserver
from agent.runtime.cpu_budget import UNLIMITED
from agent.runtime.logs import get_logger
from store.errors import StoreError
from store.serving_hours import HOUR_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.config import Config
    from agent.config.serving import ServingConfig
    from agent.host.gpu_activity import GpuHandle
    from agent.runtime.clock import Timebase
    from agent.sampling.channel_energy import ChannelJoules
    from agent.sampling.counter_accumulator import Totals as StoredTotals
    from store.reader import Reader
    from store.records import Host
    from store.writer import Writer

PERIOD_SECONDS = 5.0
_AWAIT_SECONDS = 2.0
"""The time that a round waits for its scrapes; a slower one counts in a later round."""
_HOURS_EVERY = 12
"""The number of rounds between two updates of the stored hours."""
_STOP_SECONDS = 2.0

logger = get_logger("serving")


class ServingThread:
    """Scrapes the servers of a configuration every five seconds, and attributes energy to them.

    `channels` returns the joules of the host's sensors so far. `saved` reads the stored totals, `writer` stores
    them, and `memory` has the newer ones of this process.
    The thread uses at most `cpu_share` of one processor: it scrapes less often if it would use more. `snapshot` may be
    read by any thread.
    """

    def __init__(
        self,
        config: Config,
        host: Host,
        timebase: Timebase,
        channels: Callable[[], Sequence[ChannelJoules]],
        gpus: Sequence[GpuHandle],
        saved: Reader,
        memory: StoredTotals,
        writer: Writer,
        cpu_share: float = UNLIMITED,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        now_ns = timebase.now_ns()
        self.snapshot = ServingSnapshot()
        self._servers = config.serving
        self._host = host
        self._timebase = timebase
        self._channels = channels
        self._writer = writer
        self._period = period_seconds
        self._share = cpu_share
        self._memory = memory
        before = {total.key: total for total in saved.totals(host.id)} | memory
        self._ledger = Ledger(config.serving, config.tariff, totals_of(before.values(), now_ns))
        hours = saved.serving_hours(now_ns, now_ns + HOUR_NS)
        self._ledger.resume(hour for hour in hours if hour.host_id == host.id)
        self._observer = HostObserver(config.roots, config.serving, gpus)
        self._meter = DeviceMeter()
        self._running: dict[str, asyncio.Task[ServerObservation]] = {}
        self._targets: dict[str, Target] = {}
        self._failing: dict[str, str] = {}
        self._warned: set[str] = set()
        self._last_ns = now_ns
        self._rounds = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._wake: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="serving", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, within_seconds: float = _STOP_SECONDS) -> None:
        """Stop, and store the hours; requests that are in progress are aborted."""
        self._stopping.set()
        loop, wake = self._loop, self._wake
        if loop and wake and not loop.is_closed():
            loop.call_soon_threadsafe(wake.set)
        if self._thread.is_alive():
            self._thread.join(within_seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._rounds_until_stop())
        except Exception:  # the top of a thread: sampling continues without it
            logger.exception("serving fault")

    async def _rounds_until_stop(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._wake.wait())
        while not self._stopping.is_set():
            began, used_ns = time.monotonic(), time.thread_time_ns()
            try:
                await self._round(stopping)
            except Exception:  # after any error in a round, the next one may succeed
                logger.exception("serving fault")
            used = (time.thread_time_ns() - used_ns) / 1e9
            pause = max(self._period, used / self._share if self._share else 0.0) - (time.monotonic() - began)
            await asyncio.wait({stopping}, timeout=max(0.0, pause))
        for task in (*self._running.values(), stopping):
            task.cancel()
        self._store(with_hours=True)

    async def _round(self, stopping: asyncio.Future[Any]) -> None:
        """Scrape every server whose last scrape has ended, and account for the results that are complete."""
        for server in self._servers:
            if server.name not in self._running:
                self._running[server.name] = asyncio.ensure_future(self._scrape(server))
        ends = time.monotonic() + _AWAIT_SECONDS
        while not all(task.done() for task in self._running.values()) and not stopping.done():
            left = ends - time.monotonic()
            if left <= 0:
                break
            waiting: list[asyncio.Future[Any]] = [task for task in self._running.values() if not task.done()]
            await asyncio.wait([*waiting, stopping], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            return
        self._account({name: self._running.pop(name).result() for name in self._ended()})

    def _ended(self) -> list[str]:
        return [name for name, task in self._running.items() if task.done()]

    def _account(self, results: dict[str, ServerObservation]) -> None:
        activities, now_ns = self._observer.servers(), self._timebase.now_ns()
        seen = {
            server.name: ServerObservation(
                results[server.name].reading if server.name in results else None,
                results[server.name].error if server.name in results else "",
                activities[server.name],
            )
            for server in self._servers
        }
        host = self._observer.host(time.time_ns() // 1000)
        seconds, self._last_ns = (now_ns - self._last_ns) / 1e9, now_ns
        if seconds > 0:
            energies = self._meter.advance(self._channels())
            self._ledger.observe(Observation(now_ns, seconds, seen, host, energies))
        self._rounds += 1
        self._store(with_hours=self._rounds % _HOURS_EVERY == 0)
        self.snapshot = self._ledger.snapshot
        self._warn_of_servers_without_devices()

    def _warn_of_servers_without_devices(self) -> None:
        """Log once each server whose energy cannot be attributed."""
        for server in self.snapshot.servers:
            if server.up and not server.devices and server.name not in self._warned and self._channels():
                self._warned.add(server.name)
                reason = "the processes of the server are not visible to this user"
                logger.warning("no energy is attributed", server=server.name, reason=reason, remedy="set its devices")

    def _store(self, *, with_hours: bool) -> None:
        """Store the totals before they are exported, so that a kill cannot make them decrease."""
        totals = tuple(stored_totals(self._ledger.totals, self._host, self._timebase.now_ns()))
        try:
            self._memory.update((total.key, total) for total in totals)
            self._writer.save_totals(totals)
            if with_hours:
                self._writer.save_serving_hours(self._ledger.hours(self._host.id))
        except StoreError as error:
            logger.warning("served traffic is not stored: retrying", reason=str(error))

    async def _scrape(self, server: ServingConfig) -> ServerObservation:
        """Return the reading of a server, or the reason of the failure."""
        name = server.name
        try:
            if name not in self._targets:
                self._targets[name] = Target.of(server)
            reading = read_exposition(await fetch(self._targets[name]), server.metrics, server.model)
        except (FetchError, ExpositionError) as error:
            self._targets.pop(name, None)  # its files are read again, as they may have changed
            if self._failing.get(name) != str(error):
                logger.warning("scrape failed: retrying", server=name, reason=str(error))
            self._failing[name] = str(error)
            return ServerObservation(error=error.reason if isinstance(error, FetchError) else "metrics")
        if self._failing.pop(name, None):
            logger.info("scrape works again", server=name)
        return ServerObservation(reading)
