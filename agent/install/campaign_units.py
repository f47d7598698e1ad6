"""The systemd service and timer of a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.install.python_env import quoted
from agent.install.systemd import files_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_STORED_COMMAND = "/usr/local/bin/inferometer campaign run /etc/inferometer/campaign.toml"


def units(name: str, program: Path, file: Path, schedule: str) -> Mapping[str, str]:
    """Return the texts of both units by their names. Raises ValueError for a path that systemd cannot start."""
    command = f"{quoted(program)} campaign run {quoted(file)}"
    texts = {}
    for kind in ("service", "timer"):
        text = (files_folder() / f"inferometer-campaign.{kind}").read_text(encoding="utf-8")
        text = text.replace("campaign NAME", f"campaign {name}").replace(_STORED_COMMAND, command)
        texts[f"inferometer-campaign-{name}.{kind}"] = text.replace("OnCalendar=Sun 02:00", f"OnCalendar={schedule}")
    return texts
