"""The launcher `local`: every host of the campaign is this machine, for example with a store of its own.

The hosts run one after the other, because programs that run at once would disturb one another.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.processes import run_by_host, run_process
from agent.install import python_env

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from threading import Event

    from agent.campaigns.fields import Fields
    from agent.campaigns.records import Notes, Outcome, Task


class LocalLauncher:
    """Runs the commands on this machine, without a shell."""

    def members(self, group: str) -> Sequence[str]:
        """Raise CampaignError: this machine has no inventory."""
        raise CampaignError(f"group {group!r}: the launcher local has no groups; list the hosts by name")

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Return the command of each task."""
        return {task.uid: shlex.join(_argv(task)) for task in tasks}

    def run(self, tasks: Sequence[Task], _notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        """Run tasks one after the other and yield the outcome of each."""
        return run_by_host(tasks, _run, proceed, 1)


def _argv(task: Task) -> tuple[str, ...]:
    """Return the command with the program of this environment, unless the file names another one."""
    name, *words = task.command()
    own = python_env.program()
    return (str(own) if name == "inferometer" and own.exists() else name, *words)


def _run(task: Task, stop: Event) -> Outcome:
    return run_process(task, _argv(task), stop)


def launcher(_fields: Fields) -> LocalLauncher:
    """Return the launcher; it has no options."""
    return LocalLauncher()
