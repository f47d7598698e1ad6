"""The registry of launchers: one line each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent.campaigns.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.campaigns.records import Launcher

LAUNCHERS = {
    "ansible": "agent.campaigns.launchers.ansible:launcher",
    "kubernetes": "agent.campaigns.launchers.kubernetes:launcher",
    "local": "agent.campaigns.launchers.local:launcher",
    "slurm": "agent.campaigns.launchers.slurm:launcher",
    "ssh": "agent.campaigns.launchers.ssh:launcher",
}
"""The function that makes each launcher from its table in the campaign file, by the name of the launcher."""


def launcher_of(table: Mapping[str, Any], folder: Path) -> Launcher:
    """Return the launcher of the table [launcher]: its `kind`, and the options of that kind. Raises CampaignError."""
    fields = Fields("launcher", table, folder)
    module, _, function = LAUNCHERS[fields.choice("kind", "ssh", tuple(LAUNCHERS))].partition(":")
    make: Callable[[Fields], Launcher] = getattr(import_module(module), function)
    made = make(fields)
    fields.end()
    return made
