"""`inferometer profile command`, from the command line to the document."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.bundles.anonymize import Anonymizer
from agent.cli.arguments import PROGRAM_FLAGS
from agent.workloads.point import encode_point
from command import call, finish, read_until, run, started
from command_tree import commands_of
from moving_counters import advancing_counters, longest_gap
from profile_runs import BARE_METAL, WATTS, document, invalid, stored
from trees import copy_tree
from waiting import await_true

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    Runs = dict[str, subprocess.CompletedProcess[str]]

SHORT = ("--idle-seconds", 0.2, "--window-seconds", 0.3, "--cpu-budget", 0.3, "--force")
SECRET = "sk-secret-123"
PYTHON = (sys.executable, "-I", "-c")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")


@pytest.fixture(scope="module")
def runs(home: Path, server: Path) -> Iterator[Runs]:
    """Runs of every kind, all at the same time, into the user's one database."""
    limit = os.path.realpath(server / "class/powercap/intel-rapl:0/constraint_0_power_limit_uw")
    command = ("profile", "command", *SHORT, "--path.sysfs", server, *BARE_METAL, "--json")
    serve = "import time; time.sleep(0.3); print('ready', flush=True); time.sleep(1); print('served 12', flush=True)"
    lines = {
        "whole": (*command, "--count", 4, "--", *PYTHON, "import time; time.sleep(0.1)", SECRET),
        "part": (
            *(*command, "--ready-when", "^ready", "--count-regex", r"served (\d+)", "--name", "server"),
            *("--", *PYTHON, serve),
        ),
        "compared": (
            *(*command, "--price-per-kwh", 0.3, "--vs", "sleep 0.1{digit}", "--vs", "sleep 1.{digit}"),
            *(
                "--name",
                "fast",
                "--name",
                "equal",
                "--name",
                "slow",
                "--param",
                "digit=1,2",
                "--",
                "sleep",
                "0.1{digit}",
            ),
        ),
        "capped": (
            *(*command, "--param", "watts=150,100", "--prepare", f"sh -c 'echo {{watts}}000000 > {limit}'"),
            *("--", "sh", "-c", "sleep 0.1; echo {watts}"),
        ),
        "hanging": (*command, "--timeout", 30, "--vs", "sh -c 'sleep 300; true'", "--", "sleep", "0.1"),
        "failing": (*command, "--vs", "sh -c 'echo no memory left >&2; exit 7'", "--", "sleep", "0.1"),
    }
    with advancing_counters(server, WATTS), ThreadPoolExecutor(len(lines)) as pool:
        waiting = {name: pool.submit(run, home, *line) for name, line in lines.items()}
        yield {name: future.result() for name, future in waiting.items()}


