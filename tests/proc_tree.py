"""Writes the processors and processes of a simulated /proc, for the tests of CPU use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.cpu.utilization import TICK_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

TICKS = round(1 / TICK_SECONDS)


def write_stat(procfs: Path, busy: int, idle: int, stolen: int = 0) -> None:
    """Write two processors with these times since boot, in seconds."""
    fields = f"{busy * TICKS} 0 0 {idle * TICKS} 0 0 0 {stolen * TICKS} 0 0"
    (procfs / "stat").write_text(f"cpu {fields}\ncpu0 {fields}\ncpu1 {fields}\nintr 1\n")


def write_process(procfs: Path, pid: int, seconds: int, children: str = "", name: str = "a (b) c") -> None:
    """Write a process with this CPU time in user mode and these children."""
    task = procfs / str(pid) / "task" / str(pid)
    task.mkdir(parents=True, exist_ok=True)
    (task / "children").write_text(children)
    before = " ".join(["S", *["0"] * 10])
    (procfs / str(pid) / "stat").write_text(f"{pid} ({name}) {before} {seconds * TICKS} 0 0 0 20 0\n")
