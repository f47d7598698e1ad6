"""A measurement is announced to other processes of its host, and its announcement ends with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent.runtime.measuring import announced, is_announced
from command import ROOT
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

_HOLD = """
import sys
from agent.runtime.measuring import announced
with announced(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_announcement_is_that_of_one_host_and_ends_with_its_block(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    ours.mkdir()
    others.mkdir()
    with announced(str(ours)), announced(str(ours)):
        assert is_announced(str(ours))
        assert not is_announced(str(others))
    assert not is_announced(str(ours))


def test_a_link_to_the_same_sysfs_is_the_same_host(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "sys")
    with announced(str(tmp_path / "link")):
        assert is_announced(str(tmp_path / "sys"))


def test_a_host_without_sysfs_announces_nothing(tmp_path: Path) -> None:
    with announced(str(tmp_path / "absent")):
        assert not is_announced(str(tmp_path / "absent"))


@pytest.mark.system
def test_the_announcement_of_a_killed_process_ends(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert is_announced(str(tmp_path))
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    await_true(lambda: not is_announced(str(tmp_path)))
