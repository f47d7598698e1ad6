"""Commands in environments without a home, a stream, a locale, a terminal or a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from command import INFEROMETER, LONGEST_SECONDS, ROOT, environment, run
from command_tree import LEAVES, commands_of
from stored import SECOND_NS, record
from trees import FIXTURES

NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")
SERVER = ("--path.sysfs", FIXTURES / "trees/intel_server_2s/sys", "--path.procfs", FIXTURES / "proc/epyc_two_packages")
QUESTIONS = (
    ("devices", "--json"),
    ("doctor", "--json"),
    ("config", "check", "--json"),
    ("service", "status", "--json"),
)
"""Commands that need no store."""
TERMINAL = {"TERM", "COLUMNS", "LINES", "NO_COLOR", "TMPDIR"}
"""Variables that Python does not read at its start."""


def bare(**more: str) -> dict[str, str]:
    """Return an environment with only the path of this program."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **more}


def without_user(line: tuple[object, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without an entry in /etc/passwd and without HOME."""
    user = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    with suppress(FileNotFoundError):
        if subprocess.run([*user, "true"], capture_output=True, check=False).returncode == 0:
            whole = [*user, *INFEROMETER, *map(str, line)]
            return subprocess.run(
                whole, env=bare(), cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
            )
    pytest.skip("no user namespaces here")


@pytest.mark.parametrize("line", QUESTIONS, ids=" ".join)
def test_commands_work_for_a_user_without_a_passwd_entry_and_a_home(tmp_path: Path, line: tuple[str, ...]) -> None:
    result = without_user(line, tmp_path)
    assert "Traceback" not in result.stderr
    assert json.loads(result.stdout)


@pytest.mark.parametrize("line", [("db", "status"), ("profiles", "list"), ("samples",), ("daemon",)], ids=" ".join)
def test_a_user_without_a_home_must_name_the_store(tmp_path: Path, line: tuple[str, ...]) -> None:
    result = without_user(line, tmp_path)
    assert result.returncode in {1, 2}
    words = "this user has no home folder for it. Give its path with --database PATH, or set HOME"
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("home", ["/nonexistent/home", "/proc", "", "relative"])
def test_commands_that_need_no_store_work_without_a_valid_home(tmp_path: Path, home: str) -> None:
    result = run(tmp_path, "devices", *SERVER, *NO_NVIDIA, env=bare(HOME=home), fresh=True)
    assert (result.returncode, result.stderr) == (0, "")
    stored = run(tmp_path, "db", "status", env=bare(HOME=home))
    assert "Traceback" not in stored.stderr
    if home:  # without a value, the home of /etc/passwd counts, which may have a store
        assert stored.returncode == 1
        assert stored.stderr.startswith("error: ")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_the_measured_command_runs_with_closed_streams(tmp_path: Path, closed: tuple[int, ...]) -> None:
    shut = "".join(f" {number}>&-" for number in closed)
    words = " ".join([*INFEROMETER, "measure", "--json", "--", "touch", str(tmp_path / "ran")])
    line = ["sh", "-c", f"{words}{shut}"]
    result = subprocess.run(
        line, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (tmp_path / "ran").exists(), result.stderr
    assert "Traceback" not in result.stderr
    if 1 not in closed:
        assert json.loads(result.stdout)["exit_code"] == 0


def test_a_file_that_is_opened_later_does_not_become_a_closed_stream(tmp_path: Path) -> None:
    """The store could get the descriptor of standard error, and messages would be written into it."""
    record(tmp_path, [1_700_000_000 * SECOND_NS])
    words = " ".join([*INFEROMETER, "db", "check"])
    for _ in range(2):
        line = ["sh", "-c", f"{words} 2>&- <&-"]
        result = subprocess.run(
            line, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert (result.returncode, result.stdout) == (0, "sound\n")


def test_help_is_the_same_without_docstrings(tmp_path: Path) -> None:
    """One process prints all help texts, so that no process is started for each."""
    program = (
        "import sys, json\nfrom contextlib import redirect_stdout\nfrom io import StringIO\n"
        "from agent.cli.main import main\n"
        "shown = {}\n"
        f"for words in {list(commands_of())!r}:\n"
        "    text = StringIO()\n"
        "    with redirect_stdout(text):\n"
        "        try: main([*words.split(), '--help'])\n"
        "        except SystemExit: pass\n"
        "    shown[words] = text.getvalue()\n"
        "print(json.dumps(shown))\n"
    )
    texts = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                env={**environment(tmp_path), **more},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=True,
                timeout=LONGEST_SECONDS,
            ).stdout
        )
        for more in ({}, {"PYTHONOPTIMIZE": "1"}, {"PYTHONOPTIMIZE": "2"})
    ]
    assert texts[0] == texts[1] == texts[2]
    assert all("Example: " in texts[1][words] for words in LEAVES)


def test_commands_work_without_docstrings_and_assertions(tmp_path: Path) -> None:
    record(tmp_path, [1_700_000_000 * SECOND_NS])
    env = environment(tmp_path, PYTHONOPTIMIZE="2")
    for line in (*QUESTIONS, ("db", "status"), ("db", "check"), ("profiles", "list"), ("samples",)):
        result = run(tmp_path, *line, env=env, fresh=line == QUESTIONS[0])
        assert result.returncode in {0, 1, 2, 3, 4}
        assert "Traceback" not in result.stderr
    measured = run(tmp_path, "measure", "--json", "--", "true", env=env)
    assert json.loads(measured.stdout)["exit_code"] == 0


@pytest.mark.parametrize(
    "more",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "no_SUCH.locale", "LC_ALL": "no_SUCH.locale"},
        {"TERM": "dumb", "COLUMNS": "1", "LINES": "1"},
        {"TERM": "", "COLUMNS": "0"},
        {"COLUMNS": "many", "NO_COLOR": "1"},
        {"TMPDIR": "/nonexistent"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=",".join,
)
def test_commands_work_without_locale_terminal_and_temporary_folder(tmp_path: Path, more: dict[str, str]) -> None:
    for line in (("devices", *SERVER, *NO_NVIDIA), ("--help",), ("profile", "transformer", "--help"), ("nonsense",)):
        fresh = line[0] in {"devices", "--help"}  # these import all that the other lines import
        result = run(tmp_path, *line, env=bare(HOME=str(tmp_path), **more), fresh=fresh or not more.keys() <= TERMINAL)
        assert result.returncode == (2 if line == ("nonsense",) else 0), result.stderr
        assert "Traceback" not in result.stderr


def test_words_and_paths_that_are_not_utf8_are_printed_escaped(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\x1b[31m.toml"
    for line in ((b"config", b"check", odd), (b"--config", odd, b"devices"), (odd,)):
        result = subprocess.run(
            [*map(os.fsencode, INFEROMETER), *line],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )
        assert result.returncode == 2
        assert result.stderr.startswith(b"error: ")
        assert b"\x1b" not in result.stderr
        assert b"\\xff" in result.stderr or b"\\udcff" in result.stderr
        assert b"Traceback" not in result.stderr


def test_a_model_with_a_name_that_is_not_utf8_causes_no_traceback(tmp_path: Path) -> None:
    model = os.fsencode(tmp_path) + b"/\xff.onnx"
    Path(os.fsdecode(model)).write_bytes(b"garbage")
    line = [*map(os.fsencode, INFEROMETER), b"profile", b"onnx", b"--model", model]
    result = subprocess.run(
        line, env=environment(tmp_path), cwd=tmp_path, capture_output=True, check=False, timeout=LONGEST_SECONDS
    )
    assert result.returncode in {1, 2}
    assert b"Traceback" not in result.stderr


def test_commands_work_in_a_deleted_directory(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    words = " ".join(INFEROMETER)
    for line, code in (("devices", 0), ("config check", 0), ("config check x.toml", 2), ("samples -o x.csv", 2)):
        gone.mkdir(exist_ok=True)
        shell = f"rmdir {gone}; exec {words} {line} {' '.join(NO_NVIDIA)}"
        result = subprocess.run(
            ["sh", "-c", shell], env=environment(tmp_path), cwd=gone, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in result.stderr, line
        assert result.returncode == code, (line, result.stderr)


def test_a_missing_procfs_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, "devices", "--path.procfs", tmp_path / "none")
    assert (result.returncode, result.stdout) == (2, "")
    assert f"path.procfs = '{tmp_path}/none': there is no such folder" in result.stderr
    (tmp_path / "empty").mkdir()
    for line in ("devices", "doctor"):
        result = run(tmp_path, line, "--path.procfs", tmp_path / "empty", *NO_NVIDIA)
        assert "Traceback" not in result.stderr
