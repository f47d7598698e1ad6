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
env = {**os.environ, "PYTHONPATH": sys.argv[2]}
process = fork_server.start(line, env, cwd="/", stdin=-3, stdout=-3, stderr=-3)
Path(sys.argv[1]).write_text(str(process.pid))
fork_server.stop()
"""


def test_a_command_that_is_left_running_does_not_delay_the_end_of_the_tests(tmp_path: Path) -> None:
    env = environment(tmp_path, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    line = [sys.executable, "-c", _LEFT_RUNNING, str(tmp_path / "pid"), str(ROOT)]
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


def test_a_fork_has_the_streams_of_a_python_that_started_with_its_variables(tmp_path: Path) -> None:
    odd = tmp_path / "\N{GREEK SMALL LETTER PI}.toml"
    env = environment(tmp_path, PYTHONIOENCODING="ascii")
    ended = []
    for fresh in (False, True):
        with start(
            [*INFEROMETER, "config", "check", str(odd)], env, fresh, cwd=tmp_path, text=True, stderr=subprocess.PIPE
        ) as process:
            assert isinstance(process, Fork) is not fresh
            ended.append((process.communicate()[1], process.returncode))
    assert ended[0] == ended[1]
    assert "/?.toml" in ended[0][0]
