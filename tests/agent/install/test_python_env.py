"""The check of the Python environment from which the service runs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.install import python_env as environment
from agent.install import systemd as service

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path("/opt/inferometer/bin/inferometerd")


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("/opt/inferometer/bin/inferometerd", "/opt/inferometer/bin/inferometerd"),
        ("/opt/my tools/inferometerd", '"/opt/my tools/inferometerd"'),
        ("/opt/100%/inferometerd", "/opt/100%%/inferometerd"),
        ("/opt/a;b/inferometerd", '"/opt/a;b/inferometerd"'),
    ],
)
def test_the_program_is_quoted_by_the_rules_of_systemd(path: str, quoted: str) -> None:
    assert environment.quoted(Path(path)) == quoted
    text = service.unit_text(Path(path))
    assert f"ExecStart={quoted} --config" in text
    assert f"ExecStartPre=-{quoted.replace('inferometerd', 'inferometer')} db upgrade --config" in text


@pytest.mark.parametrize("path", ["bin/inferometer", '/opt/"/x', "/opt/\\/x", "/opt/$HOME/x", "/opt/a\nb/x"])
def test_a_program_that_systemd_cannot_start_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="systemd cannot start"):
        environment.quoted(Path(path))


def test_an_image_in_which_the_unit_cannot_start_the_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image/venv/bin").mkdir(parents=True)
    inside = tmp_path / "image/venv/bin/inferometerd"
    for root, program, words in (
        (tmp_path / "none", PROGRAM, "there is no such folder"),
        (tmp_path / "image", PROGRAM, "opt/inferometer/bin/inferometerd is missing"),
        (tmp_path / "image", inside, "run /venv/bin/inferometer inside the image"),
    ):
        (fault,) = environment.image_problems(root, program)
        assert words in fault
    assert environment.image_problems(Path("/"), PROGRAM) == ()
    same = tmp_path / "image" / PROGRAM.relative_to("/")
    same.parent.mkdir(parents=True)
    same.touch()
    assert environment.image_problems(tmp_path / "image", PROGRAM) == ()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user can read, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="inferometer-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("folder", ["/home", "/root", "/run/user", "/tmp", "/var/tmp"])
def test_an_environment_that_the_unit_hides_is_refused(folder: str) -> None:
    (fault,) = environment.problems([Path(folder, "venv/bin/inferometer")])
    assert fault == f"{folder}/venv/bin/inferometer is below {folder}, which the unit hides from the service"


def test_a_link_into_a_hidden_folder_is_resolved(open_folder: Path) -> None:
    link = open_folder / "python3"
    link.symlink_to("/root/.pyenv/bin/python3")
    assert any("is below /root" in fault for fault in environment.problems([link], hidden=("/root",)))


def test_a_folder_above_that_is_closed_to_others_is_named(open_folder: Path) -> None:
    program = open_folder / "venv/bin/inferometer"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    program.chmod(0o755)
    assert environment.problems([program], hidden=()) == ()
    (open_folder / "venv").chmod(0o750)
    (fault,) = environment.problems([program], hidden=())
    assert fault == f"{open_folder}/venv is closed to other users (mode 0750), and so to the user of the service"


@pytest.mark.parametrize(("mode", "faulty"), [(0o755, False), (0o644, False), (0o750, True), (0o754, True)])
def test_a_program_must_be_readable_and_executable_by_others(open_folder: Path, mode: int, faulty: bool) -> None:
    program = open_folder / "inferometer"
    program.touch()
    program.chmod(mode)
    assert bool(environment.problems([program], hidden=())) is faulty


def test_a_missing_program_is_named(open_folder: Path) -> None:
    assert environment.problems([open_folder / "none"], hidden=()) == (
        f"{open_folder}/none: No such file or directory",
    )


def test_the_remedy_installs_from_the_checkout_if_there_is_one(tmp_path: Path) -> None:
    assert "pip install inferometer==" in environment.remedy(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    assert environment.remedy(tmp_path) == (
        f"python3 -m venv /opt/inferometer && /opt/inferometer/bin/pip install {tmp_path} "
        "&& /opt/inferometer/bin/inferometer service install"
    )
