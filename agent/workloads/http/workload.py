"""Repeats one HTTP request on any inference service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.runtime.console import printable_line
from agent.workloads.axes import at_point
from agent.workloads.errors import WorkloadError
from agent.workloads.http.headers import is_secret, resolved
from agent.workloads.load.exchange import Exchange
from agent.workloads.load.session import Session
from agent.workloads.load.target import parse_url, require_private_channel
from agent.workloads.runner.protocol import Ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.http.spec import HttpSpec
    from agent.workloads.load.client import Client
    from agent.workloads.load.engine import LoadPhase
    from agent.workloads.point import Point

_MOST_BODY_BYTES = 256 << 20
_LONGEST_NAME = 100


def check(spec: HttpSpec, _engine: EngineSpec, _points: Sequence[Point]) -> None:
    """Read the files of a spec, and send one request to a running server. Raises WorkloadError."""
    session = _session(spec)
    traffic = FixedTraffic(session.client, spec, session.target.path)
    if not spec.server_command:
        try:
            _tried(session, traffic)
        finally:
            session.close()


def load(spec: HttpSpec, _engine: EngineSpec) -> HttpWorkload:
    """Find the server, or start it first. Raises WorkloadError."""
    return HttpWorkload(spec, _session(spec))


def _session(spec: HttpSpec) -> Session:
    for name in (name for name, value in spec.headers.items() if is_secret(name) or value.startswith("@")):
        require_private_channel(parse_url(spec.url), f"the header {name}")
    return Session(spec, resolved(spec.headers))


class FixedTraffic:
    """One request, again and again."""

    def __init__(self, client: Client, spec: HttpSpec, path: str) -> None:
        self._client, self._status = client, spec.expect_status
        self._body = _content(spec.body) if spec.body else b""
        kind = "application/json" if self._body[:1] in {b"{", b"["} else "application/octet-stream"
        self._head = client.head(spec.method, path if path.startswith("/") else f"/{path}", kind)
        self.headers: Mapping[bytes, bytes] = {}

    def next(self) -> Exchange:
        """Return the next request."""
        return Exchange(self._body, self._status)

    async def send(self, exchange: Exchange) -> None:
        """Send a request, and return after its end."""
        self.headers = await self._client.send(self._head, exchange)

    async def is_accepted(self) -> bool:
        """Return whether the server answers the request as expected."""
        exchange = self.next()
        await self.send(exchange)
        return exchange.ok

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


class HttpWorkload:
    """A server under load."""

    def __init__(self, spec: HttpSpec, session: Session) -> None:
        self._spec, self._session = spec, session
        self._traffic = FixedTraffic(session.client, spec, session.target.path)
        began_ns = time.monotonic_ns()
        session.start(spec, self._traffic.is_accepted)
        load_seconds = (time.monotonic_ns() - began_ns) / 1e9 if spec.server_command else 0.0
        try:
            _tried(session, self._traffic)
        except BaseException:
            session.close()
            raise
        engine, _, version = self._traffic.headers.get(b"server", b"http").decode("latin-1").partition("/")
        self.ready = Ready(
            engine=printable_line(engine)[:_LONGEST_NAME],
            version=printable_line(version)[:_LONGEST_NAME],
            provider="server",
            threads=0,
            precision=None,
            parameters=None,
            model_bytes=None,
            sha256=None,
            phases=spec.phases,
            load_seconds=load_seconds,
            load_start_ns=began_ns if spec.server_command else 0,
        )

    def close(self) -> None:
        """Close the connections, and end the server if this run started it."""
        self._session.close()

    def prepare(self, parameters: Point) -> Mapping[str, LoadPhase]:
        """Try the request, and return the load of the point."""
        spec = at_point(self._spec, parameters)
        try:
            seconds = _tried(self._session, self._traffic)
        finally:
            self._traffic.close()
        phase = self._session.phase(
            spec,
            self._traffic,
            counted_by="none",
            streams=False,
            request_seconds=seconds,
            inferences_per_request=spec.inferences_per_request,
        )
        return {"serving": phase}


def _tried(session: Session, traffic: FixedTraffic) -> float:
    """Send one request, and return its seconds. Raises WorkloadError if it fails."""
    exchange = traffic.next()
    session.run(traffic.send(exchange))
    if exchange.ok:
        return (exchange.end_ns - exchange.sent_ns) / 1e9
    if exchange.status:
        raise WorkloadError(
            f"{session.target.origin} answered the request with {exchange.outcome}",
            "correct --url, --body or --header, or give the status of a success: --expect-status",
        )
    raise WorkloadError(
        f"{session.target.origin} does not answer: {session.client.cause(exchange)}", "start it, and check --url"
    )


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MOST_BODY_BYTES + 1)
    except OSError as error:
        raise WorkloadError(f"--body {file.name}: {error.strerror}", "check the path and its permissions") from error
    if len(content) > _MOST_BODY_BYTES:
        raise WorkloadError(f"--body {file.name}: larger than {_MOST_BODY_BYTES >> 20} MiB", "give a smaller body")
    return content
