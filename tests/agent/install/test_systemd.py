"""Installation and removal of the service, below a temporary root and with a fake systemd."""

from __future__ import annotations

import grp
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.install import python_env as environment
from agent.install import systemd as service
from agent.install.files import Action
from fake_systemd import PLACES, PROGRAM, Systemd, invoke
from trees import hwmon_chip, powercap_zone

pytestmark = pytest.mark.usefixtures("workable")


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_install_below_a_root_writes_the_five_files_and_nothing_else(tmp_path: Path) -> None:
    result = invoke("install", "--root", str(tmp_path))
    assert result.exit_code == 0
    assert files(tmp_path) == set(PLACES)
    assert result.stdout.splitlines() == [f"written   {tmp_path}/{place}" for place in PLACES]


def test_the_installed_unit_starts_the_program_of_this_environment(tmp_path: Path) -> None:
    invoke("install", "--root", str(tmp_path))
    unit = (tmp_path / PLACES[0]).read_text().splitlines()
    start = f"ExecStart={environment.quoted(environment.service_program())} --config /etc/inferometer/config.toml"
    assert start in unit


def test_everyone_can_read_the_written_files_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        service.write_files(tmp_path, PROGRAM)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {0o755, 0o644}


def test_installing_again_changes_nothing(tmp_path: Path) -> None:
    service.write_files(tmp_path, PROGRAM)
    assert {change.outcome for change in service.write_files(tmp_path, PROGRAM)} == {Action.UNCHANGED}


def test_installing_again_restores_the_unit_and_not_the_configuration(tmp_path: Path) -> None:
    service.write_files(tmp_path, PROGRAM)
    unit, config = tmp_path / PLACES[0], tmp_path / service.CONFIG
    unit.write_text("[Service]\n")
    config.write_text("log_level = 'debug'\n")
    outcomes = {change.path: change.outcome for change in service.write_files(tmp_path, PROGRAM)}
    assert outcomes[str(unit)] is Action.WRITTEN
    assert outcomes[str(config)] is Action.KEPT
    assert unit.read_text() == service.unit_text(PROGRAM)
    assert config.read_text() == "log_level = 'debug'\n"


def test_a_masked_rule_stays_masked_through_install_and_uninstall(tmp_path: Path) -> None:
    rule = tmp_path / "etc/udev/rules.d/60-inferometer.rules"
    rule.parent.mkdir(parents=True)
    rule.symlink_to("/dev/null")
    assert f"masked    {rule}" in invoke("install", "--root", str(tmp_path)).stdout
    assert f"masked    {rule}" in invoke("status", "--root", str(tmp_path)).stdout
    invoke("uninstall", "--root", str(tmp_path))
    assert rule.is_symlink()


def test_a_link_that_leads_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "image/etc").symlink_to(tmp_path / "outside")
    result = invoke("install", "--root", str(tmp_path / "image"))
    assert result.exit_code == 1
    assert "leads out of" in result.stderr
    assert files(tmp_path / "outside") == set()


def test_uninstall_leaves_configuration_and_database_and_can_be_repeated(tmp_path: Path) -> None:
    service.write_files(tmp_path, PROGRAM)
    database = tmp_path / "var/lib/inferometer/inferometer.db"
    database.parent.mkdir(parents=True)
    database.touch()
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants/inferometer.service"
    wanted.parent.mkdir()
    wanted.symlink_to("/etc/systemd/system/inferometer.service")
    for _ in range(2):
        result = invoke("uninstall", "--root", str(tmp_path))
        assert result.exit_code == 0
        assert files(tmp_path) == {service.CONFIG, "var/lib/inferometer/inferometer.db"}
    assert "removed" not in result.stdout


def test_a_purge_also_removes_configuration_and_database(tmp_path: Path) -> None:
    service.write_files(tmp_path, PROGRAM)
    (tmp_path / "var/lib/inferometer").mkdir(parents=True)
    (tmp_path / "var/lib/inferometer/inferometer.db").touch()
    result = invoke("uninstall", "--root", str(tmp_path), "--purge")
    assert result.exit_code == 0
    assert files(tmp_path) == set()
    assert not (tmp_path / "var/lib/inferometer").exists()
    again = invoke("uninstall", "--root", str(tmp_path), "--purge")
    assert (again.stdout, again.stderr) == ("", "nothing is installed, so nothing was removed\n")


def test_a_purge_of_a_linked_folder_leaves_the_target_of_the_link(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "inferometer.db").touch()
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "var/lib/inferometer").symlink_to(disk)
    service.remove_files(tmp_path, purge=True)
    assert not (tmp_path / "var/lib/inferometer").is_symlink()
    assert (disk / "inferometer.db").exists()


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_install_below_an_unsuitable_root_is_an_error_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    monkeypatch.setattr(environment, "needed_paths", lambda: (Path("/home/me/venv/bin/inferometerd"),))
    result = invoke("install", "--root", str(tmp_path), *option)
    assert result.exit_code == 1
    assert files(tmp_path) == set()
    assert result.stdout == ""
    assert "/home/me/venv/bin/inferometerd is below /home, which the unit hides from the service" in result.stderr
    assert "python3 -m venv /opt/inferometer" in result.stderr


