"""The server of a load: its place, its idle baselines, and the notes on what is not available and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from agent.host.server import find_server
from agent.profiling.analysis.idle import BASELINES, IDLE_LOADED, IDLE_UNLOADED
from agent.profiling.analysis.serving import errors_text, load_of
from agent.workloads.declaration import service_of, starts_programs
from agent.workloads.point import decode_point, point_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.config import Config
    from agent.host.server import Server
    from agent.profiling.context import ProfileRequest, RunContext
    from agent.sampling.remote.probe import RemoteHost
    from store.records import Window


def server_of(request: ProfileRequest, config: Config) -> Server | None:
    """Return the server under load, None for a run that loads its own model.

    The processes of a server that the run starts are part of the run already.
    """
    service = service_of(request.spec)
    if service is None:
        return None
    found = find_server(service.url, config.roots.procfs)
    if request.energy_from:  # its processes are those of another host, even behind a tunnel on this one
        return replace(found, processes=None)
    return replace(found, processes=frozenset()) if service.started_here and found.local else found


def baselines(request: ProfileRequest, context: RunContext) -> tuple[str, ...]:
    """Return the phases of the idle baselines that the run can measure.

    The sensors of this host show none of a server elsewhere, and a server that runs already is never unloaded.
    A program that each iteration starts is never loaded without work.
    """
    service = service_of(request.spec)
    if context.is_elsewhere:
        return ()
    if starts_programs(type(request.spec)):
        return (IDLE_UNLOADED,)
    return (IDLE_LOADED,) if service and not service.started_here else BASELINES


def place_notes(server: Server | None, remote: RemoteHost | None = None) -> list[str]:
    """Return the notes on the place of a server, and on the host whose sensors measure it."""
    if server is None:
        return []
    if remote:
        return [_remote_note(remote)]
    if not server.local:
        return [elsewhere_note(server)]
    return [] if server.processes is not None else [hidden_note(server)]


def server_notes(
    server: Server, request: ProfileRequest, windows: Sequence[Window], remote: RemoteHost | None = None
) -> list[str]:
    """Return the notes on the place of the server, its idle power, and the points without a successful request."""
    notes = place_notes(server, remote)
    service = service_of(request.spec)
    if (server.local or remote) and service and not service.started_here:
        notes.append(
            "the run did not start the server, so there is no idle power without it: the energy has no idle and no "
            "dynamic part, and the cost of idle time uses the power of the idle server"
        )
    if any(point.get("concurrency") for point in request.points):
        notes.append("closed loop: N clients wait for the server, so the latencies do not include queueing")
    return notes + [
        f"no request succeeded at {name}: {errors}; the point is left out" for name, errors in _failed(windows)
    ]


def _failed(windows: Sequence[Window]) -> Iterator[tuple[str, str]]:
    """Yield the name of each point without a successful request, and its errors."""
    for point in dict.fromkeys(window.point for window in windows if window.point):
        own = [window for window in windows if window.point == point]
        load = load_of([(window,) for window in own])
        if load is not None and not any(window.inferences and window.work for window in own):
            yield point_name(decode_point(point)), errors_text(load.errors) or "none was due"


def _remote_note(remote: RemoteHost) -> str:
    return (
        f"host, sensors and energy are those of {remote.host.name}, read from {remote.url}: its clock is known to "
        f"within {1e3 * remote.clock_uncertainty_seconds:.2g} ms, which widens the bounds; the load of its other "
        "programs is unknown"
    )


def model_name(listed: str) -> str:
    """Return the model that a server lists; of a path on its host, which a profile must not show, the last part."""
    return PurePath(listed).name if listed.startswith("/") else listed


def elsewhere_note(server: Server) -> str:
    """Return the note on a server of another host."""
    return (
        f"the server at {server.origin} is not on this host, so its energy is not available: "
        "--energy-from URL reads it from the daemon there"
    )


def hidden_note(server: Server) -> str:
    """Return the note on a server whose processes are not visible."""
    return (
        f"the processes of the server at {server.origin} are not visible, so the load of other programs is unknown: "
        "run as root or as the user of the server; a server in a container may stay hidden"
    )
