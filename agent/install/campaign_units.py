"""The systemd service and timer of a campaign."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from agent.install.python_env import quoted
from agent.install.systemd import files_folder
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_STORED_COMMAND = "/usr/local/bin/inferometer campaign run /etc/inferometer/campaign.toml"


def units(name: str, program: Path, file: Path, schedule: str, options: Mapping[str, Path]) -> Mapping[str, str]:
    """Return the texts of both units by their names; `options` are those of the command whose values are files.

    Raises ValueError for a path that systemd cannot start.
    """
    words = [quoted(program), "campaign run", quoted(file)]
    words += [f"{option} {quoted(path)}" for option, path in options.items()]
    texts = {}
    for kind in ("service", "timer"):
        text = (files_folder() / f"inferometer-campaign.{kind}").read_text(encoding="utf-8")
        text = text.replace("campaign NAME", f"campaign {name}").replace(
            "OnCalendar=Sun 02:00", f"OnCalendar={schedule}"
        )
        texts[f"inferometer-campaign-{name}.{kind}"] = text.replace(_STORED_COMMAND, " ".join(words))
    return texts


def calendar_problem(schedule: str) -> str:
    """Return the error of systemd for a calendar event, empty if it is valid or systemd is not installed."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return ""
    done = subprocess.run([program, "calendar", "--", schedule], capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else one_line(lines[-1] if lines else "it is not a calendar event")
