"""A private folder exists as long as its block, and no longer than its process."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import agent.runtime.private_folder as module
from agent.runtime.private_folder import private_folder

HOLDER = """
import sys, time
from agent.runtime.private_folder import private_folder
with private_folder() as folder:
    (folder / "weights").write_bytes(b"1")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_private_folder_is_open_to_its_user_only_and_removed_with_its_contents():
    with private_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "inner").mkdir()
        (folder / "inner/file").write_bytes(b"1")
    assert not folder.exists()


def test_a_private_folder_is_removed_after_an_error_in_its_block():
    with pytest.raises(ValueError, match="inside"), private_folder() as folder:
        raise ValueError("inside")
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_private_folder_is_removed_if_the_group_of_its_process_is_killed(number):
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as holder:
        folder = Path(os.fsdecode(holder.stdout.readline().rstrip()))
        assert (folder / "weights").exists()
        os.killpg(holder.pid, number)
    deadline = time.monotonic() + 60
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()


def test_without_a_writable_place_the_error_names_the_reason(monkeypatch):
    monkeypatch.setattr(module, "_CREATE_AND_REMOVE", "import tempfile; tempfile.mkdtemp(dir='/proc/absent')")
    with pytest.raises(OSError, match="no temporary folder can be made: FileNotFoundError"), private_folder():
        pass
