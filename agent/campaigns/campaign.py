"""A campaign as frozen records: hosts with what they must have, and workloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.campaigns.selection import selects

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.campaigns.records import Host, Launcher


@dataclass(frozen=True, slots=True)
class ExpectedHost:
    """A host with what it must have: the number of its devices by a pattern of their names.

    `tariff` is the text of its tariff, empty without one.
    """

    host: Host
    devices: Mapping[str, int]
    tariff: str


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """A workload of the campaign: the words of its command, and the selectors of its hosts (empty for all)."""

    name: str
    words: tuple[str, ...]
    rest: tuple[str, ...]
    hosts: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its command in short, by which another run is compared with it: `transformer --quick --batch=1,8`."""
        return " ".join((*self.words[1:], *self.rest))

    @property
    def measures_elsewhere(self) -> bool:
        """Whether its profiles have the sensors of another host than the one that runs the command."""
        return any(word.startswith("--energy-from=") for word in self.words)

    def is_for(self, host: Host) -> bool:
        """Return whether it runs on a host."""
        return not self.hosts or any(selects(each, host.name, host.labels) for each in self.hosts)


@dataclass(frozen=True, slots=True)
class Rules:
    """The conditions that the head verifies of each host before it measures."""

    require_energy: bool
    any_version: bool
    clock_seconds: float
    other_load: float


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign file; `drift` is the least change that counts as a regression, None if none is looked for.

    `schedule` is a calendar event of systemd, empty without one.
    """

    name: str
    path: Path
    launcher: Launcher
    hosts: tuple[ExpectedHost, ...]
    workloads: tuple[WorkloadPlan, ...]
    repetitions: int
    timeout_seconds: float
    rules: Rules
    drift: float | None
    schedule: str
