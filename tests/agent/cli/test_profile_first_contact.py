"""`inferometer profile` on a busy host, and where nothing can be stored: what a newcomer meets first."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from command import ROOT, call, environment, finish, read_until, run, started
from moving_counters import advancing_counters
from profile_runs import BARE_METAL, SHORT, TINY, WATTS, document
from trees import FIXTURES, copy_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")
RUN = (*TINY, *SHORT, "--batch", 1, *NO_NVIDIA)
STILL = (*RUN, "--path.sysfs", FIXTURES / "trees/intel_server_2s/sys", *BARE_METAL)
ANSWERS = {b"n\n": 1, b"\n": 1, b"y\n": 130}
"""The exit code for each answer to the question."""
HOG = "import os; os.nice(19)\nwhile True: pass"


@contextmanager
def hogs() -> Iterator[None]:
    """Keep every CPU busy with twice as many processes, which give way to everything else."""
    busy = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    tree = copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")
    with advancing_counters(tree, WATTS):
        yield tree


@dataclass(frozen=True)
class Busy:
    """The same command on a busy host: with no terminal, with --force, and with each answer on a terminal."""

    home: Path
    refused: subprocess.CompletedProcess[str]
    forced: subprocess.CompletedProcess[str]
    asked: dict[bytes, tuple[int, str]]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, server: Path) -> Busy:
    line, home = (*RUN, "--window-seconds", 0.3, "--path.sysfs", server), tmp_path_factory.mktemp("busy")
    with hogs(), ThreadPoolExecutor() as pool:
        forced = pool.submit(run, tmp_path_factory.mktemp("forced"), *line, "--force", "--json")
        refused = pool.submit(run, home, *line)
        asked = {answer: pool.submit(answered, tmp_path_factory.mktemp("asked"), answer, *line) for answer in ANSWERS}
        return Busy(home, refused.result(), forced.result(), {answer: one.result() for answer, one in asked.items()})


def test_a_busy_host_is_refused_in_the_first_seconds(busy: Busy) -> None:
    result = busy.refused
    assert (result.returncode, result.stdout) == (1, "")
    assert "CPUs busy: latency and throughput will be distorted" in result.stderr
    assert "continue anyway with --force" in result.stderr
    assert "idle" not in result.stderr
    assert json.loads(call(busy.home, "profiles", "list", "--json").stdout) == {"profiles": []}


def test_force_measures_a_busy_host_with_a_range_that_includes_other_programs(busy: Busy) -> None:
    result = busy.forced
    assert result.returncode == 0, result.stderr
    assert "warning: other programs keep" in result.stderr
    [point] = document(result)["points"]
    assert point["time_to_first_token_seconds"]["p50"] > 0
    energy = point["energy"]
    total = energy["joules_per_inference"]["total"]
    assert 0.1 < energy["background_share"] < 1
    # The mean is everything that was measured, and the lower end at most the workload's own share of that.
    assert total["lower"] <= total["mean"] * (1 - energy["background_share"])
    assert total["upper"] >= total["mean"]
    failed = {check["name"]: check["severity"] for check in point["checks"] if check["status"] == "failed"}
    assert failed["background_load"] == "warning"


def test_a_run_that_requires_energy_is_refused_without_sensors(tmp_path: Path) -> None:
    result = call(tmp_path, *RUN, *BARE_METAL, "--path.sysfs", tmp_path, "--no-estimates", "--require-energy")
    assert (result.returncode, result.stdout) == (1, "")
    assert "--require-energy: nothing on this host measures power" in result.stderr
    assert "idle" not in result.stderr


def test_a_stuck_sensor_withholds_the_energy_with_a_warning_of_one_line(tmp_path: Path) -> None:
    plain = run(tmp_path, *STILL, "--json")
    assert plain.returncode == 0, plain.stderr
    [point] = document(plain)["points"]
    assert (point["valid"], point["energy"]) == (False, None)
    assert point["inferences_per_second"]["mean"] > 0
    [line] = [line for line in plain.stderr.splitlines() if line.startswith("warning: no energy for")]
    assert line.startswith("warning: no energy for batch=1: ")
    strict = run(tmp_path, *STILL, "--require-energy", "--repeats", 1, "--json")
    assert strict.returncode == 1
    assert "--require-energy: no energy for batch=1" in strict.stderr
    assert document(strict)["points"]


# --- the model, once ------------------------------------------------------------------------------------------------


def test_the_model_is_loaded_once_in_a_run(tmp_path: Path, server: Path) -> None:
    starts = tmp_path / "starts"
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'agent.workloads.runner.worker' in sys.orig_argv:\n"
        f"    with open({str(starts)!r}, 'a') as file: file.write('start\\n')\n"
    )
    line = (*RUN, "--batch", "1,2", "--repeats", 1, "--path.sysfs", server, *BARE_METAL, "--json")
    result = run(tmp_path, *line, env=environment(tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}"))
    assert result.returncode == 0, result.stderr
    assert len(document(result)["points"]) == 2
    assert starts.read_text() == "start\n"


# --- nothing to store in --------------------------------------------------------------------------------------------


def test_without_a_store_the_profile_is_printed_and_nothing_is_left(tmp_path: Path, server: Path) -> None:
    line = (*RUN, "--path.sysfs", server, *BARE_METAL, "--database", "/proc/nowhere/store.db", "--json")
    refused = run(tmp_path, *line)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "/proc/nowhere" in refused.stderr
    assert "profile without a database: --no-store" in refused.stderr
    result = run(tmp_path, *line, "--no-store", env=environment(tmp_path, TMPDIR=str(tmp_path)))
    assert result.returncode == 0, result.stderr
    assert document(result)["points"][0]["energy"]["joules_per_inference"]["total"]["mean"] > 0
    assert "Stored in" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
def test_a_profile_that_cannot_be_stored_is_printed_with_a_warning(tmp_path: Path, server: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("needs root to mount a tmpfs")
    try:
        line = (*RUN, "--repeats", 12, "--path.sysfs", server, *BARE_METAL, "--database", disk / "store.db", "--json")
        with started(tmp_path, *line) as process:
            read_until(process.stderr, "decode: repeat 1")
            fill(disk / "ballast")
            result = finish(process)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    assert result.returncode == 1
    assert "the profile above is not stored" in result.stderr
    assert document(result)["points"][0]["inferences_per_second"]["mean"] > 0
    assert "Traceback" not in result.stderr


def test_a_database_destroyed_during_a_run_withholds_the_energy_and_not_the_latency(
    tmp_path: Path, server: Path
) -> None:
    database = tmp_path / "store.db"
    line = (*RUN, "--repeats", 15, "--path.sysfs", server, *BARE_METAL, "--database", database, "--json")
    with started(tmp_path, *line) as process:
        read_until(process.stderr, "decode: repeat 3")
        for name in ("store.db", "store.db-wal"):
            os.truncate(tmp_path / name, 0)
        result = finish(process)
    assert result.returncode == 1
    assert "the profile above is not stored" in result.stderr
    [point] = document(result)["points"]
    assert point["inferences_per_second"]["mean"] > 0
    assert (point["valid"], point["energy"]) == (False, None)
    assert "Traceback" not in result.stderr


def fill(path: Path) -> None:
    """Fill the disk to the last byte with a file."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


