"""Queries the drivers of GPUs for their users during a window, without waiting for one that hangs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from agent.host.records import GpuLoad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.nvml.library import GpuProcesses

_GPU_QUERY_TIMEOUT_SECONDS = 1.0
_LONGEST_SAMPLING_SECONDS = 1.0
"""A driver samples the users every 1/6 to 1 s (NVML API Reference Guide: nvmlUtilization_t)."""


@runtime_checkable
class GpuHandle(Protocol):
    """A GPU whose driver can be queried; `gpu` is its id."""

    gpu: str

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        """Return the programs on the GPU now, and their shares of its time since a moment in Unix microseconds."""
        ...


@runtime_checkable
class ScannedGpuHandle(GpuHandle, Protocol):
    """A GPU whose users are found by comparing two scans; `gpu_processes` needs a call at the beginning, too."""

    scans_users: bool


class GpuActivityMonitor:
    """Queries all GPUs in its own thread, which ends with the process if a driver never answers."""

    def __init__(self, gpus: Sequence[GpuHandle], within_seconds: float = _GPU_QUERY_TIMEOUT_SECONDS) -> None:
        self._gpus = gpus
        self._within_seconds = within_seconds
        self._asking: threading.Thread | None = None

    def snapshot(self, since_us: int) -> Mapping[str, GpuProcesses | None]:
        """Return the users of each GPU since a moment in Unix microseconds, None for each that did not answer in time.

        No GPU is queried while a driver still hangs in a previous query.
        """
        return self._query(self._gpus, since_us)

    def begin(self, now_us: int) -> None:
        """Make the first scan of those GPUs that compare two."""
        self._query([each for each in self._gpus if isinstance(each, ScannedGpuHandle)], now_us)

    def _query(self, gpus: Sequence[GpuHandle], since_us: int) -> Mapping[str, GpuProcesses | None]:
        answers: dict[str, GpuProcesses | None] = dict.fromkeys(each.gpu for each in gpus)

        def ask() -> None:
            for each in gpus:
                answers[each.gpu] = each.gpu_processes(since_us)

        if gpus and not (self._asking and self._asking.is_alive()):
            self._asking = threading.Thread(target=ask, name="gpus", daemon=True)
            self._asking.start()
            self._asking.join(self._within_seconds)
        return answers.copy()


def gpu_loads(
    reported: Mapping[str, GpuProcesses | None], ours: frozenset[int] | None, seconds: float
) -> tuple[GpuLoad, ...]:
    """Split the users of each GPU over a time in seconds into this program and others; unknown without `own`."""
    return tuple(_gpu_load(gpu, gpu_processes, ours, seconds) for gpu, gpu_processes in reported.items())


def _gpu_load(gpu: str, gpu_processes: GpuProcesses | None, ours: frozenset[int] | None, seconds: float) -> GpuLoad:
    if gpu_processes is None or ours is None:
        return GpuLoad(gpu, None, None, None)
    programs = None if gpu_processes.programs is None else len(gpu_processes.programs - ours)
    shares = gpu_processes.shares
    if shares is None or (not shares and seconds < _LONGEST_SAMPLING_SECONDS):
        return GpuLoad(gpu, None, None, programs)
    own = sum(share for pid, share in shares.items() if pid in ours)
    others = sum(share for pid, share in shares.items() if pid not in ours)
    return GpuLoad(gpu, float(own), float(others), programs)
