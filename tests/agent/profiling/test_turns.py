"""Turns on a store: one profile with an id at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from agent.profiling.turns import run_in_turn, turn
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system
_HOLD = """
import pathlib, sys
from agent.profiling.turns import turn
with turn(pathlib.Path(sys.argv[1]), "first", print):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_waits_for_the_first_even_if_that_is_killed(tmp_path: Path) -> None:
    waited: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with turn(tmp_path, "second", waited.append):
            entered.set()

    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert run_in_turn(tmp_path) == "first"
        thread = threading.Thread(target=second)
        thread.start()
        await_true(lambda: waited)
        assert not entered.wait(0.3)
        os.kill(first.pid, signal.SIGKILL)
        assert entered.wait(60)
        thread.join()
    assert waited == ["first"]
    assert run_in_turn(tmp_path) == ""


def test_without_a_folder_there_is_nothing_to_wait_for() -> None:
    with turn(None, "a", print), turn(None, "b", print):
        assert run_in_turn(None) == ""
