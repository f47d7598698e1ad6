"""The jobs of a campaign in Slurm: submits those that are missing, finds those of an earlier head, and their ends."""

from __future__ import annotations

import math
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm_jobs
from agent.campaigns.launchers.result_folder import tail
from agent.campaigns.launchers.slurm_script import clock_of, script_of, stem_of
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from agent.campaigns.launchers.job_notes import JobNotes
    from agent.campaigns.launchers.slurm_options import SlurmOptions
    from agent.campaigns.records import Task

MOST_JOBS = 500
"""The jobs of one array: Slurm's default allows 1,000, and a script of 4 MB."""
_ENDED_SECONDS = 60.0
"""The time that the files of results have to appear on a shared file system after the end of their job."""
_UNKNOWN_SECONDS = 300.0
"""The time that Slurm may not list a job, for example after a restart of its controller."""
_UNAVAILABLE_SECONDS, _HOPELESS_SECONDS = 180.0, 60.0
"""The times that a node may be down or drained, and that a job may wait for something that rarely happens."""
_CANCEL_SECONDS = 5.0
"""The time between two attempts to cancel a job."""
_CLOCK_SECONDS = 1.0
"""The time between two writes of the time of the head; it limits how well clocks are compared."""
_LOG_BYTES = 120
"""A reason is one line of at most 256 characters."""