# systemd
def test_activation_creates_the_user_before_the_folders_and_starts_last() -> None:
    systemd = Systemd()
    assert service.activate(start=True, run=systemd) == ()
    assert systemd.asked == [
        "systemd-sysusers /etc/sysusers.d/inferometer.conf",
        "systemd-tmpfiles --create /etc/tmpfiles.d/inferometer.conf",
        "systemctl daemon-reload",
        "udevadm control --reload",
        "udevadm trigger --settle --subsystem-match=powercap --subsystem-match=hwmon",
        "systemctl enable inferometer.service",
        "systemctl restart inferometer.service",
    ]


def test_without_start_the_service_is_only_enabled() -> None:
    systemd = Systemd()
    service.activate(start=False, run=systemd)
    assert systemd.asked[-1] == "systemctl enable inferometer.service"


@pytest.mark.parametrize("failing", ["systemd-sysusers", "systemd-tmpfiles", "daemon-reload", "enable", "restart"])
def test_a_failed_command_is_named_and_the_last_one_run(failing: str) -> None:
    systemd = Systemd(failing)
    with pytest.raises(service.ServiceError, match=rf"`.*{failing}.*` failed with status 1: it broke$"):
        service.activate(start=True, run=systemd)
    assert failing in systemd.asked[-1]


def test_the_service_starts_without_udev_and_a_warning_names_the_consequence() -> None:
    systemd = Systemd("udevadm")
    (warning,) = service.activate(start=True, run=systemd)
    assert warning.startswith("`udevadm control --reload` failed with status 1: it broke")
    assert "energy counters" in warning
    assert systemd.asked[-1] == "systemctl restart inferometer.service"


def test_a_missing_tool_fails_as_in_a_shell() -> None:
    done = service.run_command(("no-such-tool-of-systemd",))
    assert done.returncode == 127
    assert done.stderr.startswith("no-such-tool-of-systemd: ")


def test_uninstall_closes_the_counters_that_the_rule_opened(tmp_path: Path) -> None:
    zone = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 1)
    chip = hwmon_chip(tmp_path, 0, "platform/amd_energy.0", {"name": "amd_energy", "energy1_input": 1})
    for file in (zone / "energy_uj", chip / "energy1_input"):
        file.chmod(0o440)
    ours = grp.getgrgid(zone.stat().st_gid).gr_name
    assert len(service.close_counters(tmp_path, ours)) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in (zone / "energy_uj", chip / "energy1_input")} == {0o400}
    assert service.close_counters(tmp_path, "no-such-group-here") == ()


def test_install_and_uninstall_report_as_one_json_document(tmp_path: Path) -> None:
    installed = json.loads(invoke("install", "--root", str(tmp_path), "--json").stdout)
    changes = [{"path": f"{tmp_path}/{place}", "outcome": "written"} for place in PLACES]
    assert installed == {"changes": changes, "warnings": []}
    removed = json.loads(invoke("uninstall", "--root", str(tmp_path), "--purge", "--json").stdout)
    assert {change["outcome"] for change in removed["changes"]} == {"removed"}
    assert removed["warnings"] == []


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_user_other_than_root_changes_nothing_and_gets_the_command_with_sudo(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = invoke(command)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"this needs root: sudo {environment.program()} service {command}" in result.stderr


@pytest.mark.parametrize("command", ["install", "uninstall", "status"])
def test_the_help_and_the_guide_show_an_example_of_every_command(command: str) -> None:
    guide = (Path(__file__).parents[3] / "docs/service.md").read_text()
    output = invoke(command, "--help").stdout
    assert "Example:" in output
    assert f"inferometer service {command}" in guide
    for option in ("--root", "--purge", "--no-start", "--json"):
        assert option not in output or option in guide


def test_the_command_line_starts_without_loading_the_modules_of_its_commands() -> None:
    slow = "('agent.install.systemd', 'sqlalchemy')"
    code = f"import sys, agent.cli.service; sys.exit(any(name in sys.modules for name in {slow}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_visibility_of_processes_follows_from_the_unit_and_its_drop_ins(tmp_path: Path) -> None:
    assert not service.hides_processes(tmp_path)
    unit = tmp_path / "etc/systemd/system/inferometer.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(service.unit_text(Path("/opt/bin/inferometerd")))
    assert service.hides_processes(tmp_path)
    drop_in = unit.with_name("inferometer.service.d") / "override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nUMask=0077\n")
    assert service.hides_processes(tmp_path)
    drop_in.write_text("[Service]\nProtectProc=default\n")
    assert not service.hides_processes(tmp_path)
