"""The command that is measured: its span, its exit code as a shell has it, and what is said where it cannot be run."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from agent.workloads.runner.subprocess import CommandError, run, sleep

if TYPE_CHECKING:
    from pathlib import Path


def nothing() -> None:
    pass


def test_the_span_contains_the_command_and_its_end_is_reported_at_once(tmp_path: Path) -> None:
    reported: list[int] = []
    stamps = tmp_path / "stamps"
    script = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(time.monotonic_ns()))"
    before = time.monotonic_ns()
    span = run(
        ["python3", "-c", script, str(stamps)], lambda: reported.append(time.monotonic_ns()), output_to_errors=False
    )
    assert before <= span.start_ns < int(stamps.read_text()) < span.end_ns <= reported[0]
    assert (span.code, span.interrupted) == (0, False)


@pytest.mark.parametrize(("line", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)])
def test_the_exit_code_follows_the_rules_of_a_shell(line: str, code: int) -> None:
    assert run(["sh", "-c", line], nothing, output_to_errors=False).code == code


def test_the_output_goes_to_standard_error_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    run(["echo", "hello"], nothing, output_to_errors=True)
    run(["echo", "world"], nothing, output_to_errors=False)
    assert capfd.readouterr() == ("world\n", "hello\n")


def test_a_command_does_not_ignore_the_signals_that_python_ignores() -> None:
    ignored = run(["sh", "-c", "kill -PIPE $$"], nothing, output_to_errors=False)
    assert ignored.code == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("no-such-command-here", 127, "command not found on PATH"),
        ("./nowhere/tool", 127, "no such file"),
        ("/", 126, "it cannot be executed (Permission denied)"),
        ("{folder}/script", 126, "the interpreter in its first line does not exist"),
        ("{folder}/text\0", 126, "it cannot be executed (its name or an argument contains a NUL character)"),
    ],
)
def test_a_command_that_cannot_run_is_an_error_with_its_cause(tmp_path: Path, name: str, code: int, words: str) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(CommandError) as refused:
        run([name.format(folder=tmp_path)], nothing, output_to_errors=False)
    assert words in str(refused.value)
    assert refused.value.code == code


def test_a_sleep_ends_after_its_time_or_at_a_signal() -> None:
    span = sleep(0.05, nothing)
    assert span.end_ns - span.start_ns >= 50_000_000
    assert (span.code, span.interrupted) == (0, False)
    reported: list[bool] = []
    default = signal.getsignal(signal.SIGTERM)

    def terminate(*_: object) -> None:
        if signal.getsignal(signal.SIGTERM) != default:  # the sleep has begun
            os.kill(os.getpid(), signal.SIGTERM)

    previous = signal.signal(signal.SIGALRM, terminate)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        cut = sleep(60, lambda: reported.append(True))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
    assert (cut.code, cut.interrupted, reported) == (143, True, [True])
    assert cut.end_ns - cut.start_ns < 30_000_000_000


def test_a_signal_that_comes_as_the_command_ends_reaches_no_other_process() -> None:
    def end_now() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = psutil.Process().children()
    assert run(["true"], end_now, output_to_errors=False).code == 0
    assert psutil.Process().children() == before
