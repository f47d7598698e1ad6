"""The options of the launcher `slurm`, and the command of sbatch that they make."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm_jobs
from agent.runtime.text_input import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.campaigns.fields import Fields
    from agent.campaigns.records import Task

_TEXTS = ("partition", "account", "qos", "reservation", "gres")
"""The options of sbatch that have the same name here."""
_WRITERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class SlurmOptions:
    """`folder` is shared by nodes and head, `state` is on each node; `time_minutes` is 0 for the sum of the tasks."""

    folder: Path
    state: str
    constraint: str
    texts: tuple[tuple[str, str], ...]
    time_minutes: int
    wait_seconds: float

    def submission(self, name: str, constraint: str, hosts: Sequence[Sequence[Task]], minutes: int) -> tuple[str, ...]:
        """Return the command that submits the array of some hosts, all of the same constraint."""
        chosen = constraint or self.constraint
        options = [f"--{key}={value}" for key, value in self.texts if value]
        options += [f"--constraint={chosen}"] if chosen else []
        options += [f"--time={self.time_minutes or minutes}", "--mem=0", "--input=/dev/null"]
        # %x is the name of the job and %a its index.
        return slurm_jobs.submission(name, len(hosts), (*options, f"--output={self.folder}/%x_%a.log"))

    def write_given(self, stem: str, text: str) -> None:
        """Write the standard input of a task, which only this user can read."""
        path = self.folder / f"{stem}.given"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as stream:
            stream.write(text.encode())

    def check_folder(self) -> None:
        """Make the folder if it is absent. Raises CampaignError if others can write to it: a result would be theirs."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.folder.stat()
        except OSError as error:
            raise CampaignError(
                f"launcher: folder: {named(self.folder)} cannot be used ({error.strerror}): name one that nodes share"
            ) from error
        if status.st_uid != os.geteuid() or status.st_mode & _WRITERS:
            raise CampaignError(
                f"launcher: folder: {named(self.folder)} is not yours alone: run chmod go-w on it, or name another one"
            )


def slurm_options(fields: Fields) -> SlurmOptions:
    """Read the options of the table [launcher]. Raises CampaignError."""
    default = f"/var/tmp/inferometer-{os.geteuid()}"  # noqa: S108  the job checks its owner
    folder, state = Path(fields.text("folder")), fields.text("state", default)
    for key, path in (("folder", folder), ("state", Path(state))):
        if not path.is_absolute() or "%" in str(path):
            raise fields.error(key, f"{path} is not an absolute path without %: name one such as /shared/inferometer")
    return SlurmOptions(
        folder=folder,
        state=state,
        constraint=fields.text("constraint", ""),
        texts=tuple((key, fields.text(key, "")) for key in _TEXTS),
        time_minutes=fields.whole("time_minutes", 0, 0, 60 * 24 * 30),
        wait_seconds=fields.real("wait_minutes", 1440.0, 0.0, 60.0 * 24 * 30) * 60,
    )
