"""How the engine runs a model."""

from __future__ import annotations

import re

import msgspec

AUTO = "auto"
_DEVICE = re.compile(r"[A-Za-z][\w.:,-]{0,39}", re.ASCII)


class EngineSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device that runs the model, by the engine's own name, and the number of threads.

    The device `auto` and 0 threads are the engine's own choice. The engine refuses a device that it lacks.
    """

    device: str = AUTO
    threads: int = 0

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(f"--device: {self.device!r} is not the name of a device, such as cpu, cuda or cuda:1")
        if self.threads < 0:
            raise ValueError(f"--threads: {self.threads} is out of range: 0 or more")