def test_the_energy_of_a_program_is_the_known_watts_times_its_time_and_within_its_bounds(
    home: Path, runs: Runs, server: Path
) -> None:
    result = runs["whole"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    [point] = found["points"]
    assert point["parameters"] == {"command": Path(sys.executable).name}
    assert invalid(point) == []
    _, windows = stored(home, found["id"])
    own = [window for window in windows if window.point == encode_point(point["parameters"])]
    assert len(own) == point["repeats"] == 3
    assert all(window.inferences == 4 * window.iterations for window in own)
    assert all(window.seconds >= 0.3 for window in own)
    seconds = sum(window.seconds / window.inferences for window in own) / len(own)
    total = point["energy"]["joules_per_inference"]["total"]
    late = longest_gap(server) / min(window.seconds for window in own)
    assert total["mean"] == pytest.approx(180 * seconds, rel=0.1 + late)
    assert total["lower"] <= 180 * seconds * (1 + late)
    assert total["upper"] >= 180 * seconds * (1 - late)
    assert [(each["state"], each["when"]) for each in found["baselines"]] == [
        ("unloaded", "before"),
        ("unloaded", "after"),
    ]
    assert found["plan"]["min_iterations"] == 1
    assert found["startup"] is None


def test_neither_arguments_nor_folders_of_a_program_are_stored(home: Path, runs: Runs) -> None:
    with sqlite3.connect(home / "state/inferometer/inferometer.db") as connection:
        rows = "\n".join(connection.iterdump())
    connection.close()
    for text in (runs["whole"].stdout, runs["whole"].stderr, rows):
        assert SECRET not in text
        assert str(Path(sys.executable).parent) not in text


def test_the_load_of_a_program_is_a_figure_of_its_own(runs: Runs, server: Path) -> None:
    assert runs["part"].returncode == 0, runs["part"].stderr
    found = document(runs["part"])
    [point] = found["points"]
    assert point["name"] == "command=server"
    [phase] = point["phases"]
    assert phase["iterations"] == phase["repeats"] == 3
    assert phase["inferences"] == 36
    assert phase["duration_seconds"] / 3 > 0.2
    assert any("from the line of --ready-when to its end" in note for note in found["notes"])
    startup = found["startup"]
    assert startup["load_seconds"] >= 0.3
    joules, late = 180 * startup["load_seconds"], 180 * longest_gap(server)
    assert startup["load_joules"]["lower"] <= joules + late
    assert startup["load_joules"]["upper"] >= joules - late
    assert startup["first_run_seconds"] > 0.2


def test_programs_are_compared_at_each_parameter(home: Path, runs: Runs) -> None:
    assert runs["compared"].returncode == 0, runs["compared"].stderr
    found = document(runs["compared"])
    assert [point["name"] for point in found["points"]] == [
        f"command={name} digit={digit}" for name in ("fast", "equal", "slow") for digit in (1, 2)
    ]
    shown = call(home, "profiles", "show", found["id"]).stdout
    text = shown.partition("Compared with fast, 95 % intervals of this run.\n")[2].partition("\n\n")[0]
    lines = text.replace("\n  ", " ").splitlines()
    [equal, slow] = (
        next(line for line in lines if line.startswith(f"{name} at digit=1")) for name in ("equal", "slow")
    )
    assert " ± " in slow
    assert "times slower" in slow
    assert "times more energy" in slow
    assert "equal at digit=1: " in equal
    assert all(point["cost"]["usage"]["per_inference"]["energy"]["mean"] > 0 for point in found["points"])


def test_the_power_limit_that_a_preparation_sets_is_that_of_its_point(runs: Runs) -> None:
    assert runs["capped"].returncode == 0, runs["capped"].stderr
    found = document(runs["capped"])
    assert [point["name"] for point in found["points"]] == ["command=sh watts=150", "command=sh watts=100"]
    for point, watts in zip(found["points"], (150, 100), strict=True):
        conditions = point["conditions"]
        assert conditions["start_power_limits_watts"]["intel-rapl:0 long_term"] == watts
        assert conditions["end_power_limits_watts"]["intel-rapl:0 long_term"] == watts
        [settings] = [each for each in point["checks"] if each["name"] == "settings_unchanged"]
        assert settings["status"] == "passed"


def test_an_anonymized_comparison_distinguishes_the_commands_without_their_names(runs: Runs) -> None:
    plain = Anonymizer(document(runs["compared"])).document()
    commands = [point["parameters"]["command"] for point in plain["points"]]
    assert commands == ["command-1", "command-1", "command-2", "command-2", "command-3", "command-3"]
    assert len({point["name"] for point in plain["points"]}) == 6
    assert "slow" not in json.dumps(plain)


def test_a_failing_program_loses_its_point_and_the_others_are_complete(runs: Runs) -> None:
    result = runs["failing"]
    assert result.returncode == 1
    found = document(result)
    assert [point["name"] for point in found["points"]] == ["command=sleep"]
    assert "command=sh is left out: sh ended with exit status 7" in " ".join(found["notes"])
    assert "no memory left" not in result.stdout
    message = json.loads(result.stderr.splitlines()[-1])["error"]["message"]
    assert "these points are missing, the others are complete: command=sh" in message
    assert "no memory left" in message


def test_a_hanging_program_loses_its_point_and_the_others_are_complete(runs: Runs) -> None:
    result = runs["hanging"]
    assert result.returncode == 1
    found = document(result)
    assert [point["name"] for point in found["points"]] == ["command=sleep"]
    assert found["points"][0]["repeats"] == 3
    assert "one of the programs did not finish running command=sh once within 30 s" in " ".join(found["notes"])
    assert "--timeout" in result.stderr


UNMEASURED = (*SHORT, *BARE_METAL, "--no-estimates", "--no-store")


def test_the_output_of_a_program_is_shown_on_request_without_control_characters(tmp_path: Path) -> None:
    program = ("--", "sh", "-c", r"printf 'out \033[31m\n'; echo err >&2; sleep 0.3")
    line = ("profile", "command", *UNMEASURED, "--path.sysfs", tmp_path, "--json")
    hidden, shown = (run(tmp_path, *line, *more, *program) for more in ((), ("--show-output",)))
    assert hidden.returncode == shown.returncode == 0
    document(shown)
    assert "out" not in hidden.stderr.splitlines()
    assert "out \\x1b[31m" in shown.stderr.splitlines()
    assert "err" in shown.stderr.splitlines()


def test_a_single_failing_program_gives_no_profile_and_the_end_of_its_output(tmp_path: Path) -> None:
    line = ("profile", "command", *UNMEASURED, "--path.sysfs", tmp_path, "--", "sh", "-c", "echo why; exit 3")
    result = run(tmp_path, *line)
    assert (result.returncode, result.stdout) == (2, "")
    assert "sh ended with exit status 3: the end of its output:\nwhy" in result.stderr
    assert "--ignore-failure" in result.stderr


def test_the_remedy_for_a_missing_count_is_a_line_of_its_own_below_the_output(tmp_path: Path) -> None:
    found = run(tmp_path, "profile", "command", *SHORT, "--count-regex", r"n=(\d+)", "--", "echo", "hello")
    assert found.returncode == 2
    assert found.stderr.endswith(
        "--count-regex: no line of the output matches: the end of its output:\nhello\n"
        "Remedy: correct the expression, or let the program print such a line\n"
    )


def test_ctrl_c_ends_the_program_and_its_children_and_the_profile_has_the_complete_repeats(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    script = f"echo $$ >> {file}; setsid sh -c 'echo $$ >> {file}; exec sleep 0.3'"
    program = ("--repeats", 50, "--path.sysfs", tmp_path, "--json", "--", "sh", "-c", script)
    with started(tmp_path, "profile", "command", *UNMEASURED, *program) as process:
        read_until(process.stderr, "repeat 3 of 50")
        os.killpg(process.pid, signal.SIGINT)
        result = finish(process)
    assert result.returncode == 130, result.stderr
    assert "interrupted: the workload was stopped" in result.stderr
    assert document(result)["points"][0]["repeats"] >= 2
    await_true(lambda: not [pid for pid in file.read_text().split() if Path(f"/proc/{pid}").exists()])


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ((), "COMMAND"),
        (("--vs", "'", "--", "true"), "--vs: No closing quotation"),
        (("--name", "a", "--name", "b", "--", "true"), "--name: 2 names for 1 commands"),
        (("--param", "x=1", "--", "true"), "--param x: no command contains {x}"),
        (("--count", "2", "--count-regex", "a", "--", "true"), "exclude each other"),
        (("--device", "cuda", "--", "true"), "there is no option --device"),
        (("--", "no-such-program"), "no-such-program: command not found"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_measured(
    tmp_path: Path, options: tuple[str, ...], cause: str
) -> None:
    result = run(tmp_path, "profile", "command", *UNMEASURED, "--path.sysfs", tmp_path, *options)
    assert result.returncode == 2
    assert cause in result.stderr


def test_the_options_without_a_value_are_known_by_name() -> None:
    parameters = commands_of()["profile command"].params
    flags = {
        name for each in parameters if getattr(each, "is_flag", False) for name in (*each.opts, *each.secondary_opts)
    }
    assert flags | {"--help"} == PROGRAM_FLAGS


def test_words_after_the_program_are_its_own(tmp_path: Path) -> None:
    script = ("sh", "-c", 'test "$*" = "--json --database x" && sleep 0.2', "sh", "--json", "--database", "x")
    result = run(tmp_path, "profile", "command", *UNMEASURED, "--path.sysfs", tmp_path, *script)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Best point")
