"""`make profile` and `make test` report the progress of an installation, and end with the code of a failed step."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a Makefile and an environment whose pip is a script of the test."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/profile.txt").touch()
    (tmp_path / "requirements/test.txt").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    return tmp_path


def write_python(checkout: Path, script: str) -> None:
    python = checkout / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    python.chmod(0o755)


def make(checkout: Path, *arguments: str) -> subprocess.Popen[str]:
    line = ["make", "-C", str(checkout), str(checkout / ".venv/.profile"), *arguments]
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=dict(os.environ)
    )


def test_each_step_of_an_installation_reports_its_start_and_its_duration(checkout: Path) -> None:
    write_python(checkout, "exit 0")
    with make(checkout) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line.rpartition(" in ")[0] or line for line in errors.splitlines()] == [
        f"Installing libraries into {checkout}/.venv ...",
        f"  Installing libraries into {checkout}/.venv: done",
        "Installing Inferometer ...",
        "  Installing Inferometer: done",
    ]
    assert (checkout / ".venv/.profile").exists()


def test_a_long_step_reports_that_it_is_running(checkout: Path) -> None:
    write_python(checkout, "sleep 2.5")
    with make(checkout, "TICK_SECONDS=1") as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    step = re.escape(f"  Installing libraries into {checkout}/.venv: ")
    assert re.search(rf"^{step}\d+ s so far$", errors, re.MULTILINE)


def test_a_long_step_reports_every_ten_seconds_by_default(checkout: Path) -> None:
    recipe = subprocess.run(
        ["make", "-n", "-C", str(checkout), str(checkout / ".venv/.profile")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "while sleep 10 " in recipe.stdout


def test_a_step_that_fails_ends_the_installation(checkout: Path) -> None:
    write_python(checkout, "echo 'no network' >&2; exit 7")
    with make(checkout) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no network" in errors
    assert "done" not in errors
    assert not (checkout / ".venv/.profile").exists()


def test_a_step_that_is_interrupted_leaves_nothing_running(checkout: Path) -> None:
    write_python(checkout, "echo started >&2; exec sleep 300")
    with make(checkout) as process:
        assert process.stderr
        while process.stderr.readline() != "started\n":
            pass
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        deadline = time.monotonic() + 60
        while _group_lives(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_site_is_not_built_if_sphinx_warns(checkout: Path) -> None:
    (checkout / "docs").mkdir()
    (checkout / "requirements/docs.txt").touch()
    for stamp in ("profile", "docs"):
        (checkout / f".venv/.{stamp}").touch()
    write_python(checkout, "exit 0")
    sphinx = checkout / ".venv/bin/sphinx-build"
    sphinx.write_text(
        '#!/bin/sh\necho "$@"\ncase "$*" in *--fail-on-warning*" man "*) exit 1 ;; esac\n', encoding="utf-8"
    )
    sphinx.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", str(checkout), "docs"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "--builder html" in done.stdout
    assert "The site:" not in done.stderr
