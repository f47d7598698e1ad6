"""The commands of Slurm that a campaign uses: sbatch, scontrol, squeue, scancel and sinfo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.programs import output_of
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NUMBER = re.compile(r"(\d+)(?:;.*)?\s*")
_VARIABLES = "PATH,HOME,USER,LOGNAME,LANG"
"""The only variables of the head that its jobs get: others could hold secrets."""
_PENDING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
_ALIVE = {
    *("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"),
    *_PENDING,
}
_HELD = "JobHeldUser"
_HOPELESS = ("BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit", "JobHeldAdmin", "InvalidAccount")
"""Reasons of a pending job that no waiting ends."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of an array: its number such as 12_3, its state, and the reason of Slurm if it is pending."""

    number: str
    state: str
    reason: str

    @property
    def is_alive(self) -> bool:
        """Whether it runs or may still run."""
        return self.state in _ALIVE

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


def submit(script: str, argv: Sequence[str]) -> str:
    """Submit an array and return its number. Raises CampaignError with the message of sbatch."""
    printed = output_of(argv, script)
    found = _NUMBER.fullmatch(printed)
    if found is None:
        raise CampaignError(f"sbatch printed {quoted(printed)}, which is no number of a job")
    return found[1]


def bind(number: str, node: str) -> None:
    """Bind a held job to its node. Raises CampaignError, for example without such a node."""
    output_of(("scontrol", "update", f"JobId={number}", f"ReqNodeList={node}"))


def release(array: str) -> None:
    """Release all jobs of a held array. Raises CampaignError."""
    output_of(("scontrol", "release", array))


def jobs_named(names: Iterable[str]) -> dict[str, Job]:
    """Return the jobs of this user's arrays by name and index, such as `inferometer-a1_0`; ended ones for minutes."""
    line = ("squeue", "--me", "--array", "--noheader", "--states=all", f"--name={','.join(names)}")
    found = {}
    for row in output_of((*line, "--format=%j|%F|%K|%T|%r")).splitlines():
        name, array, index, state, reason = row.split("|", 4)
        found[f"{name}_{index}"] = Job(f"{array}_{index}", state, reason)
    return found


def cancel(number: str) -> None:
    """Cancel one job. Raises CampaignError."""
    output_of(("scancel", number))


def nodes_of(group: str) -> list[str]:
    """Return the nodes of a partition, or those with a feature. Raises CampaignError if there are none."""
    rows = output_of(("sinfo", "--Node", "--noheader", "--format=%N|%R|%f")).splitlines()
    found = [
        name
        for name, partition, features in (row.split("|", 2) for row in rows)
        if group in {partition, *features.split(",")}
    ]
    if not found:
        raise CampaignError(f"group {quoted(group)}: no partition and no feature of a node has this name; see `sinfo`")
    return list(dict.fromkeys(found))
