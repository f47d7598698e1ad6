"""The script of an array of Slurm: each job of the array runs the tasks of one host; pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.campaigns.records import Task

_BEGIN = """#!/bin/sh
# A campaign of Inferometer: each job of this array runs the tasks of one host, one after the other.
umask 077
export XDG_STATE_HOME={state}
mkdir -p -m 700 -- "$XDG_STATE_HOME"
if [ ! -O "$XDG_STATE_HOME" ]; then
  echo "$XDG_STATE_HOME belongs to another user: set state in [launcher]"
  exit 1
fi
cd -- {folder} || exit 1
task() {{
  stem=$1 seconds=$2
  shift 2
  [ ! -e "$stem.code" ] || return 0
  cat -- {clock} >"$stem.begun" 2>/dev/null
  timeout --kill-after=30 "$seconds" "$@" <"$stem.given" >/dev/null 2>"$stem.errors"
  echo $? >"$stem.ended"
  [ ! -e "$stem.part" ] || mv -- "$stem.part" "$stem.result"
  mv -- "$stem.ended" "$stem.code"
}}
case "$SLURM_ARRAY_TASK_ID" in
"""
"""The code is written last, by a rename: a reader that finds it also finds the complete result.

The time of the head is read before the command, so that a file system which shows files late only loosens the bound.
"""


def script_of(name: str, hosts: Sequence[Sequence[Task]], folder: Path, state: str) -> str:
    """Return the script for the tasks of several hosts; the number of a host is its index in the array `name`.

    `folder` is shared by the nodes and the head, `state` is on each node.
    """
    begin = _BEGIN.format(state=shlex.quote(state), folder=shlex.quote(str(folder)), clock=shlex.quote(clock_of(name)))
    lines = [begin]
    for number, tasks in enumerate(hosts):
        lines.append(f"{number})\n")
        lines += [f"  {_line(task, folder, stem_of(f'{name}_{number}', task))}\n" for task in tasks]
        lines.append("  ;;\n")
    return "".join((*lines, "esac\n"))


def clock_of(name: str) -> str:
    """Return the name of the file in which the head writes its time while it waits for jobs of an array."""
    return f"{name}.clock"


def stem_of(job: str, task: Task) -> str:
    """Return the name of the files of a task in one job, so that a later job never takes them for its own."""
    return f"{job}.{task.uid}"


def _line(task: Task, folder: Path, stem: str) -> str:
    words = task.command(str(folder / f"{stem}.part"))
    return shlex.join(("task", stem, f"{task.timeout_seconds:.0f}", *words))
