"""ONNX Runtime: loads models, places tensors on the device that computes, and runs without copies to the host."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import CANNOT_LOAD, WorkloadError, as_workload_error

# Official Linux builds start telemetry on import, before a call can stop it; this variable prevents that (Privacy.md in
# the package). Nothing leaves this host.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec

ENGINE = "onnxruntime"
VERSION = str(onnxruntime.__version__)

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ERRORS_ONLY = 3

onnxruntime.disable_telemetry_events()
onnxruntime.set_default_logger_severity(_ERRORS_ONLY)


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded model; the engine reads `external_weights` in place, so they must outlive the session.

    The load began at `load_start_ns` on CLOCK_MONOTONIC and took `load_seconds`.
    """

    handle: Any
    provider: Literal["cpu", "cuda"]
    load_start_ns: int
    load_seconds: float
    external_weights: tuple[Any, ...] = ()
    index: int = 0

    @property
    def device(self) -> str:
        """The device that runs the model."""
        return f"{self.provider}:{self.index}" if self.provider == "cuda" else self.provider

    def tensor(self, values: NDArray[Any], onnx_type: int | None = None) -> Any:
        """Return the values as a tensor of the engine, in the memory of the device that computes.

        With `onnx_type`, the values hold the bits of a type that numpy lacks. The tensor then shares their memory on
        the host, so they must outlive it.
        """
        if onnx_type is not None:
            return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(values, onnx_type)
        return onnxruntime.OrtValue.ortvalue_from_numpy(values, self.provider, self.index)

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        """Run the model once on tensors and return the named outputs as tensors, on the device and complete."""
        binding = self.handle.io_binding()
        for name, tensor in feeds.items():
            binding.bind_ortvalue_input(name, tensor)
        for name in outputs:
            binding.bind_output(name, self.provider, self.index)
        self.handle.run_with_iobinding(binding)
        binding.synchronize_outputs()
        tensors: list[Any] = binding.get_outputs()
        return tensors


def check_device(engine: EngineSpec) -> None:
    """Raise WorkloadError if this installation of the engine lacks the device."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", engine.device):
        raise WorkloadError(f"--device: {engine.device!r} is not one of auto, cpu, cuda, cuda:1, ...")
    offered = onnxruntime.get_available_providers()
    if engine.device.startswith("cuda") and _CUDA not in offered:
        raise WorkloadError(
            f"--device {engine.device}: this onnxruntime {VERSION} offers only {', '.join(offered)}",
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu; or --device cpu",
        )


def open_session(
    model: bytes | Path, engine: EngineSpec, weights: Mapping[str, NDArray[np.generic]] | None = None
) -> Session:
    """Load a model from its file or its bytes; `weights` are the external weights of a model in bytes.

    Raises WorkloadError for an invalid or unsupported model, and for an unavailable device.
    """
    check_device(engine)
    if engine.device == "cpu" or _CUDA not in onnxruntime.get_available_providers():
        return _opened(model, [_CPU], engine.threads, weights or {})
    return _opened_on_cuda(model, engine, weights or {})


def _opened_on_cuda(model: bytes | Path, engine: EngineSpec, weights: Mapping[str, NDArray[Any]]) -> Session:
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    why, index = "the engine fell back to the CPU", int(engine.device.partition(":")[2] or 0)
    try:
        session = _opened(model, [(_CUDA, {"device_id": str(index)}), _CPU], engine.threads, weights, index)
    except WorkloadError as error:
        session, why = None, error.message
    if session is not None and session.provider == "cuda":
        return session
    if engine.device != AUTO:
        raise WorkloadError(
            f"--device {engine.device}: {why}",
            "check that nvidia-smi works and that CUDA and cuDNN have the versions that onnxruntime needs "
            "(pip install 'onnxruntime-gpu[cuda,cudnn]'); or --device cpu",
        )
    sys.stderr.write(f"CUDA is available but not used: {why}\n")
    return session or _opened(model, [_CPU], engine.threads, weights)


def _opened(
    model: bytes | Path, providers: Sequence[Any], threads: int, weights: Mapping[str, NDArray[Any]], index: int = 0
) -> Session:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    external_weights = tuple(onnxruntime.OrtValue.ortvalue_from_numpy(values) for values in weights.values())
    if external_weights:
        options.add_external_initializers(list(weights), list(external_weights))
    source = model if isinstance(model, bytes) else str(model)
    started_ns = time.monotonic_ns()
    try:
        handle = onnxruntime.InferenceSession(source, options, providers=providers, enable_fallback=0)
    except Exception as error:
        doing = f"loading {'the model' if isinstance(model, bytes) else model}"
        raise as_workload_error(error, doing, CANNOT_LOAD) from error
    provider: Literal["cpu", "cuda"] = "cuda" if handle.get_providers()[0] == _CUDA else "cpu"
    return Session(handle, provider, started_ns, (time.monotonic_ns() - started_ns) / 1e9, external_weights, index)
