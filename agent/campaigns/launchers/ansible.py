"""The launcher `ansible`: one run of ansible-playbook, which reaches the hosts as the user's inventory says."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.ansible_playbook import LIMIT, PLAYBOOK, playbook_of
from agent.campaigns.launchers.programs import output_of
from agent.campaigns.launchers.result_folder import ResultFolder, check_uids
from agent.runtime.leash import leashed
from agent.runtime.private_folder import shared_folder
from agent.runtime.text_input import quoted
from probes.text import one_line

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from agent.campaigns.fields import Fields
    from agent.campaigns.records import Notes, Outcome, Task

_POLL_SECONDS = 0.1
_MOST_FORKS = 10_000
_LONGEST_REASON = 400
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name of the inventory that is no pattern of Ansible."""
_FATAL = re.compile(
    r'^fatal: \[([^\]\s]+)[^\]]*\]: (?:UNREACHABLE|FAILED)! => .*?"msg": ("(?:[^"\\]|\\.)*")', re.MULTILINE
)
_VARIABLES = {
    "ANSIBLE_STDOUT_CALLBACK": "default",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    "ANSIBLE_HOST_KEY_CHECKING": "True",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "ANSIBLE_FORCE_COLOR": "False",
    "ANSIBLE_NOCOLOR": "True",
    "ANSIBLE_ANY_ERRORS_FATAL": "False",
}


@dataclass(frozen=True, slots=True)
class AnsibleLauncher:
    """Runs the playbook of a campaign; `limit` is a pattern of Ansible that narrows every group."""

    inventory: tuple[str, ...]
    limit: str
    forks: int
    become: bool

    def members(self, group: str) -> Sequence[str]:
        """Return the hosts of a group or another pattern of Ansible."""
        narrowed = (f"--limit={self.limit}",) if self.limit else ()
        printed = output_of(("ansible", *self._inventory(), *narrowed, "--list-hosts", "--", group))
        return [line.strip() for line in printed.splitlines()[1:] if line.strip()]

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Return the playbook."""
        self._check(tasks)
        return playbook_of(tasks, Path("RESULTS"))

    def run(self, tasks: Sequence[Task], _notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        """Run the playbook and yield the outcome of each task as its result appears in a private folder."""
        self._check(tasks)
        with shared_folder() as (folder, held):
            for name, text in playbook_of(tasks, folder).items():
                (folder / name).write_text(text, encoding="utf-8")
            now_ns = time.time_ns()
            results = ResultFolder(folder, tasks, lambda task: task.uid, lambda _: now_ns)

            def passed(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
                for outcome in outcomes:
                    goes_on = proceed(outcome)
                    _decide(folder, outcome, "run" if goes_on else "stop")
                    if not goes_on:
                        results.drop(outcome.task.host.name)
                    yield outcome

            with self._playing(folder, held) as playing:
                while playing.poll() is None:
                    yield from passed(results.poll())
                    time.sleep(_POLL_SECONDS)
            yield from passed(results.poll())
            reasons = _reasons(folder, playing.returncode)
            addresses = {task.host.name: task.host.address for task in tasks}
            for host in results.hosts:
                # A command whose connection is lost ends on its host, and stores its profile there.
                yield from passed(results.lost(host, reasons.get(addresses[host], reasons[""]), detached=True))

    def _inventory(self) -> tuple[str, ...]:
        return tuple(f"--inventory={each}" for each in self.inventory)

    @contextmanager
    def _playing(self, folder: Path, held: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run ansible-playbook in the background, and end it with the block or the head; its output goes to a file.

        The folder stays as long as a process of Ansible, which would make it again for another user to find.
        """
        options = (f"--forks={self.forks}", f"--limit=@{folder / LIMIT}", *(("--become",) if self.become else ()))
        program = shutil.which("ansible-playbook")
        if program is None:
            raise CampaignError("there is no ansible-playbook on PATH: install ansible-core on this machine")
        argv = (program, *self._inventory(), *options, "--", str(folder / PLAYBOOK))
        with (
            (folder / "log").open("wb") as log,
            leashed(argv, log, {**os.environ, **_VARIABLES}, (held,)) as playing,
        ):
            yield playing

    def _check(self, tasks: Sequence[Task]) -> None:
        check_uids(tasks)
        for task in tasks:
            if not _ADDRESS.fullmatch(task.host.address):
                raise CampaignError(
                    f"host {task.host.name}: address = {quoted(task.host.address)} is not a name of the inventory"
                )


def _decide(folder: Path, outcome: Outcome, decision: str) -> None:
    """Write the decision of the head about the next task of a host; it appears complete."""
    part = folder / f"{outcome.task.uid}.next.part"
    part.write_text(decision, encoding="utf-8")
    part.rename(folder / f"{outcome.task.uid}.next")


def _reasons(folder: Path, code: int) -> dict[str, str]:
    """Return why hosts have no result, by the name of the inventory; the entry "" is for a host that is not named."""
    text = (folder / "log").read_text(encoding="utf-8", errors="replace")
    found = {host: one_line(_message(message))[:_LONGEST_REASON] for host, message in _FATAL.findall(text)}
    end = one_line(text.strip().rpartition("\n")[2])[-_LONGEST_REASON:]
    return {**found, "": f"ansible-playbook ended with {code} without this host: {end}"}


def _message(text: str) -> str:
    """Return the text of a JSON string; as it is if a plugin of the user printed something else."""
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text


def launcher(fields: Fields) -> AnsibleLauncher:
    """Return the launcher with its options: `inventory`, `limit`, `forks` and `become`."""
    inventory = fields.path("inventory")
    return AnsibleLauncher(
        inventory=() if inventory is None else (str(inventory),),
        limit=fields.text("limit", ""),
        forks=fields.whole("forks", 50, 1, _MOST_FORKS),
        become=fields.flag("become"),
    )
