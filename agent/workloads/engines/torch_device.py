"""The choice of a device of PyTorch by its name, without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = "cpu"


def offered_devices(accelerator: str | None, count: int) -> tuple[str, ...]:
    """Return the names of the devices of an installation: `cpu`, then each accelerator, such as `cuda:0`."""
    return (CPU, *(f"{accelerator}:{index}" for index in range(count if accelerator else 0)))


def choose_device(name: str, offered: Sequence[str], version: str) -> str:
    """Return the offered device of a name: `auto` is the first accelerator, else the CPU; `cuda` is `cuda:0`.

    Raises WorkloadError that lists the offered devices.
    """
    if name == AUTO:
        return offered[1] if len(offered) > 1 else CPU
    found = next((each for each in (name, f"{name}:0") if each in offered), None)
    if found is None:
        message = f"--device {name}: torch {version} offers only {', '.join(offered)}"
        raise WorkloadError(message, _remedy(name, offered))
    return found


def provider_of(kind: str, hip_version: str | None) -> str:
    """Return the kind of device: that of torch, but `rocm` for an AMD GPU, which torch names `cuda`."""
    return "rocm" if kind == "cuda" and hip_version else kind


def _remedy(name: str, offered: Sequence[str]) -> str:
    kind = name.partition(":")[0]
    if kind == "rocm":
        return "PyTorch names an AMD GPU cuda: choose --device cuda with a torch for ROCm, or --device cpu"
    if kind == CPU or any(each.startswith(f"{kind}:") for each in offered):
        return "choose one of them"
    return f"install the torch for {kind} (https://pytorch.org/get-started/locally), or choose --device {offered[-1]}"