# --- a terminal to ask on -------------------------------------------------------------------------------------------


def answered(home: Path, answer: bytes, *line: object) -> tuple[int, str]:
    """Run the command on a terminal, answer its question, stop it once it measures; return its code and its screen."""
    ours, theirs = pty.openpty()
    with started(
        home, *line, stdin=theirs, stderr=theirs, env=environment(home, COLUMNS="300", TERM="xterm")
    ) as process:
        os.close(theirs)
        screen = until(ours, "Continue anyway? [y/N]")
        os.write(ours, answer)
        if answer.startswith(b"y"):
            screen += until(ours, "the run takes")
            os.killpg(process.pid, signal.SIGINT)
        screen += until(ours, None)
        os.close(ours)
        return process.wait(), screen


def until(terminal: int, words: str | None) -> str:
    """Read a terminal until it shows `words`, or until its end."""
    screen = ""
    while words is None or words not in screen:
        try:
            screen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # EIO: the program has closed it
            assert words is None, screen
            break
    return screen


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_terminal_is_asked_whether_to_continue_on_a_busy_host(busy: Busy, answer: bytes) -> None:
    returned, screen = busy.asked[answer]
    assert returned == ANSWERS[answer]
    assert "warning: other programs keep" in screen
    assert ("error: other programs keep" in screen) is (returned == 1)
    assert "Traceback" not in screen


def test_without_a_home_a_profile_needs_no_database(tmp_path: Path, server: Path) -> None:
    variables = {name: value for name, value in environment(tmp_path).items() if not name.startswith(("HOME", "XDG_"))}
    line = (*RUN, "--path.sysfs", server, *BARE_METAL, "--no-store", "--json")
    result = run(tmp_path, *line, env={**variables, "HOME": "/proc/nowhere"})
    assert result.returncode == 0, result.stderr
    assert document(result)["points"][0]["valid"]
