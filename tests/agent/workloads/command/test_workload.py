"""Programs in their workload process: windows, counts, failures, and the end of everything that they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.workloads.axes import request
from agent.workloads.command.spec import CommandSpec
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import LostPointError, WorkloadError
from agent.workloads.limits import Limits
from agent.workloads.runner.client import WorkloadProcess
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.workloads.point import Point
    from agent.workloads.runner.protocol import Measured, Prepared

pytestmark = pytest.mark.system

POINT = {"command": "sh"}


@contextmanager
def loaded(**given: Any) -> Iterator[WorkloadProcess]:
    spec, axes = request(CommandSpec, given)
    with WorkloadProcess(limits=Limits(60.0)) as process:
        process.check(spec, EngineSpec(), [{name: values[0] for name, values in axes.items()}])
        process.start(spec, EngineSpec())
        yield process


def sh(script: str) -> dict[str, Any]:
    return {"program": ("sh", "-c", script)}


def once(point: Point = POINT, seconds: float = 0.0, **given: Any) -> tuple[Prepared, Measured]:
    with loaded(**given) as process:
        return process.prepare(point), process.measure("run", seconds, 1)


def test_a_program_that_takes_longer_than_a_window_runs_once_in_it() -> None:
    _, measured = once(**sh("sleep 0.3"), seconds=0.1)
    assert (measured.iterations, measured.inferences, measured.output_tokens) == (1, 1, 0)
    assert measured.end_ns - measured.start_ns >= 0.3e9
    assert sum(measured.latencies_seconds) == pytest.approx((measured.end_ns - measured.start_ns) / 1e9)


def test_a_short_program_runs_until_the_window_is_long_enough() -> None:
    edges: list[int] = []
    with loaded(**sh("sleep 0.02"), count=8, tokens=5) as process:
        process.prepare(POINT)
        measured = process.measure("run", 0.2, 1, lambda: edges.append(time.monotonic_ns()))
    assert sum(measured.latencies_seconds[:-1]) < 0.2 <= sum(measured.latencies_seconds)
    assert measured.inferences == 8 * measured.iterations
    assert measured.output_tokens == 5 * measured.iterations
    assert measured.end_ns - measured.start_ns >= 0.2e9
    assert len(measured.latencies_seconds) == measured.iterations
    assert len(edges) == 2


def test_a_count_of_the_output_is_that_of_each_run(tmp_path: Path) -> None:
    script = f"echo x >> {tmp_path}/runs; n=$(wc -l < {tmp_path}/runs); echo tokens=$((10 * n)); echo images: $n >&2"
    given = {**sh(script), "count_regex": r"images: (\d+)", "tokens_regex": r"tokens=(\d+)"}
    _, measured = once(**given, seconds=0.05)
    runs = range(2, measured.iterations + 2)  # the first run is the trial
    assert measured.inferences == sum(runs)
    assert measured.output_tokens == 10 * sum(runs)


def test_a_count_in_a_file_is_that_of_each_run(tmp_path: Path) -> None:
    script = f"""echo '{{"runs": [{{"n": 3}}]}}' > {tmp_path}/out.json"""
    _, measured = once(**sh(script), count_json=f"{tmp_path}/out.json:runs[0].n")
    assert measured.inferences == 3 * measured.iterations


CLOCK = """
import time
def report(word, seconds):
    print(word, time.monotonic_ns(), flush=True)
    time.sleep(seconds)
