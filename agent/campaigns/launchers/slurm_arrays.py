"""The jobs of a campaign in Slurm: submits those that are missing, finds those of an earlier head, and their ends."""

from __future__ import annotations

import math
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm_jobs
from agent.campaigns.launchers.slurm_script import script_of, stem_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent.campaigns.launchers.job_notes import JobNotes
    from agent.campaigns.launchers.slurm_options import SlurmOptions
    from agent.campaigns.records import Task

MOST_JOBS = 500
"""The jobs of one array: Slurm's default allows 1,000, and a script of 4 MB."""
_COMPLETED_SECONDS, _FAILED_SECONDS = 60.0, 5.0
"""The time that the file of a result has to appear on a shared file system after the end of its job."""
_UNAVAILABLE_SECONDS = 60.0
"""The time that a node may be down or drained."""
_SILENT_SECONDS = 600.0
"""The time that Slurm may not answer."""
_LOG_BYTES = 400


class Arrays:
    """The job of each host by its name, such as `inferometer-a1_0`."""

    def __init__(self, options: SlurmOptions, known: JobNotes) -> None:
        self._options = options
        self._known = known
        self._jobs: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._since: dict[tuple[str, str], float] = {}
        self._answered = time.monotonic()
        self.refused: dict[str, str] = {}
        """The reason of each host whose job Slurm refused."""

    def attach(self, hosts: Mapping[str, Sequence[Task]]) -> None:
        """Find the jobs of an earlier head, of which an ended one counts if it left a result; submit the others.

        Raises CampaignError if Slurm refuses an array.
        """
        noted = {host: job for host, tasks in hosts.items() if (job := self._known.job_of(tasks))}
        found = slurm_jobs.jobs_named({job.rpartition("_")[0] for job in noted.values()}) if noted else {}
        names = {path.name for path in self._options.folder.iterdir()} if noted else set()
        for host, job in noted.items():
            left = any(f"{stem_of(job, task)}.begun" in names for task in hosts[host])
            if left or (job in found and found[job].is_alive):
                self._jobs[host] = job
        held: dict[str, list[tuple[str, str, str]]] = {}
        for host, job in self._jobs.items():
            if job in found and found[job].is_held:
                array, _, index = found[job].number.partition("_")
                held.setdefault(array, []).append((host, index, hosts[host][0].host.address))
        for array, members in held.items():
            self._release(array, members)
        for constraint, missing in by_constraint({h: t for h, t in hosts.items() if h not in self._jobs}).items():
            for first in range(0, len(missing), MOST_JOBS):
                self._submit(constraint, missing[first : first + MOST_JOBS])

    def stem(self, task: Task) -> str:
        """Return the name of the files of a task in its job."""
        return stem_of(self._jobs[task.host.name], task)

    def cancel(self, host: str, tasks: Sequence[Task]) -> None:
        """Cancel the job of a host if Slurm still has it; the next head submits another one."""
        self._known.drop(tasks)
        with suppress(CampaignError, KeyError):
            job = self._jobs[host]
            number = self._numbers.get(job) or slurm_jobs.jobs_named({job.rpartition("_")[0]})[job].number
            slurm_jobs.cancel(number)

    def lost(self, hosts: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each host whose job has ended or does not start, with the reason.

        Raises CampaignError if Slurm does not answer for long.
        """
        wanted = {host: self._jobs[host] for host in hosts if host in self._jobs}
        try:
            found = slurm_jobs.jobs_named({job.rpartition("_")[0] for job in wanted.values()}) if wanted else {}
        except CampaignError as error:
            if time.monotonic() - self._answered > _SILENT_SECONDS:
                raise CampaignError(f"{error}. Then continue with `inferometer campaign resume`") from error
            return
        self._answered = time.monotonic()
        self._numbers.update((job, found[job].number) for job in wanted.values() if job in found)
        for host, job in wanted.items():
            if reason := self._reason(host, job, found.get(job)):
                yield host, reason

    def _reason(self, host: str, name: str, job: slurm_jobs.Job | None) -> str:
        """Return why a host has no result, empty while it may still have one."""
        if job is None or not job.is_alive:
            state = job.state if job else "COMPLETED"
            limit = _COMPLETED_SECONDS if state == "COMPLETED" else _FAILED_SECONDS
            number = job.number if job else self._numbers.get(name, name)
            problem = f"the job {number} of Slurm ended without a result ({state}){self._log(name)}"
        elif job.is_hopeless or job.reason.startswith("ReqNodeNotAvail"):
            limit = _FAILED_SECONDS if job.is_hopeless else _UNAVAILABLE_SECONDS
            state, problem = job.reason, f"Slurm does not start the job {job.number}: {job.reason}"
        elif job.is_pending:
            state, limit = "PENDING", self._options.wait_seconds
            problem = f"the job {job.number} of Slurm did not start within {limit / 60:g} minutes: {job.reason}"
        else:
            return ""
        since = self._since.setdefault((host, state), time.monotonic())
        return problem if time.monotonic() - since >= limit else ""

    def _log(self, name: str) -> str:
        """Return the end of the output of a job, after a colon."""
        try:
            text = (self._options.folder / f"{name}.log").read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return f": {text}" if text else ""

    def _submit(self, constraint: str, hosts: Sequence[tuple[str, Sequence[Task]]]) -> None:
        name = f"inferometer-{secrets.token_hex(8)}"
        tasks = [own for _, own in hosts]
        self._jobs.update((host, f"{name}_{number}") for number, (host, _) in enumerate(hosts))
        for task in (task for own in tasks for task in own):
            self._options.write_given(self.stem(task), task.given)
        self._known.put({f"{name}_{number}": own for number, own in enumerate(tasks)})
        argv = self._options.submission(name, constraint, tasks, minutes_of(tasks))
        array = slurm_jobs.submit(script_of(name, tasks, self._options.folder, self._options.state), argv)
        self._release(array, [(host, str(n), own[0].host.address) for n, (host, own) in enumerate(hosts)])

    def _release(self, array: str, members: Iterable[tuple[str, str, str]]) -> None:
        """Bind the jobs of a held array to their nodes, and release them; a job without its node is cancelled."""
        for host, index, node in members:
            try:
                slurm_jobs.bind(f"{array}_{index}", node)
            except CampaignError as error:
                self.refused[host] = f"Slurm does not accept the node {node}: {error}"
                slurm_jobs.cancel(f"{array}_{index}")
        slurm_jobs.release(array)


def minutes_of(hosts: Iterable[Sequence[Task]]) -> int:
    """Return the time limit of an array in minutes: that of the host whose tasks may take longest."""
    return max(math.ceil(sum(task.timeout_seconds for task in tasks) / 60) for tasks in hosts)


def by_constraint(hosts: Mapping[str, Sequence[Task]]) -> dict[str, list[tuple[str, Sequence[Task]]]]:
    """Return the hosts by their label `constraint`, because all jobs of an array have the same one."""
    found: dict[str, list[tuple[str, Sequence[Task]]]] = {}
    for host, tasks in hosts.items():
        found.setdefault(tasks[0].host.labels.get("constraint", ""), []).append((host, tasks))
    return found
