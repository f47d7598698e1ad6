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
    """The values of a workload's parameters: a frozen dataclass whose fields are declared with `parameter`."""

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
