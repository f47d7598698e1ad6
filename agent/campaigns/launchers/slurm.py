"""The launcher `slurm`: an array of exclusive jobs, one for each host; results come through a shared folder.

Slurm schedules the jobs, so they outlive the head: the next head finds them by their names.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm_jobs
from agent.campaigns.launchers.job_notes import JobNotes, by_host
from agent.campaigns.launchers.result_folder import ResultFolder, check_uids
from agent.campaigns.launchers.slurm_arrays import Arrays, by_constraint, minutes_of
from agent.campaigns.launchers.slurm_options import SlurmOptions, slurm_options
from agent.campaigns.launchers.slurm_script import script_of
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from agent.campaigns.fields import Fields
    from agent.campaigns.records import Notes, Outcome, Task

_POLL_SECONDS = 0.3
"""The time between two listings of the folder."""
_STATES_SECONDS = 5.0
"""The time between two questions to Slurm, which answers them for all users."""


@dataclass(frozen=True, slots=True)
class SlurmLauncher:
    """Runs the tasks of each host in a job that has its node alone."""

    options: SlurmOptions

    def members(self, group: str) -> Sequence[str]:
        """Return the nodes of a partition, or those with a feature."""
        return slurm_jobs.nodes_of(group)

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Return the script of each array with the command that submits it."""
        self._check(tasks)
        texts = {}
        for number, (constraint, hosts) in enumerate(by_constraint(by_host(tasks)).items(), 1):
            own = [each for _, each in hosts]
            line = shlex.join(self.options.submission("inferometer", constraint, own, minutes_of(own)))
            script = script_of("inferometer", own, self.options.folder, self.options.state)
            texts[f"array {number}"] = f"{script}# {line}\n"
        return texts

    def run(self, tasks: Sequence[Task], notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        """Submit the jobs that are missing, and yield the outcome of each task as its result appears in the folder."""
        self._check(tasks)
        self.options.check_folder()
        known = JobNotes(notes)
        arrays, hosts = Arrays(self.options, known), by_host(tasks)
        arrays.attach(hosts)
        results = ResultFolder(self.options.folder, tasks, arrays.stem, known.submitted_ns, shared=True)

        def passed(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
            for outcome in outcomes:
                host = outcome.task.host.name
                if not proceed(outcome):
                    arrays.cancel(host, hosts[host])
                    results.drop(host)
                yield outcome

        for host, reason in arrays.refused.items():
            yield from passed(results.lost(host, reason))
        try:
            asked = time.monotonic()
            while results.hosts:
                arrays.write_clock(results.first_hosts)
                yield from passed(results.poll())
                if time.monotonic() - asked > _STATES_SECONDS:
                    asked = time.monotonic()
                    for host, reason in list(arrays.lost(results.hosts)):
                        yield from passed(results.lost(host, reason))
                time.sleep(_POLL_SECONDS)
            arrays.end()
        finally:
            arrays.remove_clocks()

    def _check(self, tasks: Sequence[Task]) -> None:
        check_uids(tasks)
        for task in tasks:
            if not slurm_jobs.NODE.fullmatch(task.host.address):
                raise CampaignError(f"host {task.host.name}: {quoted(task.host.address)} is not the name of a node")


def launcher(fields: Fields) -> SlurmLauncher:
    """Return the launcher with its options: those of sbatch, and the folders of results and of stores."""
    return SlurmLauncher(slurm_options(fields))
