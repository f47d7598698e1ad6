"""The command that `measure` runs: its options, its output, its signals and its exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from command import call, finish, read_until, run, started
from trees import write


def test_json_has_standard_output_to_itself_even_if_the_command_prints(tmp_path: Path) -> None:
    result = run(tmp_path, "measure", "--json", "--", "sh", "-c", "echo talk; echo more >&2; exit 4")
    assert result.returncode == 4
    document = json.loads(result.stdout)
    assert document["exit_code"] == 4
    assert document["total"].keys() >= {"joules", "lower", "upper", "boundary", "includes"}
    assert {"talk", "more"} <= set(result.stderr.splitlines())


@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_options_of_the_command_with_names_of_ours_belong_to_the_command(
    tmp_path: Path, dashes: tuple[str, ...]
) -> None:
    program = "import sys; print(sys.argv[1:])"
    given = ["--config", "x", "--json", "--duration", "9", "--no-estimates", "--", "--version"]
    result = run(tmp_path, "measure", *dashes, sys.executable, "-c", program, *given)
    assert result.returncode == 0
    assert result.stdout == f"{given}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("/no/such/program",), 127, "/no/such/program: no such file"),
        (("no-such-program-anywhere",), 127, "command not found on PATH"),
        (("/etc",), 126, "/etc: it cannot be executed (Permission denied)"),
        (("./torn",), 126, "./torn: the interpreter"),
        (("sh", "-c", "kill -9 $$"), 137, "total"),
        ((), 2, "give either a command"),
        (("--duration", 1, "true"), 2, "give either a command"),
        (("--duration", 0), 2, "--duration"),
        (("--duration", "nan"), 2, "--duration"),
        (("--duration", "inf"), 2, "--duration"),
        (("--duration", "1e300"), 2, "--duration"),
        (("--duration", "soon"), 2, "--duration"),
        (("--duration", 1, "--config"), 2, "--config needs a value"),
        (("--config", "nowhere.toml", "true"), 2, "nowhere.toml"),
    ],
)
def test_the_exit_code_and_the_error_report_the_cause(
    tmp_path: Path, arguments: tuple[object, ...], code: int, words: str
) -> None:
    torn = write(tmp_path / "torn", "#!/no/such/interpreter")
    torn.chmod(0o755)
    result = call(tmp_path, "measure", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_reaches_the_command_and_its_exit_code_is_passed_on(tmp_path: Path) -> None:
    script = "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    with started(tmp_path, "measure", "--", "sh", "-c", script) as process:
        read_until(process.stdout, "ready")
        os.killpg(process.pid, signal.SIGINT)
        result = finish(process)
    assert (result.returncode, result.stdout) == (7, "bye\n")
    assert "total" in result.stderr


def test_a_signal_to_measure_alone_is_passed_on_to_the_command(tmp_path: Path) -> None:
    with started(tmp_path, "measure", "--json", "--", "sh", "-c", "echo $$ >&2; exec sleep 60") as process:
        child = int(process.stderr.readline())
        process.terminate()
        result = finish(process)
    assert result.returncode == 128 + signal.SIGTERM
    assert json.loads(result.stdout)["exit_code"] == 143
    assert not Path(f"/proc/{child}").exists()
