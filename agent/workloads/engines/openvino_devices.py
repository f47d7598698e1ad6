"""The choice of a device among those that OpenVINO finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.workloads.engine_spec import EngineSpec


def chosen_device(engine: EngineSpec, available: Sequence[str]) -> str:
    """Return the device that an engine spec names; `auto` is a GPU if there is one, else the CPU.

    `available` are OpenVINO's names (`CPU`, `GPU.0`, `NPU`). `GPU` is the first GPU. Raises WorkloadError that lists
    them.
    """
    families = {name.partition(".")[0] for name in available}
    name = ("GPU" if "GPU" in families else "CPU") if engine.device == AUTO else engine.device.upper()
    if name not in {*available, *families}:
        raise WorkloadError(
            f"--device {engine.device}: OpenVINO has no such device on this host",
            f"choose one of {', '.join(available) or 'none'}; a GPU or an NPU needs its driver",
        )
    if engine.threads and name != "CPU":
        raise WorkloadError(f"--threads {engine.threads}: the device {name} has no threads to set", "omit --threads")
    return name


def check_used(device: str, used: Sequence[str]) -> None:
    """Raise WorkloadError unless a model runs on the chosen device only; `GPU` and `GPU.0` are the same one."""
    if len(used) != 1 or used[0] not in {device, f"{device}.0", device.removesuffix(".0")}:
        raise WorkloadError(
            f"the model runs on {', '.join(used) or 'no device'}, not on {device}",
            "install a newer openvino, or choose another --device",
        )


def computing_precision(stored: str, capabilities: Sequence[str]) -> str:
    """Return the precision in which a device with these capabilities computes with weights of another one.

    Weights of fp16 are computed in fp32 by a device without fp16, weights of 8 or 4 bits in fp32 if the device has it.
    Raises WorkloadError if the device has neither.
    """
    orders = {"fp16": ("fp16", "fp32"), "int8": ("fp32", "fp16"), "int4": ("fp32", "fp16")}
    for precision in orders.get(stored, (stored,)):
        if precision.upper() in capabilities:
            return precision
    raise WorkloadError(
        f"--precision {stored}: the device computes in {', '.join(capabilities)} only",
        "choose another --precision or --device",
    )
