"""PyTorch: chooses the device, quantizes matrices, counts the bytes of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from agent.workloads.engines.torch_device import CPU, choose_device, offered_devices, provider_of
from agent.workloads.errors import WorkloadError, as_workload_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.workloads.engine_spec import EngineSpec

ENGINE = "torch"
VERSION = str(torch.__version__)

_SMALLER = "choose a smaller model or another --precision"


def device_of(engine: EngineSpec) -> Any:
    """Return the device that a spec names. Raises WorkloadError if this installation lacks it."""
    kind, count = None, 0
    if torch.accelerator.is_available():
        kind, count = torch.accelerator.current_accelerator().type, torch.accelerator.device_count()
    return torch.device(choose_device(engine.device, offered_devices(kind, count), VERSION))


def use_threads(threads: int) -> None:
    """Compute with this number of threads; 0 is PyTorch's own choice."""
    if threads:
        torch.set_num_threads(threads)


def synchronize(device: Any) -> None:
    """Wait until the device has finished; the CPU always has."""
    if device.type != CPU:
        torch.accelerator.synchronize(device)


def provider(device: Any) -> str:
    """Return the kind of device: `cpu`, `cuda`, `rocm`, `xpu`, `hpu`."""
    return provider_of(device.type, torch.version.hip)


def used_device(tensors: Iterable[Any], wanted: Any) -> Any:
    """Return the device of loaded tensors. Raises WorkloadError if one is not on the wanted device."""
    found = {tensor.device for tensor in tensors}
    if found != {wanted}:
        raise WorkloadError(
            f"--device {wanted}: PyTorch put weights on {', '.join(sorted(map(str, found)))}", "choose --device cpu"
        )
    return wanted


def stored_bytes(tensor: Any) -> int:
    """Return the bytes of a tensor; those of a quantized one are its packed values, scales and zero points."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    names, _ = tensor.__tensor_flatten__()
    return sum(stored_bytes(getattr(tensor, name)) for name in names)


def loading_error(error: Exception) -> WorkloadError:
    """Return any failure of a load as a WorkloadError."""
    return as_workload_error(error, "loading the model", _SMALLER)
