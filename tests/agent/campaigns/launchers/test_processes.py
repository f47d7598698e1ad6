"""Tasks as local processes: order, limits, and the end of a head."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from agent.campaigns.launchers import processes
from agent.campaigns.launchers.processes import run_by_host, run_process
from agent.campaigns.records import Host, Outcome, Task
from waiting import await_true

pytestmark = pytest.mark.system
NEVER = threading.Event()


def task(uid: str = "u", host: str = "one", given: str = "", seconds: float = 60.0) -> Task:
    return Task(uid, Host(host, host), ("profile",), given=given, timeout_seconds=seconds)


def shell(line: str, given: str = "", seconds: float = 60.0, stop: threading.Event = NEVER) -> Outcome:
    return run_process(task(given=given, seconds=seconds), ("sh", "-c", line), stop)


def test_output_errors_code_and_times_are_those_of_the_command() -> None:
    before = time.time_ns()
    outcome = shell("cat; echo trouble >&2; exit 3", given="x" * 1_000_000)
    assert (outcome.code, outcome.result, outcome.errors) == (3, b"x" * 1_000_000, "trouble\n")
    assert before <= outcome.sent_ns <= outcome.received_ns <= time.time_ns()


def test_a_command_that_does_not_read_its_input_loses_it() -> None:
    assert shell("exit 0", given="x" * 1_000_000).code == 0


def test_only_the_end_of_long_errors_is_kept() -> None:
    outcome = shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo last >&2")
    assert len(outcome.errors) == processes.MOST_ERROR_BYTES
    assert outcome.errors.endswith("xlast\n")


def test_a_result_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST_RESULT_BYTES", 1 << 20)
    outcome = shell("yes")
    assert outcome.code is None
    assert outcome.errors == "its result is larger than 1 MiB"


def test_a_command_beyond_its_time_is_ended_with_its_children(tmp_path: Path) -> None:
    outcome = shell(f"sleep 1000 & echo $! > {tmp_path}/pid; wait", seconds=3.0)
    assert outcome.code is None
    assert outcome.errors.startswith("it did not end within 3 s")
    await_ended(tmp_path)


def test_a_stopped_head_ends_the_command(tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_once_it_runs() -> None:
        await_true((tmp_path / "pid").exists)
        stop.set()

    threading.Thread(target=stop_once_it_runs).start()
    outcome = shell(f"sleep 1000 & echo $! > {tmp_path}/pid; wait", stop=stop)
    assert (outcome.code, outcome.errors) == (None, "the head stopped while it ran")
    await_ended(tmp_path)


def test_a_missing_program_is_an_outcome() -> None:
    outcome = run_process(task(), ("/nowhere/inferometer",), NEVER)
    assert outcome.code is None
    assert outcome.errors.startswith("/nowhere/inferometer cannot be started (No such file")


def test_the_tasks_of_a_host_keep_their_order_and_hosts_run_at_once() -> None:
    together = threading.Barrier(2, timeout=30)

    def run(own: Task, _stop: threading.Event) -> Outcome:
        if own.uid == "1":
            together.wait()  # ends only if the other host runs at the same time
        return Outcome(own, 0, b"", "")

    tasks = [task(uid, host) for host in ("one", "two") for uid in ("1", "2", "3")]
    found = [(each.task.host.name, each.task.uid) for each in run_by_host(tasks, run, lambda _: True, 2)]
    assert [uid for host, uid in found if host == "one"] == ["1", "2", "3"]
    assert [uid for host, uid in found if host == "two"] == ["1", "2", "3"]


def test_a_host_that_must_not_proceed_ends_alone() -> None:
    def run(own: Task, _stop: threading.Event) -> Outcome:
        return Outcome(own, 0, b"", "")

    tasks = [task(uid, host) for host in ("one", "two") for uid in ("1", "2")]
    found = run_by_host(tasks, run, lambda each: each.task.host.name == "two", 1)
    assert [(each.task.host.name, each.task.uid) for each in found] == [("one", "1"), ("two", "1"), ("two", "2")]


def test_a_closed_iterator_ends_the_command_and_starts_nothing_more(tmp_path: Path) -> None:
    started: list[str] = []

    def run(own: Task, stop: threading.Event) -> Outcome:
        started.append(own.uid)
        line = "true" if own.uid == "1" else f"sleep 1000 & echo $! > {tmp_path}/pid; wait"
        return run_process(own, ("sh", "-c", line), stop)

    outcomes = run_by_host([task(uid) for uid in ("1", "2", "3")], run, lambda _: True, 4)
    assert next(outcomes).task.uid == "1"
    await_true(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    outcomes.close()  # type: ignore[attr-defined]
    assert started == ["1", "2"]
    await_ended(tmp_path)


def test_an_error_in_a_thread_is_raised_by_the_iterator() -> None:
    def run(_own: Task, _stop: threading.Event) -> Outcome:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        list(run_by_host([task()], run, lambda _: True, 1))


def await_ended(folder: Path) -> None:
    """Wait until a process is gone, or is one that init has not reaped yet."""
    status = Path("/proc", (folder / "pid").read_text().strip(), "stat")
    await_true(lambda: not status.exists() or ") Z " in status.read_text())
