"""The devices that llama.cpp really uses, as its log of a load reports them; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from agent.workloads.engine_spec import EngineSpec

CPU = "cpu"
ALL_LAYERS = -1
_DEVICE = re.compile(r"(?<!already )using device (\S{1,64}) \(")
_LAYERS = re.compile(r"offloaded (\d{1,9})/(\d{1,9}) layers to GPU")


@dataclass(frozen=True, slots=True)
class Placement:
    """The devices of a model, by llama.cpp's names, and its layers on them; without devices it is on the CPU."""

    devices: tuple[str, ...] = ()
    offloaded: int = 0
    layers: int = 0

    @property
    def device(self) -> str:
        """The devices that run the model."""
        return "+".join(self.devices) if self.offloaded else CPU

    @property
    def provider(self) -> str:
        """The kind of device: `cpu`, `cuda`, `vulkan`."""
        return self.devices[0].rstrip("0123456789").lower() if self.offloaded else CPU

    @property
    def cpu_share(self) -> float | None:
        """The share of the layers that the CPU runs beside a device, None if the CPU runs all."""
        return 1 - self.offloaded / self.layers if self.offloaded else None


def placement_in(log: str) -> Placement:
    """Return the placement that the log of a load reports."""
    layers = _LAYERS.findall(log)
    offloaded, total = map(int, layers[-1]) if layers else (0, 0)
    devices = tuple(dict.fromkeys(_DEVICE.findall(log)))
    return Placement(devices, min(offloaded, total) if devices else 0, total)


def check_request(engine: EngineSpec, gpu_layers: int) -> None:
    """Raise WorkloadError if the requested device and number of layers exclude each other."""
    if engine.device == CPU and gpu_layers > 0:
        raise WorkloadError(f"--device cpu and --gpu-layers {gpu_layers} exclude each other", "give one of them")
    if engine.device not in {AUTO, CPU} and gpu_layers == 0:
        raise WorkloadError(f"--device {engine.device} and --gpu-layers 0 exclude each other", "give one of them")


def is_cpu(engine: EngineSpec, gpu_layers: int) -> bool:
    """Return whether no other device than the CPU may be used."""
    return engine.device == CPU or gpu_layers == 0


def check_use(found: Placement, engine: EngineSpec, gpu_layers: int, remedy: str) -> None:
    """Raise WorkloadError if a requested device is not used."""
    if engine.device not in {AUTO, CPU} and (engine.device not in found.devices or not found.offloaded):
        raise WorkloadError(f"--device {engine.device}: the model was loaded on {found.device} instead", remedy)
    if gpu_layers > 0 and found.offloaded < min(gpu_layers, found.layers or gpu_layers):
        raise WorkloadError(
            f"--gpu-layers {gpu_layers}: {found.offloaded} layers are on a GPU, and the others on the CPU", remedy
        )