"""


def timed(script: str) -> dict[str, Any]:
    """Return the options of a program that reports times of CLOCK_MONOTONIC, which its counts are."""
    program = (sys.executable, "-I", "-c", CLOCK + script)
    return {"program": program, "names": ("sh",), "count_regex": r"ready (\d+)", "ready_when": "ready"}


def test_a_window_begins_at_the_line_that_reports_readiness_and_the_load_is_known() -> None:
    script = "time.sleep(0.3); report('ready', 1.5); report('end', 0)"
    prepared, measured = once(**timed(script), tokens_regex=r"end (\d+)", seconds=5.0)
    ready_ns, end_ns = measured.inferences, measured.output_tokens
    assert measured.iterations == 1
    assert ready_ns <= measured.start_ns < end_ns <= measured.end_ns
    assert prepared.model is not None
    assert prepared.model.load_seconds >= 0.3
    assert prepared.start_ns == prepared.model.load_end_ns  # the load is no part of the first run


def test_a_window_ends_at_the_line_that_reports_the_end_and_the_program_may_finish() -> None:
    script = "report('ready', 0.1); report('done', 1.5); report('late', 0)"
    _, measured = once(**timed(script), done_when="done", tokens_regex=r"late (\d+)")
    assert measured.inferences <= measured.start_ns < measured.end_ns < measured.output_tokens


def test_a_server_is_ended_after_the_line_that_ends_its_window() -> None:
    _, measured = once(**sh("echo done; exec sleep 100"), done_when="done")
    assert measured.iterations == 1


def test_a_trial_of_a_point_runs_once(tmp_path: Path) -> None:
    with loaded(**sh(f"echo x >> {tmp_path}/runs")) as process:
        for _ in range(3):
            process.prepare(POINT)
    assert (tmp_path / "runs").read_text() == "x\n"


def test_a_preparation_runs_before_each_window_and_not_in_it(tmp_path: Path) -> None:
    script = "import sys, time; time.sleep(0.1); print(time.monotonic_ns(), file=open(sys.argv[1], 'a'))"
    prepare = ((sys.executable, "-I", "-c", script, str(tmp_path / "prepared")),)
    _, measured = once(**sh(f"test -e {tmp_path}/prepared && sleep 0.05"), prepare=prepare)
    trial, window = (tmp_path / "prepared").read_text().split()
    assert int(trial) < int(window) < measured.start_ns


def test_placeholders_differ_between_points() -> None:
    given = {**sh("echo n={n}"), "params": {"n": (3, 5)}, "count_regex": r"n=(\d+)"}
    with loaded(**given) as process:
        counts = {}
        for n in (5, 3):
            process.prepare({**POINT, "n": n})
            measured = process.measure("run", 0.0, 1)
            counts[n] = measured.inferences / measured.iterations
    assert counts == {3: 3, 5: 5}


@pytest.mark.parametrize(
    ("given", "cause", "output"),
    [
        (sh("echo working; echo broken >&2; exit 3"), "sh ended with exit status 3", "working\nbroken\n"),
        (sh("kill -SEGV $$"), "sh was killed by SIGSEGV", "it printed nothing"),
        ({**sh("echo a; echo b"), "count_regex": "images"}, "--count-regex: no line of the output matches", "a\nb\n"),
        ({**sh("echo a"), "ready_when": "ready"}, "--ready-when: no line of the output matches", "a\n"),
        ({**sh("echo ready"), "ready_when": "ready", "done_when": "over"}, "--done-when: no line", "ready\n"),
        ({**sh("exit 4"), "ready_when": "ready"}, "sh ended with exit status 4", ""),
        ({**sh("true"), "prepare": (("sh", "-c", "echo no; exit 9"),)}, "--prepare: sh ended with exit", "no\n"),
    ],
)
def test_a_failed_run_loses_its_point_with_the_end_of_its_output(
    given: dict[str, Any], cause: str, output: str
) -> None:
    with loaded(**given) as process:
        with pytest.raises(LostPointError) as error:
            process.prepare(POINT)
        assert error.value.message.startswith(cause)
        assert output in error.value.stderr_tail
        assert not error.value.ended


def test_a_later_failure_loses_the_point_and_the_process_continues(tmp_path: Path) -> None:
    with loaded(**sh(f"test ! -e {tmp_path}/stop")) as process:
        process.prepare(POINT)
        (tmp_path / "stop").touch()
        with pytest.raises(LostPointError, match="exit status 1"):
            process.measure("run", 0.0, 1)
        (tmp_path / "stop").unlink()
        process.prepare(POINT)
        assert process.measure("run", 0.0, 1).iterations == 1


def test_every_exit_status_can_be_accepted() -> None:
    _, measured = once(**sh("exit 3"), ignore_failure=True)
    assert measured.iterations == 1


def test_a_long_output_is_read_and_lines_may_end_with_carriage_returns() -> None:
    script = "yes 0123456789 | head -c 3000000; printf '\\rstep 1\\rstep 2\\rstep 3'"
    _, measured = once(**sh(script), count_regex=r"step (\d)")
    assert measured.inferences == 3 * measured.iterations


def test_a_program_that_is_not_installed_is_refused_before_the_run() -> None:
    with pytest.raises(WorkloadError, match="no-such-program: command not found"), loaded(program=("no-such-program",)):
        pass
    given = {**sh("true"), "prepare": (("/no/such",),)}
    with pytest.raises(WorkloadError, match="--prepare: /no/such: command not found"), loaded(**given):
        pass


def alive(file: Path) -> list[int]:
    """Return the processes named in a file that still run."""
    return [pid for pid in map(int, file.read_text().split()) if Path(f"/proc/{pid}").exists()]


DAEMON = """
import os, sys, time
if os.path.exists(sys.argv[1] + ".up"):
    os.unlink(sys.argv[1] + ".up")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "a").write(f"{os.getpid()} ")
        open(sys.argv[1] + ".up", "w").close()
        time.sleep(100)
    os._exit(0)
