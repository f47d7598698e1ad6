"""The configuration as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, field
from socket import gethostname
from typing import TYPE_CHECKING

from agent.config.meters import meters_of_host
from agent.runtime.cpu_budget import CPU_BUDGET
from probes.model import Roots
from probes.settings import SensorSettings

if TYPE_CHECKING:
    from agent.config.labels import Labels
    from agent.config.serving import ServingConfig
    from agent.cost.tariff import Tariff
    from probes.settings import MeterConfig

LISTEN = "127.0.0.1:19795"
"""The exporter's address by default: this host alone, on a port of no well-known exporter."""


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """The limits of what the service stores; 0 is no limit.

    `raw_days` and `rollup_days` are the age of the oldest samples and of the oldest summaries, `raw_bytes` is the size
    of the database. Nothing younger than two hours is removed for its size.
    """

    raw_days: float = 30.0
    raw_bytes: int = 0
    rollup_days: float = 365.0


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """The place to which the service pushes profiles (`to`), empty for none: a PostgreSQL URL or a directory.

    `password_file` has the password of the URL. `anonymize` removes names and identifiers before a push.
    """

    to: str = ""
    password_file: str = ""
    anonymize: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """All settings.

    `exclude` names families, devices and domains that are not read. `ambient` is the device/domain of a temperature
    sensor of the room, empty for none. `periods` has the seconds between two reads of each
    probe family that differs from `period_seconds`. `cpu_budget` is the share of one processor that sampling may use, 0
    for no limit. `realtime` allows real-time scheduling for one thread of a measurement or a profile. `tariff` is the
    content of `tariff_file`, None without one. `hosts` are DNS names by which requests may address the exporter.
    `socket` is the path of a unix socket on which it listens too, empty for none, and `socket_group` the group that may
    connect to it. `web_config` is the file with TLS and users of `listen`, empty for none. `otlp_endpoint` is the URL
    that receives the energy every `otlp_interval_seconds`, empty for none. `serving` are the inference servers whose
    traffic is measured, `meters` the meters outside of this host and of others. `labels` are the names and values of
    the labels of this host. `warnings` are sentences about the file, for the user.
    """

    database: str = ""
    log_level: str = "info"
    tariff_file: str = ""
    tariff: Tariff | None = None
    roots: Roots = field(default_factory=Roots)
    period_seconds: float = 1.0
    periods: tuple[tuple[str, float], ...] = ()
    exclude: tuple[str, ...] = ()
    ambient: str = ""
    estimates: bool = True
    cpu_budget: float = CPU_BUDGET
    realtime: bool = True
    listen: str = LISTEN
    hosts: tuple[str, ...] = ()
    socket: str = ""
    socket_group: str = ""
    web_config: str = ""
    otlp_endpoint: str = ""
    otlp_interval_seconds: float = 60.0
    retention_config: RetentionConfig = field(default_factory=RetentionConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    serving: tuple[ServingConfig, ...] = ()
    meters: tuple[MeterConfig, ...] = ()
    labels: Labels = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def sensors(self) -> SensorSettings:
        """The settings of sensor discovery, with the meters of this host alone."""
        return SensorSettings(self.estimates, self.exclude, meters_of_host(self.meters, gethostname()))

    def period_of(self, probe: str) -> float:
        """Return the seconds between two reads of a probe, by its family (the part of its name before a slash)."""
        return dict(self.periods).get(probe.partition("/")[0], self.period_seconds)
