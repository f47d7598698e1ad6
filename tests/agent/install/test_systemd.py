"""Installation, removal and status of the service, below a temporary root and with a fake systemd."""

from __future__ import annotations

import grp
import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from agent.cli.service import app
from agent.install import files as placement
from agent.install import python_env as environment
from agent.install import systemd as service
from trees import hwmon_chip, powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path("/opt/inferometer/bin/inferometerd")
PLACES = [place for _, place in service.PLACES]


def invoke(*args: str) -> Any:
    return CliRunner().invoke(app, [*args], catch_exceptions=False)


@pytest.fixture(autouse=True)
def _workable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow installation from the environment of the tests, from which the service could not run."""
    monkeypatch.setattr(environment, "needed_paths", tuple)
    monkeypatch.setattr(environment, "image_problems", lambda _root, _program: ())


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


class Systemd:
    """A fake of the commands of systemd, which records the calls and fails those in `failing`."""

    def __init__(self, *failing: str, stdout: str = "") -> None:
        self.asked: list[str] = []
        self._failing = failing
        self._stdout = stdout

    def __call__(self, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        self.asked.append(" ".join(argv))
        fails = any(word in self.asked[-1] for word in self._failing)
        return subprocess.CompletedProcess(argv, int(fails), self._stdout, "it broke\n" if fails else "")


# Files


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
    assert {change.outcome for change in service.write_files(tmp_path, PROGRAM)} == {placement.Action.UNCHANGED}


def test_installing_again_restores_the_unit_and_not_the_configuration(tmp_path: Path) -> None:
    service.write_files(tmp_path, PROGRAM)
    unit, config = tmp_path / PLACES[0], tmp_path / service.CONFIG
    unit.write_text("[Service]\n")
    config.write_text("log_level = 'debug'\n")
    outcomes = {change.path: change.outcome for change in service.write_files(tmp_path, PROGRAM)}
    assert outcomes[str(unit)] is placement.Action.WRITTEN
    assert outcomes[str(config)] is placement.Action.KEPT
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
    assert invoke("uninstall", "--root", str(tmp_path), "--purge").stdout == ""


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


# Status


def test_status_reports_the_state_of_each_file(tmp_path: Path) -> None:
    invoke("install", "--root", str(tmp_path))
    (tmp_path / PLACES[1]).unlink()
    (tmp_path / PLACES[2]).write_text("# mine\n")
    result = invoke("status", "--root", str(tmp_path))
    assert result.exit_code == 3
    assert [line.split()[0] for line in result.stdout.splitlines()[:5]] == [
        "current",
        "missing",
        "changed",
        "current",
        "current",
    ]


def test_an_unreadable_file_counts_as_changed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert placement.presence(tmp_path / "folder", "") is placement.FileStatus.CHANGED


def test_install_and_uninstall_report_as_one_json_document(tmp_path: Path) -> None:
    installed = json.loads(invoke("install", "--root", str(tmp_path), "--json").stdout)
    changes = [{"path": f"{tmp_path}/{place}", "outcome": "written"} for place in PLACES]
    assert installed == {"changes": changes, "warnings": []}
    removed = json.loads(invoke("uninstall", "--root", str(tmp_path), "--purge", "--json").stdout)
    assert {change["outcome"] for change in removed["changes"]} == {"removed"}
    assert removed["warnings"] == []


def test_status_ends_with_4_if_nothing_is_installed(tmp_path: Path) -> None:
    assert invoke("status", "--root", str(tmp_path)).exit_code == 4


def test_status_as_json_is_one_document(tmp_path: Path) -> None:
    invoke("install", "--root", str(tmp_path))
    document = json.loads(invoke("status", "--root", str(tmp_path), "--json").stdout)
    assert document == {
        "installed": True,
        "running": False,
        "active": None,
        "enabled": None,
        "health": None,
        "files": [{"path": f"{tmp_path}/{place}", "presence": "current"} for place in PLACES],
    }


@pytest.mark.parametrize(
    ("word", "running"), [("active", True), ("reloading", True), ("activating", False), ("failed", False)]
)
def test_the_word_of_systemd_decides_whether_the_service_runs(tmp_path: Path, word: str, running: bool) -> None:
    state = service.service_state(tmp_path, PROGRAM, run=Systemd(stdout=f"{word}\n"), health=None)
    assert (state.running, state.active, state.enabled) == (running, word, word)


@pytest.mark.parametrize("ok", [True, False])
def test_without_systemd_the_response_of_the_daemon_decides(tmp_path: Path, ok: bool) -> None:
    health = service.Health("http://127.0.0.1:1/-/healthy", ok, "")
    assert service.service_state(tmp_path, PROGRAM, run=None, health=health).running is ok


class Daemon(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/-/healthy" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "", "[::]", "localhost"])
def test_a_responding_daemon_is_healthy_at_any_address(port: int, host: str) -> None:
    health = service.ask_health(f"{host}:{port}")
    assert (health.ok, health.answer) == (True, "200 OK")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "nonsense", "127.0.0.1:port", "[::1:9"])
def test_a_daemon_without_a_response_is_unhealthy_with_the_reason(listen: str) -> None:
    health = service.ask_health(listen)
    assert not health.ok
    assert health.answer


def test_the_queried_address_is_the_configured_one(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[exporter]\nlisten = "127.0.0.1:1234"\n')
    assert service.listen_address(config) == "127.0.0.1:1234"
    config.write_text("not toml")
    assert service.listen_address(config) == service.listen_address(tmp_path / "none")


# The commands


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