while not os.path.exists(sys.argv[1] + ".up"):
    time.sleep(0.005)
"""


def test_children_that_become_daemons_end_with_the_run_and_do_not_prolong_it(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    program = (sys.executable, "-I", "-c", DAEMON, str(file))
    with loaded(program=program, names=("daemons",)) as process:
        process.prepare({"command": "daemons"})
        measured = process.measure("run", 0.0, 1)
        assert (measured.end_ns - measured.start_ns) / 1e9 < 50
        assert len(file.read_text().split()) == 2
        assert alive(file) == []


def test_a_hanging_program_loses_its_point_after_the_timeout_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    script = f"echo $$ >> {file}; setsid sh -c 'echo $$ >> {file}; sleep 100'; true"
    cause = "the program sh did not finish running command=sh once within 1 s"
    with loaded(**sh(script)) as process:
        process._limits = Limits(1.0)
        with pytest.raises(LostPointError, match=cause):
            process.prepare(POINT)
    await_true(lambda: alive(file) == [])


def kill_when_started(pid: int, file: Path) -> None:
    await_true(lambda: file.exists() and len(file.read_text().split()) == 2)
    os.kill(pid, signal.SIGTERM)


def test_stopping_the_process_ends_the_program_and_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    with loaded(**sh(f"echo $$ >> {file}; setsid sh -c 'echo $$ >> {file}; sleep 100'; true")) as process:
        killer = threading.Thread(target=kill_when_started, args=(process.pid, file))
        killer.start()
        with pytest.raises(WorkloadError, match="the workload process ended during 'prepare'"):
            process.prepare(POINT)
        killer.join()
    await_true(lambda: alive(file) == [])


def test_a_program_gets_no_input_and_the_default_action_of_ctrl_c() -> None:
    with pytest.raises(LostPointError, match="sh was killed by SIGINT"):
        once(**sh("cat; kill -INT $$; echo survived"))


INTERRUPTED_START = """
import os, signal, subprocess, sys, time
from pathlib import Path
from agent.workloads.command import program, workload
from agent.workloads.command.spec import CommandSpec
from agent.workloads.engine_spec import EngineSpec

start = subprocess.Popen

def interrupted(*arguments, **options):
    process = start(*arguments, **options)
    while len(pids.read_text().split() if pids.exists() else ()) < 2:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    return process

pids = Path(sys.argv[1])
spec = CommandSpec(program=("sh", "-c", f"echo $$ >> {pids}; setsid sh -c 'echo $$ >> {pids}; exec sleep 60'"))
loaded = workload.load(spec, EngineSpec())
program.subprocess.Popen = interrupted
loaded.prepare({"command": "sh"})
"""


def test_a_program_is_ended_even_if_the_signal_arrives_while_it_is_started(tmp_path: Path) -> None:
    command = (sys.executable, "-c", INTERRUPTED_START, str(tmp_path / "pids"))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert len((tmp_path / "pids").read_text().split()) == 2
    await_true(lambda: alive(tmp_path / "pids") == [])
