"""The jobs of an engine in the notes of a campaign: a new head finds the job of a task by the uid of the task."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.campaigns.records import Notes, Task

_KEY = "jobs"


class JobNotes:
    """The job of each task, and the Unix time of its submission.

    A note is on the disk before its job is submitted, so that no job is unknown.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._jobs: dict[str, tuple[str, int]] = json.loads(notes.get(_KEY) or "{}")

    def job_of(self, tasks: Sequence[Task]) -> str | None:
        """Return the job that has all tasks of a host, None if no job has them all."""
        found = {self._jobs.get(task.uid, (None, 0))[0] for task in tasks}
        return found.pop() if len(found) == 1 else None

    def submitted_ns(self, task: Task) -> int:
        """Return the time of the submission of a task; now if it was not submitted."""
        return self._jobs[task.uid][1] if task.uid in self._jobs else time.time_ns()

    def drop(self, tasks: Sequence[Task]) -> None:
        """Forget the job of tasks: it is cancelled, or has ended without a result."""
        for task in tasks:
            self._jobs.pop(task.uid, None)
        self._notes.put(_KEY, json.dumps(self._jobs))

    def put(self, jobs: Mapping[str, Sequence[Task]]) -> None:
        """Store the tasks of jobs, with the time of now."""
        now_ns = time.time_ns()
        self._jobs.update((task.uid, (job, now_ns)) for job, tasks in jobs.items() for task in tasks)
        self._notes.put(_KEY, json.dumps(self._jobs))


def by_host(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Return the tasks of each host, in their order."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.host.name, []).append(task)
    return found
