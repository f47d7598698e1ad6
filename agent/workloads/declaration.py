"""The declaration of a workload; its command, sweep, document and reference derive from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.limits import Limits
    from agent.workloads.point import Point


class Spec(Protocol):
    """The values of a workload's parameters: a frozen dataclass whose fields are declared with `parameter`.

    The spec of a load on a server also has a property `service`, the `Service` it sends its requests to.
    """

    workload: ClassVar[str]

    @property
    def label(self) -> str:
        """The model in a message: `the model resnet50.onnx`."""
        ...

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of one request, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """The server that a workload sends its requests to.

    `started_here` states whether the run starts it: only then is there a time without the model, and an unloaded idle
    baseline.
    """

    url: str
    started_here: bool = False


def uses_service(kind: type[Spec]) -> bool:
    """Return whether the workloads of a kind of spec send their requests to a server."""
    return hasattr(kind, "service")


def service_of(spec: Spec) -> Service | None:
    """Return the server of a workload, None for one that runs its model itself."""
    found: Service | None = getattr(spec, "service", None)
    return found


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of workload, registered by one line in `agent/workloads/registry.py` or by an entry point.

    `spec` declares the parameters. `implementation` is the module whose `load(spec, engine)` returns a loaded model; it
    is imported in the workload process only. `help` is the help of the command `inferometer profile NAME`. `requires`
    are the modules that must be installed, `remedy` installs them. `check` raises WorkloadError before a run for points
    that cannot fit this host.
    """

    spec: type[Spec]
    implementation: str
    help: str
    requires: tuple[str, ...] = ()
    remedy: str = ""
    check: Callable[[Spec, EngineSpec, Sequence[Point], Limits], None] | None = None
