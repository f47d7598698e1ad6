"""Progress of long work: the remaining time, a line after every silence, and a bar on a terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import sys
import time

import pytest

from agent.cli.progress import Lines, RemainingTime, duration, progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3000, "50 min"), (3900, "1 h 5 min")]
)
def test_a_duration_is_shown_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_remaining_time_is_extrapolated_from_the_finished_steps(clock: Clock) -> None:
    pace = RemainingTime(clock)
    assert pace.remaining(0, None) == ""
    clock.now += 500  # preparing host and model is not a step of the run
    assert pace.remaining(2, 10) == ""
    clock.now += 20
    assert pace.remaining(4, 10) == "about 1 min left"
    clock.now += 10
    assert pace.remaining(8, 10) == "about 10 s left"
    assert pace.remaining(10, 10) == ""


def test_the_remaining_time_is_at_least_the_planned_rest(clock: Clock) -> None:
    pace = RemainingTime(clock)
    assert pace.remaining(0, 10, 62.0) == "about 1 min left"
    clock.now += 1
    assert pace.remaining(2, 10, 50.0) == "about 50 s left"
    clock.now += 99
    assert pace.remaining(5, 10, 50.0) == "about 2 min left"


def test_each_step_is_a_line_with_count_and_remaining_time(clock: Clock) -> None:
    said: list[str] = []
    lines = Lines(said.append, clock)
    lines.step(0, None, "trying the model")
    lines.step(0, 4, "idle")
    clock.now += 10
    lines.step(2, 4, "batch=1")
    lines.note("warning: busy")
    lines.step(4, 4, "done")
    assert said == [
        "trying the model",
        "[0/4] idle",
        "[2/4] batch=1, about 10 s left",
        "warning: busy",
        "[4/4] done",
    ]


def test_the_current_step_is_printed_again_after_a_silence(clock: Clock) -> None:
    said: list[str] = []
    lines = Lines(said.append, clock)
    lines.print_heartbeat()
    lines.step(0, None, "trying the model")
    clock.now += 2
    lines.print_heartbeat()
    clock.now += 10
    lines.print_heartbeat()
    assert said == ["trying the model", "trying the model (after 12 s)"]


def test_a_run_of_thousands_of_steps_prints_a_line_every_few_seconds(clock: Clock) -> None:
    said: list[str] = []
    lines = Lines(said.append, clock)
    for step in range(10_000):
        lines.step(step, 10_000, "repeat")
        clock.now += 0.1
    lines.step(10_000, 10_000, "done")
    assert 100 < len(said) < 100 + 1000 / 5 + 2
    assert said[-1] == "[10000/10000] done"


def test_a_long_step_without_a_terminal_is_printed_repeatedly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.progress._HEARTBEAT_SECONDS", 0.02)
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    with progress() as shown:
        shown.step(0, None, "loading \x1b[31m")
        for _ in range(2000):
            if "after" in errors.getvalue():
                break
            time.sleep(0.01)
    assert errors.getvalue().startswith("loading \\x1b[31m\nloading \\x1b[31m (after ")


def test_a_terminal_gets_a_bar_with_the_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    master, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        with progress() as shown:
            shown.step(0, 4, "idle")
            shown.note("warning: \x1b]0;title\x07")
            shown.step(2, 4, "batch=1")
        stream.flush()
        text = ""
        while select.select([master], [], [], 0.5)[0]:
            text += os.read(master, 65536).decode()
    os.close(master)
    assert "warning: \\x1b]0;title\\x07" in text
    assert "2/4" in text
    assert " left" in text
    assert "batch=1" in text


@pytest.mark.parametrize("terminal", ["dumb", ""])
def test_a_terminal_that_cannot_draw_gets_lines(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", terminal)
        with progress() as shown:
            shown.step(0, 4, "idle")
        text = os.read(master, 65536).decode()
    os.close(master)
    assert text == "[0/4] idle\r\n"
