from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from probes.cpu import library as cpu_library
from probes.cpu.library import SYSTEM_PATH, LibraryAnswer, as_document, parse_answer, query_library

ROOT = Path(__file__).parents[3]
ANSWER = LibraryAnswer("GenuineIntel", "Some brand", "x86_64", ("avx2", "sse"))


def printing(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"print({text!r})")


def test_an_answer_survives_its_document() -> None:
    assert parse_answer(json.loads(json.dumps(as_document(ANSWER)))) == ANSWER


def test_an_answer_without_fields_is_empty() -> None:
    assert parse_answer({}) == LibraryAnswer()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {"brand_raw": 5},
        {"vendor_id_raw": None},
        {"flags": "avx2"},
        {"flags": ["avx2", 3]},
        {"flags": ["x"] * 5000},
    ],
)
def test_an_answer_of_an_unexpected_type_is_refused(document: object) -> None:
    assert parse_answer(document) is None


@pytest.mark.parametrize(
    "command",
    [
        ("/nonexistent/python",),
        (sys.executable, "-c", "raise SystemExit(1)"),
        printing("not JSON"),
        printing("[" * 100_000),
        printing('{"flags": 3}'),
        (sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'\xff\xfe\x00')"),
    ],
)
def test_a_query_that_fails_gives_no_answer(command: tuple[str, ...]) -> None:
    assert cpu_library._query(command) is None


def test_a_query_that_hangs_is_killed_with_the_programs_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_library, "_TIMEOUT_SECONDS", 1.0)
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    code = f"""
        import subprocess, sys, time
        held = open({str(fifo)!r}, "w")
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=held)
        time.sleep(600)
    """
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert cpu_library._query((sys.executable, "-c", textwrap.dedent(code))) is None
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # end of file: no process holds the other end
    os.close(reader)


def test_the_query_runs_no_program_of_the_callers_path_or_python_path(tmp_path: Path) -> None:
    """The programs and modules of another user's environment leave a mark if they run."""
    mark = tmp_path / "ran"
    for name in ("lscpu", "dmesg", "sysctl", "cat", "uname", "sestatus", "cpufreq-info", "lsprop"):
        trap = tmp_path / name
        trap.write_text(f"#!/bin/sh\necho {name} >>{mark}\n")
        trap.chmod(0o755)
    for module in ("argparse", "platform", "ctypes", "usercustomize"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'a').write({module!r})\nraise ImportError\n")
    code = "from probes.cpu.library import query_library; print(query_library())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CPU_TRAPS": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "LibraryAnswer" in done.stdout
    assert not mark.exists()


def test_the_system_path_holds_only_folders_of_root() -> None:
    for folder in map(Path, SYSTEM_PATH.split(":")):
        status = folder.stat()
        assert (status.st_uid, status.st_mode & 0o022) == (0, 0)


def test_this_host_is_queried_once_in_a_process() -> None:
    answer = query_library()
    assert answer is not None
    assert answer.architecture
    assert query_library() is answer
