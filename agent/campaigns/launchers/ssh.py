"""The launcher `ssh`: runs each command with OpenSSH, whose configuration has users, ports, keys and known hosts."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.processes import run_by_host, run_process
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path
    from threading import Event

    from agent.campaigns.fields import Fields
    from agent.campaigns.records import Notes, Outcome, Task

_OPTIONS = (
    *("BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"),
    *("PermitLocalCommand=no", "RequestTTY=no", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=4"),
    *("ControlMaster=no", "RemoteCommand=none"),
)
"""ssh_config(5): nothing is asked, no unknown host is accepted, nothing of this machine is forwarded.

A connection that others may share would not end with its command.
"""
ADDRESS = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9_][A-Za-z0-9_.:%-]*")
"""An address: a host, an alias of ssh_config or an IP address, after a user and `@` if needed; none begins with `-`."""
_OWN_ERROR = 255
"""The exit code of ssh(1) if it fails itself."""
_MOST_FORKS = 1000


@dataclass(frozen=True, slots=True)
class SshLauncher:
    """Runs the commands of `forks` hosts at once; `config` replaces the user's ssh_config."""

    config: Path | None
    forks: int

    def members(self, group: str) -> Sequence[str]:
        """Raise CampaignError: ssh has no inventory."""
        raise CampaignError(f"group {quoted(group)}: ssh has no groups; list the hosts by name, or use ansible")

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Return the command of each task."""
        return {task.uid: shlex.join(self._argv(task)) for task in tasks}

    def run(self, tasks: Sequence[Task], _notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        """Run tasks and yield the outcome of each; raises CampaignError for an address that ssh must not get."""
        for task in tasks:
            if not ADDRESS.fullmatch(task.host.address):
                raise CampaignError(
                    f"host {task.host.name}: address = {quoted(task.host.address)} is not user@host or an alias of "
                    "ssh_config(5)"
                )
        return run_by_host(tasks, self._run, proceed, self.forks)

    def _argv(self, task: Task) -> tuple[str, ...]:
        options = (word for option in _OPTIONS for word in ("-o", option))
        config = () if self.config is None else ("-F", str(self.config))
        # sshd hands one line to the user's shell, so every word is quoted for it.
        return ("ssh", *config, *options, "--", task.host.address, shlex.join(task.command()))

    def _run(self, task: Task, stop: Event) -> Outcome:
        outcome = run_process(task, self._argv(task), stop)
        # A command whose connection is lost ends on its host, and stores its profile there.
        lost = outcome.code is None or outcome.code == _OWN_ERROR or outcome.code < 0
        return replace(outcome, code=None, detached=True) if lost else outcome


def launcher(fields: Fields) -> SshLauncher:
    """Return the launcher with its options: `config`, a file of ssh_config(5), and `forks`."""
    return SshLauncher(fields.path("config"), fields.whole("forks", 32, 1, _MOST_FORKS))
