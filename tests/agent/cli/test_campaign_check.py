"""`inferometer campaign check` and `init`, and the errors that are found before a host is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from campaign_files import campaign_file
from command import call, run
from scripted_hosts import ScriptedHost, file_of, three_hosts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, ScriptedHost]:
    return three_hosts(tmp_path)


def test_check_verifies_every_host_and_measures_nothing(tmp_path: Path, hosts: dict[str, ScriptedHost]) -> None:
    hosts["two"].behave(facts={"devices": []})
    file = file_of(tmp_path, hosts, own='devices = { "AMD EPYC*" = 1 }\n')
    done = run(tmp_path, "campaign", "check", file)
    assert done.returncode == 1
    assert re.search(r"^one +verified .* measured +\d+\.\d\d s$", done.stdout, re.MULTILINE)
    assert re.search(r"^two +REFUSED ", done.stdout, re.MULTILINE)
    assert "two: it has 0 of 1 devices AMD EPYC*" in done.stdout
    assert not any(host.measured for host in hosts.values())
    assert "has no run" in run(tmp_path, "campaign", "status", file).stderr


def test_show_prints_the_command_of_each_profile_and_asks_no_host(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    file = file_of(tmp_path, hosts)
    shown = call(tmp_path, "campaign", "check", file, "--show").stdout
    assert f"{hosts['one'].program} profile transformer --quick --batch=1,2 --id RUN-1 --bundle /dev/stdout" in shown
    assert f"{hosts['three'].program} campaign facts -o /dev/stdout" in shown
    assert not any(host.calls for host in hosts.values())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("{ bacth = 1 }", "workload 1: there is no option --bacth"),
        ('{ batch = "many" }', "workload 1: --batch: "),
        ("{ repeats = 0 }", "workload 1: --repeats: "),
    ],
)
def test_an_option_that_the_workload_lacks_is_found_before_a_host_is_asked(
    tmp_path: Path, hosts: dict[str, ScriptedHost], options: str, error: str
) -> None:
    file = file_of(tmp_path, hosts)
    campaign_file(tmp_path, file.read_text().replace("{ batch = [1, 2] }", options))
    refused = call(tmp_path, "campaign", "check", file)
    assert refused.returncode == 2
    assert error in refused.stderr


def test_an_unknown_workload_is_an_error(tmp_path: Path, hosts: dict[str, ScriptedHost]) -> None:
    file = file_of(tmp_path, hosts)
    campaign_file(tmp_path, file.read_text().replace('"transformer"', '"transformr"'))
    refused = call(tmp_path, "campaign", "run", file)
    assert (refused.returncode, "there is no workload 'transformr'" in refused.stderr) == (2, True)


def test_init_writes_a_file_that_check_accepts_and_never_replaces_one(tmp_path: Path) -> None:
    assert call(tmp_path, "campaign", "init").returncode == 0
    path = tmp_path / "campaign.toml"
    assert path.stat().st_mode & 0o022 == 0
    assert "profile transformer --quick --batch=1,8" in call(tmp_path, "campaign", "check", path, "--show").stdout
    refused = call(tmp_path, "campaign", "init")
    assert (refused.returncode, "was not changed" in refused.stderr) == (2, True)
