from __future__ import annotations

import os
import pwd
from pathlib import Path  # noqa: TC003  a fixture's annotation

import pytest

from agent.config import default_database, default_file
from command import run

OWN_HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.mark.parametrize(
    ("variables", "database"),
    [
        ({"HOME": "/home/u"}, "/home/u/.local/state/inferometer/inferometer.db"),
        ({"HOME": "/home/u", "XDG_STATE_HOME": "/state"}, "/state/inferometer/inferometer.db"),
        ({"HOME": "/home/u", "XDG_STATE_HOME": ""}, "/home/u/.local/state/inferometer/inferometer.db"),
        ({"HOME": "/home/u", "XDG_STATE_HOME": "relative"}, "/home/u/.local/state/inferometer/inferometer.db"),
        ({"HOME": ""}, f"{OWN_HOME}/.local/state/inferometer/inferometer.db"),
        ({}, f"{OWN_HOME}/.local/state/inferometer/inferometer.db"),
    ],
)
def test_the_user_s_database_has_the_path_of_the_xdg_specification(variables: dict[str, str], database: str) -> None:
    assert default_database(variables) == database


def test_the_user_s_file_is_read_if_it_exists(tmp_path: Path) -> None:
    variables = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert default_file(variables) is None
    path = tmp_path / "inferometer/config.toml"
    path.parent.mkdir()
    path.write_text("")
    assert default_file(variables) == path
    assert default_file({"HOME": str(tmp_path / "nobody")}) is None


@pytest.mark.parametrize("option", ["--path.sysfs", "--path.procfs"])
def test_a_missing_root_is_an_error_and_not_a_host_without_sensors(tmp_path: Path, option: str) -> None:
    done = run(tmp_path, "devices", option, tmp_path / "nowhere")
    assert done.returncode == 2
    assert f"{tmp_path}/nowhere" in done.stderr
    assert "there is no such folder" in done.stderr


def test_the_folder_above_the_right_root_is_refused_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "tree/sys/class").mkdir(parents=True)
    done = run(tmp_path, "measure", "--duration", "0.1", "--path.sysfs", tmp_path / "tree")
    assert done.returncode == 2
    assert f"did you mean {tmp_path}/tree/sys?" in done.stderr
