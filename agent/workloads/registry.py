"""The registry of workloads, of this package and of other installed packages.

A workload of this package is one line of `WORKLOADS`. Another package adds one with an entry point of the group
`inferometer.workloads`: its name is the name of the command, and its value has the same form.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agent.workloads.declaration import Workload

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

GROUP = "inferometer.workloads"
WORKLOADS = {
    "transformer": "agent.workloads.transformer.spec:WORKLOAD",
    "onnx": "agent.workloads.onnx.spec:WORKLOAD",
    "llama": "agent.workloads.llama.spec:WORKLOAD",
    "gemm": "agent.workloads.gemm.spec:WORKLOAD",
    "stream": "agent.workloads.stream.spec:WORKLOAD",
    "endpoint": "agent.workloads.endpoint.spec:WORKLOAD",
    "http": "agent.workloads.http.spec:WORKLOAD",
    "command": "agent.workloads.command.spec:WORKLOAD",
}
"""The declarations of the workloads of this package, by the name of the command."""


class UnknownWorkloadError(ValueError):
    """No workload has this name, or its declaration cannot be used; the message names the package and the cause."""


def names() -> tuple[str, ...]:
    """Return the names of all workloads, those of this package first."""
    return tuple(dict.fromkeys([*WORKLOADS, *sorted(each.name for each in _entry_points())]))


def find(name: str) -> Workload:
    """Return a declared workload. Raises UnknownWorkloadError."""
    if name in WORKLOADS:
        module, _, variable = WORKLOADS[name].partition(":")
        workload: Workload = getattr(import_module(module), variable)
        return workload
    point = _entry_point(name)
    try:
        found = point.load()
    except Exception as error:  # the code of another package, which can fail in any way
        raise UnknownWorkloadError(f"{_source(point)} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, Workload):
        raise UnknownWorkloadError(f"{_source(point)} is {type(found).__name__}, not a Workload")
    if found.spec.workload != name:
        raise UnknownWorkloadError(f"{_source(point)} calls itself {found.spec.workload!r}: both names must be equal")
    return found


def _entry_point(name: str) -> EntryPoint:
    point = next((each for each in _entry_points() if each.name == name), None)
    if point is None:
        raise UnknownWorkloadError(f"there is no workload {name!r}: choose one of {', '.join(names())}")
    return point


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415  slow, and no worker of this package needs it

    return entry_points(group=GROUP)


def _source(point: EntryPoint) -> str:
    package = f" of the package {point.dist.name}" if point.dist else ""
    return f"the workload {point.name!r}{package} ({point.value})"
