"""The client's process during a load: its event loop, its connections, its CPUs, and the server that it started."""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from agent.workloads.errors import WorkloadError
from agent.workloads.load.client import Client
from agent.workloads.load.engine import MOST_IN_FLIGHT, LoadPhase
from agent.workloads.load.event_loop import new_event_loop
from agent.workloads.load.exchange import Exchange
from agent.workloads.load.server_process import ServerProcess
from agent.workloads.load.spec import parse_cpus
from agent.workloads.load.target import parse_url
from agent.workloads.load.window import LoadFacts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from agent.workloads.load.requests import Traffic
    from agent.workloads.load.spec import LoadSpec
    from agent.workloads.load_records import TokenSource

_T = TypeVar("_T")
_POLL_SECONDS = 0.1
_SPARE_FILES = 64


class Session:
    """The way to the server of a run. `close` ends the connections and the server that was started."""

    def __init__(self, spec: LoadSpec, headers: Mapping[str, str]) -> None:
        self.target = parse_url(spec.url)
        self.loop = new_event_loop()
        self.client = Client(self.target, headers, spec.request_timeout, self.target.tls(spec.ca_file))
        self._most_in_flight = min(MOST_IN_FLIGHT, _raised_file_limit() - _SPARE_FILES)
        self._server: ServerProcess | None = None
        self._phases = 0

    def start(self, spec: LoadSpec, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Start the server, if the run does, wait until it is ready, and take the CPUs of the client.

        Raises WorkloadError if the server ends, or if another one has its address.
        """
        if spec.server_command:
            if self.run(self._answers()):
                raise WorkloadError(
                    f"--server-command: a server at {self.target.origin} is running already",
                    "stop it, give another port, or leave out --server-command",
                )
            self._server = ServerProcess(spec.command())
            try:
                self.run(self._wait(is_ready, self._server))
            except BaseException:
                self._server.stop()
                raise
        if spec.client_cpus:
            _pin(spec.client_cpus)

    def run(self, work: Coroutine[None, None, _T]) -> _T:
        """Run a coroutine on the event loop of this session."""
        return self.loop.run_until_complete(work)

    def phase(
        self,
        spec: LoadSpec,
        traffic: Traffic,
        *,
        counted_by: TokenSource,
        streams: bool,
        request_seconds: float,
        inferences_per_request: int = 1,
    ) -> LoadPhase:
        """Return the phase that puts the load of a spec on the server.

        Raises WorkloadError if this process may not open a connection for each client.
        """
        if not spec.rate and spec.concurrency > self._most_in_flight:
            raise WorkloadError(
                f"--concurrency {spec.concurrency}: this process may open {self._most_in_flight + _SPARE_FILES} files "
                "only, and each client needs one",
                f"allow more before the command: ulimit -n {spec.concurrency + _SPARE_FILES}",
            )
        self._phases += 1
        facts = LoadFacts(spec.loop, counted_by, spec.request_timeout, inferences_per_request)
        return LoadPhase(
            self.loop,
            traffic,
            facts,
            clients=spec.concurrency,
            rate=spec.rate,
            seed=self.seed(spec),
            streams=streams,
            request_seconds=request_seconds,
            most_in_flight=self._most_in_flight,
            check=self.check,
        )

    def seed(self, spec: LoadSpec) -> str:
        """Return the seed of the next phase: repeats of a point differ, and runs of one seed and order do not."""
        return f"{spec.seed} {self._phases}"

    def check(self) -> None:
        """Raise WorkloadError if the server that was started has ended."""
        if self._server is not None:
            self._server.check()

    def close(self) -> None:
        """Close the connections, and end the server that was started."""
        self.client.close()
        self.loop.close()
        if self._server is not None:
            self._server.stop()

    async def _answers(self) -> bool:
        exchange = Exchange(b"")
        await self.client.send(self.client.head("GET", "/"), exchange)
        return exchange.status > 0

    async def _wait(self, is_ready: Callable[[], Awaitable[bool]], server: ServerProcess) -> None:
        while not await is_ready():
            server.check()
            await asyncio.sleep(_POLL_SECONDS)
        server.check()


def _raised_file_limit() -> int:
    """Raise the limit of open files as far as allowed, and return it; each request under way needs a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, max(soft, 2 * MOST_IN_FLIGHT)) if hard != resource.RLIM_INFINITY else 2 * MOST_IN_FLIGHT
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _pin(text: str) -> None:
    try:
        os.sched_setaffinity(0, parse_cpus(text))
    except OSError as error:
        usable = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        raise WorkloadError(
            f"--client-cpus {text}: this process may not use them ({error.strerror})", f"choose among {usable}"
        ) from error
