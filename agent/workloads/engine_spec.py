"""How the engine runs a model."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Provider = Literal["auto", "cpu", "cuda"]


class EngineSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The provider that runs the model, and the number of threads (0: the engine's own choice)."""

    provider: Provider = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.provider not in get_args(Provider):
            raise ValueError(f"--provider: {self.provider!r} is not one of {', '.join(get_args(Provider))}")
        if self.threads < 0:
            raise ValueError(f"--threads: {self.threads} is out of range: 0 or more")
