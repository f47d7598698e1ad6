"""The commands of Slurm that a campaign uses: sbatch, scontrol, squeue, scancel, sacct and sinfo."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.programs import output_of
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_Answer = TypeVar("_Answer")
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NUMBER = re.compile(r"(\d+)(?:;.*)?\s*")
_VARIABLES = "PATH,HOME,USER,LOGNAME,LANG"
"""The only variables of the head that its jobs get: others could hold secrets."""
_PENDING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
_ENDS = {
    "BOOT_FAIL": "its node did not boot",
    "CANCELLED": "a user or an administrator cancelled it",
    "COMPLETED": "its script came to its end",
    "DEADLINE": "its deadline passed",
    "FAILED": "its script failed",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it needed more memory than it may have",
    "PREEMPTED": "a job of a higher priority took its node",
    "REVOKED": "another cluster of the federation took it",
    "TIMEOUT": "it exceeded its time limit: raise time_minutes, or timeout_hours",
}
"""The states of jobs that have ended; a job in any other state, such as COMPLETING or SUSPENDED, may go on."""
_HELD = "JobHeldUser"
_HOPELESS = (
    *("BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit", "InvalidAccount", "InvalidQOS"),
    *("AccountNotAllowed", "QOSNotAllowed", "ReservationDeleted", "DependencyNeverSatisfied"),
)
"""Reasons of a pending job that waiting rarely ends."""
SILENT_SECONDS = 600.0
"""The time that Slurm may not answer, for example while its controller starts again."""
_RETRY_SECONDS = 5.0
_AWAY = re.compile(
    r"unable to contact slurm controller|socket timed out|connection (?:refused|reset|timed out|failure)|zero bytes|"
    r"standby mode|temporarily unable|not available right now|did not answer within|slurm_load_jobs error|"
    r"transport endpoint",
    re.IGNORECASE,
)
"""The errors of a controller that does not answer now."""


class SlurmAwayError(CampaignError):
    """The controller of Slurm does not answer; it may answer later."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of an array: its number such as 12_3, its state, and the reason of Slurm if it is pending."""

    number: str
    state: str
    reason: str

    @property
    def is_alive(self) -> bool:
        """Whether it runs or may still run."""
        return self.state not in _ENDS

    @property
    def end(self) -> str:
        """Its state, with the reason of its end."""
        return f"{self.state}: {_ENDS[self.state]}" if self.state in _ENDS else self.state

    @property
    def is_pending(self) -> bool:
        """Whether it waits for its node."""
        return self.state in _PENDING

    @property
    def is_held(self) -> bool:
        """Whether it waits for its release by the head."""
        return self.is_pending and self.reason == _HELD

    @property
    def is_hopeless(self) -> bool:
        """Whether it waits for something that does not happen."""
        return self.is_pending and self.reason.startswith(_HOPELESS)


def submission(name: str, count: int, options: Iterable[str]) -> tuple[str, ...]:
    """Return the command that submits an array, whose script is its standard input.

    The array is held until each of its jobs is bound to its node. A job that loses its node does not run again.
    """
    fixed = ("--parsable", "--hold", "--nodes=1", "--ntasks=1", "--exclusive", "--no-requeue", f"--export={_VARIABLES}")
    return ("sbatch", *fixed, f"--job-name={name}", f"--array=0-{count - 1}", *options)


def submit(name: str, script: str, argv: Sequence[str]) -> str:
    """Submit an array, whose name is unique, and return its number. Raises CampaignError with the message of sbatch.

    A controller that does not answer may have accepted the array, so the name is looked up before another attempt.
    """
    ends = time.monotonic() + SILENT_SECONDS
    while True:
        try:
            printed = _answer(argv, script)
            break
        except SlurmAwayError:
            if time.monotonic() > ends:
                raise
        time.sleep(_RETRY_SECONDS)
        if found := patiently(lambda: jobs_named([name])):
            return next(iter(found.values())).number.partition("_")[0]
    number = _NUMBER.fullmatch(printed)
    if number is None:
        raise CampaignError(f"sbatch printed {quoted(printed)}, which is no number of a job")
    return number[1]


def patiently(call: Callable[[], _Answer]) -> _Answer:
    """Return the result of a call, which is repeated while Slurm does not answer. Raises CampaignError.

    It is a SlurmAwayError if Slurm does not answer for long.
    """
    ends = time.monotonic() + SILENT_SECONDS
    while True:
        try:
            return call()
        except SlurmAwayError as error:
            if time.monotonic() > ends:
                raise SlurmAwayError(f"{error}. Then continue with `inferometer campaign resume`") from error
        time.sleep(_RETRY_SECONDS)


def bind(number: str, node: str) -> None:
    """Bind a held job to its node. Raises CampaignError, for example without such a node."""
    _answer(("scontrol", "update", f"JobId={number}", f"ReqNodeList={node}"))


def release(array: str) -> None:
    """Release all jobs of a held array. Raises CampaignError."""
    _answer(("scontrol", "release", array))


def jobs_named(names: Iterable[str]) -> dict[str, Job]:
    """Return the jobs of this user's arrays by name and index, such as `inferometer-a1_0`; ended ones for minutes."""
    line = ("squeue", "--me", "--array", "--noheader", "--states=all", f"--name={','.join(names)}")
    found = {}
    for row in _answer((*line, "--format=%j|%F|%K|%T|%r")).splitlines():
        name, array, index, state, reason = (*row.split("|", 4), "", "", "", "")[:5]
        found[f"{name}_{index}"] = Job(f"{array}_{index}", state, reason)
    return found


def accounted(name: str) -> dict[str, Job]:
    """Return the ended jobs of an array as the accounting has them, by name and index; none without accounting."""
    line = ("sacct", "--noheader", "--parsable2", "--allocations", "--starttime=now-30days", f"--name={name}")
    try:
        rows = output_of((*line, "--format=JobID,State")).splitlines()
    except CampaignError:
        return {}
    found = {}
    for row in rows:
        number, _, state = row.partition("|")
        job = Job(number, state.partition(" ")[0], "")  # `CANCELLED by 1000`
        if not job.is_alive:
            found[f"{name}_{number.partition('_')[2]}"] = job
    return found


def cancel(number: str) -> None:
    """Cancel one job. Raises CampaignError."""
    _answer(("scancel", number))


def _answer(argv: Sequence[str], given: str = "") -> str:
    """Return the output of a program of Slurm. Raises SlurmAwayError if the controller does not answer."""
    try:
        return output_of(argv, given)
    except CampaignError as error:
        if _AWAY.search(str(error)):
            raise SlurmAwayError(str(error)) from error
        raise


def nodes_of(group: str) -> list[str]:
    """Return the nodes of a partition, or those with a feature. Raises CampaignError if there are none."""
    rows = _answer(("sinfo", "--Node", "--noheader", "--format=%N|%R|%f")).splitlines()
    found = [
        name
        for name, partition, features in (row.split("|", 2) for row in rows)
        if group in {partition, *features.split(",")}
    ]
    if not found:
        raise CampaignError(f"group {quoted(group)}: no partition and no feature of a node has this name; see `sinfo`")
    return list(dict.fromkeys(found))
