"""ONNX Runtime: loads models, places tensors on the device that computes, and runs without copies to the host."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.workloads.engine_spec import AUTO
from agent.workloads.engines import onnxruntime_providers as providing
from agent.workloads.errors import CANNOT_LOAD, OutOfMemoryError, WorkloadError, as_workload_error

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
    from agent.workloads.engines.onnxruntime_providers import Choice

    Providers = Mapping[str, Mapping[str, str]]

ENGINE = "onnxruntime"
VERSION = str(onnxruntime.__version__)

_ERRORS_ONLY = 3

onnxruntime.disable_telemetry_events()
onnxruntime.set_default_logger_severity(_ERRORS_ONLY)


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded model; the engine reads `external_weights` in place, so they must outlive the session.

    `provider` is the short name of the provider that runs it, and `device` the device that the engine reports.
    `memory` is the kind of memory that holds its tensors, with the number of the device. The load began at
    `load_start_ns` on CLOCK_MONOTONIC and took `load_seconds`. `cpu_operator_share` is the share of the operators that
    the CPU runs instead, None if the engine does not report it.
    """

    handle: Any
    provider: str
    device: str
    memory: tuple[str, int]
    load_start_ns: int
    load_seconds: float
    cpu_operator_share: float | None = None
    external_weights: tuple[Any, ...] = ()

    def tensor(self, values: NDArray[Any], onnx_type: int | None = None) -> Any:
        """Return the values as a tensor of the engine, in the memory of the device that computes.

        With `onnx_type`, the values hold the bits of a type that numpy lacks. The tensor then shares their memory on
        the host, so they must outlive it.
        """
        if onnx_type is not None:
            return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(values, onnx_type)
        return onnxruntime.OrtValue.ortvalue_from_numpy(values, *self.memory)

    def bound(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> BoundRun:
        """Return a run of the model on these tensors, for repetition."""
        return BoundRun(self.handle, self.memory, feeds, outputs)

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        """Run the model once on tensors and return the named outputs as tensors, on the device and complete."""
        bound = self.bound(feeds, outputs)
        bound.run()
        return bound.results()


class BoundRun:
    """A run of a model on the same inputs, which are bound once: binding them takes as long as a tiny model."""

    def __init__(self, handle: Any, memory: tuple[str, int], feeds: Mapping[str, Any], outputs: Sequence[str]) -> None:
        self._handle = handle
        self._memory = memory
        self._outputs = tuple(outputs)
        self._binding = handle.io_binding()
        for name, tensor in feeds.items():
            self._binding.bind_ortvalue_input(name, tensor)

    def run(self) -> None:
        """Run the model once; its outputs are then on the device and complete. They replace those of the last run."""
        binding = self._binding
        for name in self._outputs:  # each time, because an output can have another shape
            binding.bind_output(name, *self._memory)
        self._handle.run_with_iobinding(binding)
        binding.synchronize_outputs()

    def results(self) -> list[Any]:
        """Return the outputs of the last run as tensors."""
        tensors: list[Any] = self._binding.get_outputs()
        return tensors


def check_device(engine: EngineSpec, providers: Providers | None = None) -> None:
    """Raise WorkloadError if this installation of the engine lacks the device or a provider."""
    _choice(engine, providers)


def _choice(engine: EngineSpec, providers: Providers | None) -> Choice:
    return providing.chosen(providers or {}, engine.device, onnxruntime.get_available_providers(), VERSION)


def open_session(
    model: bytes | Path,
    engine: EngineSpec,
    weights: Mapping[str, NDArray[np.generic]] | None = None,
    providers: Providers | None = None,
) -> Session:
    """Load a model from its file or its bytes; `weights` are the external weights of a model in bytes.

    `providers` choose the execution providers instead of the device, by full or short name, with their options. Raises
    WorkloadError for an invalid or unsupported model, and for an unavailable device or provider.
    """
    choice = _choice(engine, providers)
    if choice[0][0] == providing.CPU:
        return _opened(model, choice, engine.threads, weights or {})
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    try:
        return _opened(model, choice, engine.threads, weights or {})
    except WorkloadError as error:
        if providers or engine.device != AUTO or isinstance(error, OutOfMemoryError):
            raise
        sys.stderr.write(f"{error.message}; the CPU runs the model\n")
    return _opened(model, [(providing.CPU, {})], engine.threads, weights or {})


def _opened(model: bytes | Path, choice: Choice, threads: int, weights: Mapping[str, NDArray[Any]]) -> Session:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.add_session_config_entry(providing.RECORD, "1")
    external_weights = tuple(onnxruntime.OrtValue.ortvalue_from_numpy(values) for values in weights.values())
    if external_weights:
        options.add_external_initializers(list(weights), list(external_weights))
    source = model if isinstance(model, bytes) else str(model)
    started_ns = time.monotonic_ns()
    try:
        handle = onnxruntime.InferenceSession(source, options, providers=list(choice), enable_fallback=0)
    except Exception as error:
        doing = f"loading {'the model' if isinstance(model, bytes) else model}"
        raise as_workload_error(error, doing, CANNOT_LOAD) from error
    seconds = (time.monotonic_ns() - started_ns) / 1e9
    first, counts = choice[0][0], providing.operators_by_provider(handle)
    if why := providing.unused(choice, handle.get_providers(), counts):
        raise _unused_error(first, why)
    providing.check_options(choice, handle.get_provider_options())
    reported = handle.get_provider_options().get(first, {})
    return Session(
        handle=handle,
        provider=providing.short(first),
        device=providing.device_of(first, reported),
        memory=providing.memory_of(first, reported),
        load_start_ns=started_ns,
        load_seconds=seconds,
        cpu_operator_share=providing.cpu_share(first, counts),
        external_weights=external_weights,
    )


def _unused_error(first: str, why: str) -> WorkloadError:
    remedy = "check that its libraries and its device work, or leave it out"
    if first == providing.CUDA:
        remedy = (
            "check that nvidia-smi works and that CUDA and cuDNN have the versions that onnxruntime needs "
            "(pip install 'onnxruntime-gpu[cuda,cudnn]'); or --device cpu"
        )
    return WorkloadError(f"{providing.short(first)} is requested but not used: {why}", remedy)
