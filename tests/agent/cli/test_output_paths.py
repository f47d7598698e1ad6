"""The files that commands write at their end: a path that cannot be written is refused before any work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from command import call
from profile_runs import TINY
from scripted_hosts import file_of, three_hosts
from terminals import on_terminal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", ["absent/file", ".", "/proc/file"])
@pytest.mark.parametrize("option", ["--report", "--bundle"])
def test_nothing_is_measured_for_a_file_that_cannot_be_written(tmp_path: Path, option: str, path: str) -> None:
    done = call(tmp_path, *TINY, option, path)
    assert (done.returncode, done.stdout) == (2, "")
    expected = rf"error: {path}: it cannot be written \(.+\); choose another path with {option}\n"
    assert re.fullmatch(expected, done.stderr), done.stderr


@pytest.mark.parametrize("path", ["absent/file.html", "."])
def test_no_campaign_begins_if_its_report_cannot_be_written(tmp_path: Path, path: str) -> None:
    hosts = three_hosts(tmp_path)
    done = call(tmp_path, "campaign", "run", file_of(tmp_path, hosts), "--report", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("; choose another path with --report\n")
    assert [host.calls for host in hosts.values()] == [[], [], []]


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (("report", "none", "-o"), "--output"),
        (("report", "--fleet", "none", "-o"), "--output"),
        (("profiles", "export", "none", "-o"), "--output"),
        (("profile", "from-serving", "none", "-o"), "--output"),
        (("samples", "-o"), "--output"),
        (("plot", "none", "--what", "energy", "-o"), "--output"),
        (("roofline", "--plot"), "--plot"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_before_anything_is_read(
    tmp_path: Path, line: tuple[str, ...], option: str
) -> None:
    done = call(tmp_path, *line, "absent/file.svg")
    assert (done.returncode, done.stdout) == (2, "")
    cause = "it cannot be written (No such file or directory)"
    assert done.stderr == f"error: absent/file.svg: {cause}; choose another path with {option}\n"


def test_nobody_is_asked_for_prices_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "tariff.toml").mkdir()
    code, screen = on_terminal(tmp_path, "tariff", "init")
    assert code == 2
    assert screen.startswith("error: tariff.toml: it cannot be written (this is a folder)")
