"""The service commands, and a fake of systemd."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from agent.cli.service import app
from agent.install import systemd as service

PROGRAM = Path("/opt/inferometer/bin/inferometerd")
PLACES = [place for _, place in service.PLACES]


def invoke(*args: str) -> Any:
    return CliRunner().invoke(app, [*args], catch_exceptions=False)


class Systemd:
    """A fake of the commands of systemd, which records the calls and fails those in `failing`."""

    def __init__(self, *failing: str, stdout: str = "") -> None:
        self.asked: list[str] = []
        self._failing = failing
        self._stdout = stdout

    def __call__(self, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        self.asked.append(" ".join(argv))
        fails = any(word in self.asked[-1] for word in self._failing)
        return subprocess.CompletedProcess(argv, int(fails), self._stdout, "it broke\n" if fails else "")