class Arrays:
    """The job of each host by its name, such as `inferometer-a1_0`."""

    def __init__(self, options: SlurmOptions, known: JobNotes, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._options = options
        self._known = known
        self._jobs: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._since: dict[str, dict[str, float]] = {}
        self._accounted: dict[str, dict[str, slurm_jobs.Job]] = {}
        self._unwanted: set[str] = set()
        self._answered = self._clock()
        self._clock_due = 0.0
        self.refused: dict[str, str] = {}
        """The reason of each host whose job Slurm refused."""

    def attach(self, hosts: Mapping[str, Sequence[Task]]) -> None:
        """Find the jobs of an earlier head, of which an ended one counts if it left a result; submit the others.

        Raises CampaignError if Slurm refuses an array.
        """
        noted = {host: job for host, tasks in hosts.items() if (job := self._known.job_of(tasks))}
        arrays = {job.rpartition("_")[0] for job in noted.values()}
        found = slurm_jobs.patiently(lambda: slurm_jobs.jobs_named(arrays)) if noted else {}
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

    def write_clock(self, hosts: Iterable[str]) -> None:
        """Write the time for the jobs of hosts, at most once a second. Raises OSError."""
        if self._clock() < self._clock_due:
            return
        self._clock_due = self._clock() + _CLOCK_SECONDS
        for array in {self._jobs[host].rpartition("_")[0] for host in hosts if host in self._jobs}:
            path = self._options.folder / clock_of(array)
            part = path.with_suffix(".clock-part")
            part.write_text(f"{time.time_ns()}\n", encoding="ascii")
            part.rename(path)

    def remove_clocks(self) -> None:
        """Remove the files of `write_clock`."""
        for array in {job.rpartition("_")[0] for job in self._jobs.values()}:
            (self._options.folder / clock_of(array)).unlink(missing_ok=True)

    def cancel(self, host: str, tasks: Sequence[Task]) -> None:
        """Cancel the job of a host, now or once Slurm answers; the next head submits another one."""
        self._known.drop(tasks)
        if host in self._jobs:
            self._unwanted.add(self._jobs[host])
            self._cancel_unwanted()

    def lost(self, hosts: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each host whose job has ended or does not start, with the reason.

        Raises CampaignError if Slurm does not answer for long.
        """
        self._cancel_unwanted()
        wanted = {host: self._jobs[host] for host in hosts if host in self._jobs}
        try:
            found = slurm_jobs.jobs_named({job.rpartition("_")[0] for job in wanted.values()}) if wanted else {}
        except CampaignError as error:
            self._since = {host: _only(own, {"pending"}) for host, own in self._since.items()}
            if self._clock() - self._answered > slurm_jobs.SILENT_SECONDS:
                raise CampaignError(f"{error}. Then continue with `inferometer campaign resume`") from error
            return
        self._answered = self._clock()
        self._numbers.update((job, found[job].number) for job in wanted.values() if job in found)
        for host, job in wanted.items():
            if reason := self._reason(host, job, found.get(job)):
                yield host, reason

    def end(self) -> None:
        """Cancel what could not be cancelled before, as long as Slurm may answer soon."""
        ends = self._clock() + slurm_jobs.SILENT_SECONDS
        self._cancel_unwanted()
        while self._unwanted and self._clock() < ends:
            time.sleep(_CANCEL_SECONDS)
            self._cancel_unwanted()

    def _cancel_unwanted(self) -> None:
        for job in sorted(self._unwanted):
            try:
                if job not in self._numbers:
                    found = slurm_jobs.jobs_named({job.rpartition("_")[0]})
                    self._numbers.update((name, each.number) for name, each in found.items())
                if job in self._numbers:
                    slurm_jobs.cancel(self._numbers[job])
            except slurm_jobs.SlurmAwayError:
                continue
            except CampaignError:  # it has ended already
                pass
            self._unwanted.discard(job)

    def _reason(self, host: str, name: str, job: slurm_jobs.Job | None) -> str:
        """Return why a host has no result, empty while it may still have one."""
        if job is None:
            ended = self._ended(name) if self._lasts(host, "unknown", _ENDED_SECONDS) else None
            if ended:
                return self._end_of(name, ended)
            problem = f"Slurm does not list the job {self._numbers.get(name, name)}, and it left no result"
            return f"{problem}{self._log(name)}" if self._lasts(host, "unknown", _UNKNOWN_SECONDS) else ""
        if not job.is_alive:
            return self._end_of(name, job) if self._lasts(host, job.state, _ENDED_SECONDS) else ""
        if job.is_pending:
            return self._delay(host, job)
        self._since.pop(host, None)
        return ""

    def _delay(self, host: str, job: slurm_jobs.Job) -> str:
        """Return why a job that waits for its node is given up, empty while it may start."""
        if self._lasts(host, "pending", self._options.wait_seconds):
            minutes = f"{self._options.wait_seconds / 60:g} minutes"
            return f"the job {job.number} of Slurm did not start within {minutes}: {job.reason}"
        unavailable = job.reason.startswith("ReqNodeNotAvail")
        limit = _UNAVAILABLE_SECONDS if unavailable else _HOPELESS_SECONDS
        doubtful = unavailable or job.is_hopeless
        if self._lasts(host, "doubtful" if doubtful else "waiting", limit) and doubtful:
            return f"Slurm does not start the job {job.number}: {job.reason}"
        return ""

    def _end_of(self, name: str, job: slurm_jobs.Job) -> str:
        return f"the job {job.number} of Slurm ended without a result ({job.end}){self._log(name)}"

    def _lasts(self, host: str, state: str, seconds: float) -> bool:
        """Return whether a host has been in a state for a time; a wait in the queue includes changes of its reason."""
        own = self._since.get(host, {})
        own = own if state == "pending" else _only(own, {"pending", state})
        since = own.setdefault(state, self._clock())
        self._since[host] = own
        return self._clock() - since >= seconds

    def _ended(self, name: str) -> slurm_jobs.Job | None:
        """Return a job that Slurm has forgotten as its accounting has it; asked once for each array."""
        array = name.rpartition("_")[0]
        if array not in self._accounted:
            self._accounted[array] = slurm_jobs.accounted(array)
        return self._accounted[array].get(name)

    def _log(self, name: str) -> str:
        """Return the end of the output of a job on one line, after a colon."""
        text = one_line(tail(self._options.folder / f"{name}.log", _LOG_BYTES))
        return f": {text}" if text else ""

    def _submit(self, constraint: str, hosts: Sequence[tuple[str, Sequence[Task]]]) -> None:
        name = f"inferometer-{secrets.token_hex(8)}"
        tasks = [own for _, own in hosts]
        self._jobs.update((host, f"{name}_{number}") for number, (host, _) in enumerate(hosts))
        for task in (task for own in tasks for task in own):
            self._options.write_given(self.stem(task), task.given)
        self._known.put({f"{name}_{number}": own for number, own in enumerate(tasks)})
        argv = self._options.submission(name, constraint, tasks, minutes_of(tasks))
        array = slurm_jobs.submit(name, script_of(name, tasks, self._options.folder, self._options.state), argv)
        self._release(array, [(host, str(n), own[0].host.address) for n, (host, own) in enumerate(hosts)])

    def _release(self, array: str, members: Iterable[tuple[str, str, str]]) -> None:
        """Bind the jobs of a held array to their nodes, and release them; a job without its node is cancelled."""
        for host, index, node in members:
            number = f"{array}_{index}"
            try:
                slurm_jobs.patiently(partial(slurm_jobs.bind, number, node))
            except slurm_jobs.SlurmAwayError:
                raise
            except CampaignError as error:
                self.refused[host] = f"Slurm does not accept the node {node}: {error}"
                slurm_jobs.patiently(partial(slurm_jobs.cancel, number))
        slurm_jobs.patiently(partial(slurm_jobs.release, array))


def _only(times: Mapping[str, float], states: Collection[str]) -> dict[str, float]:
    return {state: since for state, since in times.items() if state in states}


def minutes_of(hosts: Iterable[Sequence[Task]]) -> int:
    """Return the time limit of an array in minutes: that of the host whose tasks may take longest."""
    return max(math.ceil(sum(task.timeout_seconds for task in tasks) / 60) for tasks in hosts)


def by_constraint(hosts: Mapping[str, Sequence[Task]]) -> dict[str, list[tuple[str, Sequence[Task]]]]:
    """Return the hosts by their label `constraint`, because all jobs of an array have the same one."""
    found: dict[str, list[tuple[str, Sequence[Task]]]] = {}
    for host, tasks in hosts.items():
        found.setdefault(tasks[0].host.labels.get("constraint", ""), []).append((host, tasks))
    return found
