"""Reads the attributes of an Intel GPU, and the processes that use it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from probes.fdinfo import ClientShares
from probes.integer_attributes import AttributeProbe
from probes.nvml.library import GpuProcesses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from probes.integer_attributes import Opened
    from probes.model import Roots


class IntelGpuProbe(AttributeProbe):
    """The attributes of the GPU with the id `gpu`; `users` reads its processes from fdinfo, by comparing scans."""

    scans_users = True

    def __init__(
        self, name: str, opened: Sequence[Opened], runtime_status: Path | None, *, gpu: str, users: ClientShares
    ) -> None:
        super().__init__(name, opened, runtime_status)
        self.gpu = gpu
        self._users = users

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        """Return the processes on the GPU now, and their shares of its time since a moment in Unix microseconds.

        A sleeping GPU is not asked, because that would wake it. Another thread than that of `read` may call this.
        """
        return GpuProcesses(None, None) if self.is_suspended else self._users.gpu_processes(since_us)


def probe_of(roots: Roots, address: str) -> Callable[[str, Sequence[Opened], Path | None], IntelGpuProbe]:
    """Return the class of the probe of one GPU, with its users."""
    return partial(IntelGpuProbe, gpu=address, users=ClientShares(Path(roots.procfs), address))
