"""The declaration of a workload; its command, sweep, document and reference derive from it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.limits import Limits
    from agent.workloads.point import Point


class Spec(Protocol):
    """The values of a workload's parameters: a frozen dataclass whose fields are declared with `parameter`.

    The spec of a load on a server also has a property `service`, the `Service` it sends its requests to. A spec may
    have a property `notes`, sentences for the profile.
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


def needed_engine(workload: Workload, spec: Spec) -> Engine | None:
    """Return the engine that a spec needs, None for a workload without one."""
    chosen = getattr(spec, "engine", None)
    named = (each for each in workload.engines if each.name == chosen)
    return next(named, workload.engines[0] if workload.engines else None)


def uses_service(kind: type[Spec]) -> bool:
    """Return whether the workloads of a kind of spec send their requests to a server."""
    return hasattr(kind, "service")


def service_of(spec: Spec) -> Service | None:
    """Return the server of a workload, None for one that runs its model itself."""
    found: Service | None = getattr(spec, "service", None)
    return found


def starts_programs(kind: type[Spec]) -> bool:
    """Return whether each iteration of a kind of spec starts a program: the spec then has a property `programs`.

    A window is then at least one run of the program, the machine is idle without it, and the options of an engine have
    no meaning.
    """
    return hasattr(kind, "programs")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that a workload can use: the modules that it needs, and the command that installs them.

    A workload that needs programs instead, such as `llama-bench`, needs one of `programs`.
    """

    name: str
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    remedy: str = ""

    def missing(
        self, find: Callable[[str], object] = find_spec, which: Callable[[str], object] = which
    ) -> tuple[str, ...]:
        """Return the modules and programs that are not installed; `find` and `which` return None for one."""
        modules = tuple(name for name in self.modules if find(name) is None)
        absent = self.programs if not any(which(name) for name in self.programs) else ()
        return (*modules, *absent)


ONNXRUNTIME = Engine("onnxruntime", ("onnxruntime", "onnx", "numpy"), remedy="pip install 'inferometer[onnx]'")
"""The default engine of the workloads that run a model in this program's own process."""
NUMPY = Engine("numpy", ("numpy",), remedy="pip install 'inferometer[onnx]'")
TORCH = Engine("torch", ("torch", "numpy"), remedy="pip install 'inferometer[torch]'")

TORCH = Engine("torch", ("torch", "numpy"), remedy="pip install 'inferometer[torch]'")


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of workload, registered by one line in `agent/workloads/registry.py` or by an entry point.

    `spec` declares the parameters. `implementation` is the module whose `load(spec, engine)` returns a loaded model; it
    is imported in the workload process only. `help` is the help of the command `inferometer profile NAME`. `engines`
    are those that can run it, the default one first; the parameter `engine` of the spec names one of several. `check`
    raises WorkloadError before a run for points that cannot fit this host, and returns a line about the resources that
    they need, or an empty text. A workload `on_demand` is no part of the usual installation, so `doctor` does not warn
    if no engine of it is installed.
    """

    spec: type[Spec]
    implementation: str
    help: str
    engines: tuple[Engine, ...] = ()
    check: Callable[[Spec, EngineSpec, Sequence[Point], Limits], str] | None = None
    on_demand: bool = False
