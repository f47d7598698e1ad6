"""OpenVINO: compiles models for one device, and checks that the device computes in the precision asked for."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import openvino

from agent.workloads.engines.openvino_devices import check_used, chosen_device, computing_precision
from agent.workloads.errors import WorkloadError, as_workload_error

if TYPE_CHECKING:
    from agent.workloads.engine_spec import EngineSpec

ENGINE = "openvino"
VERSION = str(openvino.__version__).partition("-")[0]

_CANNOT_COMPILE = "install a newer openvino, or choose another --engine"
_TYPES = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_CORE = openvino.Core()

# NNCF, which compresses weights, sends reports of use through this package. It sends none if the package is missing.
sys.modules["openvino_telemetry"] = cast("Any", None)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model on a device, which computes in `computes_in`: fp32, fp16, bf16 or int8.

    The compilation began at `load_start_ns` on CLOCK_MONOTONIC and took `load_seconds`.
    """

    handle: Any
    device: str
    computes_in: str
    load_start_ns: int
    load_seconds: float

    @property
    def kind(self) -> str:
        """The kind of device: `cpu`, `gpu` or `npu`."""
        return self.device.partition(".")[0].lower()


def check_device(engine: EngineSpec, stored: str) -> tuple[str, str]:
    """Return the device of an engine spec, and its precision of computing with weights of a `stored` precision.

    Raises WorkloadError if this host lacks the device, or the device the precision.
    """
    device = chosen_device(engine, _CORE.available_devices)
    return device, computing_precision(stored, _CORE.get_property(device, "OPTIMIZATION_CAPABILITIES"))


def compiled(model: Any, engine: EngineSpec, stored: str) -> Compiled:
    """Compile a model with weights of a `stored` precision for the device of an engine spec. Raises WorkloadError.

    By default OpenVINO computes in bf16 or fp16 if that is faster, and stores the cache in 8 bits. Both are set to the
    precision of the computation. Activations that meet weights of 8 or 4 bits are rounded to 8 bits in groups where
    OpenVINO does so by default; `computes_in` is then int8.
    """
    device, precision = check_device(engine, stored)
    wanted = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "KV_CACHE_PRECISION": _TYPES[precision],
        **({"INFERENCE_NUM_THREADS": engine.threads} if engine.threads else {}),
    }
    supported = set(_CORE.get_property(device, "SUPPORTED_PROPERTIES"))
    started_ns = time.monotonic_ns()
    try:
        handle = _CORE.compile_model(model, device, {name: wanted[name] for name in wanted.keys() & supported})
    except Exception as error:
        raise as_workload_error(error, f"compiling the model for {device}", _CANNOT_COMPILE) from error
    seconds = (time.monotonic_ns() - started_ns) / 1e9
    used = tuple(handle.get_property("EXECUTION_DEVICES"))
    check_used(device, used)
    actual = handle.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if actual != _TYPES[precision]:
        raise WorkloadError(f"{device} computes in {actual}, not in {precision}", "choose another --precision")
    return Compiled(handle, used[0], _computes_in(handle, stored, precision), started_ns, seconds)


def _computes_in(handle: Any, stored: str, precision: str) -> str:
    """Return int8 if the device rounds activations to 8 bits for weights of 8 or 4 bits, else the precision."""
    group = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
    rounds = group in handle.get_property("SUPPORTED_PROPERTIES") and handle.get_property(group) > 0
    return "int8" if rounds and stored in {"int8", "int4"} else precision
