"""A leashed program ends with its block, and with it the processes that it started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.runtime.leash import leashed
from waiting import await_true

pytestmark = pytest.mark.system


def run(folder: Path, line: str) -> tuple[int, str]:
    """Return the exit code and the output of a line of the shell that ends by itself."""
    with (folder / "log").open("wb") as log, leashed(("sh", "-c", line), log, os.environ) as child:
        child.wait()
    return child.returncode, (folder / "log").read_text()


def test_the_exit_code_and_the_output_are_those_of_the_program(tmp_path: Path) -> None:
    assert run(tmp_path, "echo out; echo err >&2; exit 3") == (3, "out\nerr\n")
    assert run(tmp_path, "kill -KILL $$")[0] == 128 + 9


def test_a_program_reads_nothing_of_its_supervisor(tmp_path: Path) -> None:
    assert run(tmp_path, "cat") == (0, "")


def test_processes_in_sessions_of_their_own_end_with_the_block(tmp_path: Path) -> None:
    line = f"setsid sleep 1000 & echo $! >{tmp_path}/part; mv {tmp_path}/part {tmp_path}/pid; wait"
    with (tmp_path / "log").open("wb") as log, leashed(("sh", "-c", line), log, os.environ) as child:
        await_true((tmp_path / "pid").exists)
        process = Path("/proc", (tmp_path / "pid").read_text().strip())
        assert process.exists()
        assert child.poll() is None
    assert not process.exists()
