"""Sets the number of threads of the library that multiplies matrices for NumPy, before NumPy is imported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from agent.workloads.engine_spec import EngineSpec

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def limit_threads(engine: EngineSpec) -> None:
    """Set the variables that these libraries read when they are loaded; 0 threads are their own choice."""
    if engine.threads:
        os.environ.update(dict.fromkeys(_VARIABLES, str(engine.threads)))


def check_cpu(engine: EngineSpec) -> None:
    """Raise WorkloadError for a device other than the CPU."""
    if engine.device not in {AUTO, "cpu"}:
        raise WorkloadError(f"--device {engine.device}: numpy has only cpu", "choose --device cpu, or --engine torch")
