"""Ctrl-C and other terminating signals at any moment of any command: one line, the right exit code, no traceback."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from command import finish, started
from stored import SECOND_NS, record
from waiting import await_true

if TYPE_CHECKING:
    import subprocess

NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")
TINY = (
    *("profile", "transformer", "--force", "--layers", 1, "--width", 32, "--heads", 2, "--vocabulary", 64),
    *("--prompt-tokens", 4, "--output-tokens", 3, "--threads", 1, "--batch", 1),
)
LINES: dict[str, tuple[object, ...]] = {
    "devices": ("devices", "--json"),
    "measure": ("measure", "--duration", 60),
    "samples": ("samples", "-o", "out.csv"),
    "db check": ("db", "check"),
    "profile": TINY,
    "help": ("profile", "transformer", "--help"),
    "daemon": ("daemon", "--listen", "127.0.0.1:0"),
}
DELAYS = (0.0, 0.02, 0.1, 0.3, 0.8, 2.0)
"""Seconds after the command handles signals; before that Python handles them."""
ENDED_BY_ITSELF: dict[str, set[int]] = {
    "devices": {0},
    "doctor": {0, 1, 2},
    "samples": {0},
    "db check": {0},
    "help": {0},
}


def has_control(process: subprocess.Popen[str]) -> bool:
    """Return whether the program catches SIGTERM, unlike Python alone, or has ended."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return True
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1) or "\nState:\tZ" in status


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_gives_one_line_and_its_exit_code(
    tmp_path: Path, name: str, number: signal.Signals
) -> None:
    record(tmp_path, [1_700_000_000 * SECOND_NS])
    expected = {128 + number, *ENDED_BY_ITSELF.get(name, ())}
    if name == "daemon":
        expected |= {0}  # a stopped service ends without an error
    delays = DELAYS if number == signal.SIGINT else (0.0, 0.3)
    for delay in delays:
        with started(tmp_path, *LINES[name], *NO_NVIDIA, fresh=True) as process:
            await_true(lambda: has_control(process), 60)
            time.sleep(delay)
            os.killpg(process.pid, number)
            result = finish(process)
        assert "Traceback" not in result.stderr, (delay, result.stderr)
        assert "Exception ignored" not in result.stderr, (delay, result.stderr)
        assert "KeyboardInterrupt" not in result.stderr, (delay, result.stderr)
        assert result.returncode in expected, (delay, result.stderr)
        if result.returncode == 128 + number:
            assert result.stderr.count("interrupted") + result.stderr.count("terminated") >= 1, (delay, result.stderr)
        assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_signal_during_a_measured_command_belongs_to_the_command(tmp_path: Path) -> None:
    with started(
        tmp_path, "measure", "--", "sh", "-c", "trap 'exit 7' INT; echo up; sleep 60 >/dev/null 2>&1 & wait"
    ) as process:
        assert process.stdout
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        result = finish(process)
    assert result.returncode == 7, result.stderr
    assert "Traceback" not in result.stderr


def test_a_hangup_ends_a_command_with_its_exit_code(tmp_path: Path) -> None:
    with started(tmp_path, "measure", "--duration", 60) as process:
        await_true(lambda: has_control(process), 60)
        os.killpg(process.pid, signal.SIGHUP)
        result = finish(process)
    assert result.returncode == 129
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    """`nohup` and shells start background jobs with ignored signals."""
    with started(tmp_path, "devices", preexec_fn=lambda: signal.signal(number, signal.SIG_IGN)) as process:
        time.sleep(0.2)
        process.send_signal(number)
        assert finish(process).returncode == 0
