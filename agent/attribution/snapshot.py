"""The state of the measured servers at one moment, for the exporter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.attribution.idle import IdlePower
    from agent.attribution.traffic import TokenCost, WindowFigures


@dataclass(frozen=True, slots=True)
class ServerState:
    """The last scrape of a server: whether it succeeded, its Unix time, and the scrapes and errors so far by reason.

    `shortened_labels` and `folded_models` are those of the last reading. `devices` are empty while none is known.
    """

    name: str
    kind: str
    up: bool = False
    last_success_ns: int = 0
    scrapes: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    restarts: int = 0
    shortened_labels: int = 0
    folded_models: int = 0
    running: float | None = None
    waiting: float | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelState:
    """The totals of a model of a server: counts by quantity, and joules by (part, method, source).

    `window` and its `costs` are None and empty without a window that is long enough; `source` is that of its energy.
    """

    server: str
    model: str
    counts: Mapping[str, float]
    joules: Mapping[tuple[str, str, str], float]
    window: WindowFigures | None = None
    source: str = ""
    costs: tuple[TokenCost, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The joules of the parts of a device, the sum of its residuals with a bound, and its idle power."""

    device: str
    source: str
    parts: Mapping[str, float]
    residual: float
    residual_bound: float
    idle: IdlePower


@dataclass(frozen=True, slots=True)
class ServingSnapshot:
    """All servers, models and devices; `currency` is that of the costs."""

    servers: tuple[ServerState, ...] = ()
    models: tuple[ModelState, ...] = ()
    devices: tuple[DeviceState, ...] = ()
    currency: str = ""
