"""Commands in forks end like those in new processes, and outlive the tests if they are left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from command import INFEROMETER, LONGEST_SECONDS, ROOT, environment
from fork_server import Fork, start

if TYPE_CHECKING:
    from pathlib import Path

_LEFT_RUNNING = """
import fork_server, os, sys
from pathlib import Path
line = [sys.executable, "-m", "agent.cli.entry", "measure", "--duration", "600"]
process = fork_server.start(line, dict(os.environ), cwd="/", stdin=-3, stdout=-3, stderr=-3)
Path(sys.argv[1]).write_text(str(process.pid))
fork_server.stop()
"""


def test_a_command_that_is_left_running_does_not_delay_the_end_of_the_tests(tmp_path: Path) -> None:
    env = environment(tmp_path, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    line = [sys.executable, "-c", _LEFT_RUNNING, str(tmp_path / "pid")]
    subprocess.run(line, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=LONGEST_SECONDS, check=True)
    os.killpg(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # it still runs


def test_a_fork_has_the_exit_code_of_its_command_or_of_the_signal_that_ended_it(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with start([*INFEROMETER, "--version"], env, cwd=tmp_path, text=True, stdout=subprocess.PIPE) as process:
        assert isinstance(process, Fork)
        assert process.communicate()[0].startswith("inferometer ")
    assert process.returncode == 0
    line = [*INFEROMETER, "measure", "--duration", "600"]
    with start(line, env, cwd=tmp_path, text=True) as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
