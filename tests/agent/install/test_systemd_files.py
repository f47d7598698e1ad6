"""The unit and its files, checked by the tools of systemd if they are installed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from agent.config import load
from agent.install import systemd as service
from trees import hwmon_chip, powercap_zone

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = service.files_folder()
RULES = FOLDER / "60-inferometer.rules"
SYSTEMD_ANALYZE = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def unit_of(program: Path, to: Path) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    for each in (program, program.with_name("inferometer")):
        each.write_text("#!/bin/sh\n")
        each.chmod(0o755)
    unit = to / service.UNIT
    unit.write_text(service.unit_text(program))
    return unit


def rule_lines() -> list[str]:
    return [line for line in RULES.read_text().splitlines() if line and not line.startswith("#")]


@SYSTEMD_ANALYZE
@pytest.mark.parametrize("place", ["inferometerd", "with space; 100%h/inferometerd"])
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, place: str) -> None:
    unit = unit_of(tmp_path / place, tmp_path)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "inferometer" in line]) == (0, [])


@SYSTEMD_ANALYZE
def test_the_unit_exposes_no_more_than_2_of_10(tmp_path: Path) -> None:
    unit = unit_of(tmp_path / "inferometerd", tmp_path)
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout


def test_the_unit_starts_the_daemon_as_a_separate_user_with_its_configuration() -> None:
    unit = (FOLDER / service.UNIT).read_text().splitlines()
    assert "ExecStart=/usr/local/bin/inferometerd --config /etc/inferometer/config.toml" in unit
    assert "ExecStartPre=-/usr/local/bin/inferometer db upgrade --config /etc/inferometer/config.toml" in unit
    assert {"Type=notify", "User=inferometer", "Group=inferometer", "StateDirectory=inferometer"} <= set(unit)


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd is not installed")
def test_sysusers_creates_the_user_and_its_group(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    argv = ["systemd-sysusers", f"--root={tmp_path}", FOLDER / "inferometer.sysusers.conf"]
    subprocess.run(argv, check=True, capture_output=True)
    (user,) = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("inferometer:")]
    assert user.split(":")[5] == "/var/lib/inferometer"
    assert re.search("^inferometer:", (tmp_path / "etc/group").read_text(), re.MULTILINE)


def test_tmpfiles_closes_the_database_to_others_and_removes_nothing_by_age() -> None:
    text = (FOLDER / "inferometer.tmpfiles.conf").read_text()
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == [
        ["d", "/var/lib/inferometer", "0750", "inferometer", "inferometer", "-"],
        ["d", "/etc/inferometer", "0755", "root", "root", "-"],
    ]


def test_every_rule_has_known_keys_and_applies_to_added_and_changed_devices() -> None:
    term = re.compile(r'(ACTION|SUBSYSTEM|TEST|ATTR\{name\})=="[^"]+"|RUN\+="/[^"]+"')
    assert len(rule_lines()) == 3
    for line in rule_lines():
        terms = line.split(", ")
        assert all(term.fullmatch(each) for each in terms)
        assert terms[0] == 'ACTION=="add|change"'
        assert terms[1] in ('SUBSYSTEM=="powercap"', 'SUBSYSTEM=="hwmon"')


def run_rule(line: str, folder: Path) -> None:
    """Run the commands of a rule on a fake device, for the group of this process."""
    group = os.getgid()
    for command in re.findall(r'RUN\+="([^"]+)"', line):
        script = command.replace("/sys%p", str(folder)).replace("chgrp inferometer", f"chgrp {group}")
        subprocess.run(["/bin/sh", "-c", script], check=True)


def readable_by_group(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file() and file.stat().st_mode & stat.S_IRGRP}


def closed(folder: Path) -> Path:
    for file in folder.iterdir():
        if file.is_file() and not file.is_symlink():
            file.chmod(0o400)
    return folder


def test_the_powercap_rule_opens_only_the_counter_of_a_zone(tmp_path: Path) -> None:
    zone = closed(powercap_zone(tmp_path, "intel-rapl:0", "package-0", 1))
    (line,) = [line for line in rule_lines() if '"powercap"' in line]
    assert 'TEST=="energy_uj"' in line
    run_rule(line, zone)
    assert readable_by_group(zone) == {"energy_uj"}
    assert stat.S_IMODE((zone / "energy_uj").stat().st_mode) == 0o440


@pytest.mark.parametrize(
    ("chip", "opened"),
    [
        ("amd_energy", {"energy1_input", "energy2_input"}),
        ("apm_xgene", {"power1_input"}),
        ("altra_hwmon", {"energy1_input", "energy2_input", "power1_input"}),
        ("coretemp", set()),
    ],
)
def test_the_hwmon_rules_open_the_files_that_each_chip_reserves_for_root(
    tmp_path: Path, chip: str, opened: set[str]
) -> None:
    values = {"name": chip, "power1_input": 1, "energy1_input": 1, "energy2_input": 1, "temp1_input": 1}
    folder = closed(hwmon_chip(tmp_path, 0, "platform/chip.0", values))
    for line in rule_lines():
        names = re.search(r'ATTR\{name\}=="([^"]+)"', line)
        if names and chip in names[1].split("|"):
            run_rule(line, folder)
    assert readable_by_group(folder) == opened


def test_the_sample_configuration_shows_every_key_with_its_default() -> None:
    assert tomllib.loads((FOLDER / "config.toml").read_text()) == {
        "database": "sqlite:////var/lib/inferometer/inferometer.db",
        "log_level": "info",
        "tariff": "",
        "host": {"labels": {}},
        "path": {"sysfs": "/sys", "procfs": "/proc", "nvml_library": ""},
        "sensors": {"exclude": [], "ambient": ""},
        "sampling": {
            "period_seconds": 1.0,
            "estimates": True,
            "cpu_budget": 0.05,
            "realtime": True,
            "periods": {},
        },
        "exporter": {"listen": "127.0.0.1:19795", "hosts": [], "socket": "", "socket_group": "", "web_config": ""},
        "otlp": {"endpoint": "", "interval_seconds": 60},
        "retention": {"raw_days": 30, "rollup_days": 365, "raw_bytes": 0},
        "fleet": {"to": "", "password_file": "", "anonymize": False},
    }


def test_the_daemon_accepts_the_sample_configuration() -> None:
    config = load(FOLDER / "config.toml")
    assert config.database.endswith("/var/lib/inferometer/inferometer.db")
    assert (config.period_seconds, config.periods, config.estimates) == (1.0, (), True)


def test_the_commented_example_of_a_period_is_valid(tmp_path: Path) -> None:
    sample = tmp_path / "config.toml"
    sample.write_text((FOLDER / "config.toml").read_text().replace("# nvml = 1.0", "nvml = 0.5"))
    assert load(sample).period_of("nvml/GPU-1") == 0.5
