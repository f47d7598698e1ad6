"""The interface between the workload and the engines that run a GGUF file, one module for each engine."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Any, Protocol, cast

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.llama.placement import Placement
    from agent.workloads.llama.spec import LlamaSpec
    from agent.workloads.runner.timing import MeasuringPhase, Phase

PROGRAM = "llama-bench"
MODULES = {
    "llama-cpp-python": "agent.workloads.llama.on_llama_cpp",
    PROGRAM: "agent.workloads.llama.on_llama_bench",
}
"""The modules that run a GGUF file, each an `EngineModule`, by the name of the engine."""


class LoadedFile(Protocol):
    """A model file in an engine.

    `threads` is the number that the engine uses, `version` its version. The load began at `load_start_ns` on
    CLOCK_MONOTONIC.
    """

    placement: Placement
    threads: int
    version: str
    load_start_ns: int
    load_seconds: float

    def phases(self, spec: LlamaSpec) -> Mapping[str, Phase | MeasuringPhase]:
        """Run both phases of a point once, and return them. Raises WorkloadError."""
        ...

    def scores(self) -> Any:
        """Return the scores of the vocabulary after each token of a fixed text, None if the engine has none."""
        ...


class EngineModule(Protocol):
    """The module of one engine."""

    def check(self, spec: LlamaSpec, engine: EngineSpec) -> bool:
        """Return whether the CPU runs the model, as far as is known before a load.

        Raises WorkloadError if the engine cannot run the spec on the device.
        """
        ...

    def load(self, spec: LlamaSpec, engine: EngineSpec) -> LoadedFile:
        """Load the file of a spec. Raises WorkloadError."""
        ...


def engine_of(
    spec: LlamaSpec, find: Callable[[str], object] = find_spec, which: Callable[[str], object] = which
) -> str:
    """Return the engine that runs a spec: the requested one, else one that is installed. Raises WorkloadError."""
    if spec.engine != "auto":
        return spec.engine
    if spec.program is not None:
        return PROGRAM
    if find("llama_cpp") is not None:
        return "llama-cpp-python"
    if which(PROGRAM):
        return PROGRAM
    raise WorkloadError(
        "neither llama-cpp-python nor llama-bench is installed",
        "pip install 'inferometer[llama]', or name an installed llama-bench with --program FILE",
    )


def engine_module(name: str) -> EngineModule:
    """Import the module of an engine. Raises ImportError if the engine is not installed."""
    return cast("EngineModule", import_module(MODULES[name]))
