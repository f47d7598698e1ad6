"""The systemd units of a campaign."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.install.campaign_units import units
from campaign_files import TWO_HOSTS, campaign_file
from command import call

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def test_the_units_have_the_schedule_and_the_path_of_the_file(tmp_path: Path) -> None:
    file = campaign_file(tmp_path, f'schedule = "Mon..Fri 03:30"\n{TWO_HOSTS}')
    folder = tmp_path / "units"
    done = call(tmp_path, "campaign", "schedule", file, "--folder", folder)
    assert done.returncode == 0, done.stderr
    assert "systemctl --user enable --now inferometer-campaign-nightly.timer" in done.stderr
    service = (folder / "inferometer-campaign-nightly.service").read_text()
    assert f"bin/inferometer campaign run {file}\n" in service
    assert "Description=Inferometer campaign nightly\n" in service
    assert "OnCalendar=Mon..Fri 03:30\n" in (folder / "inferometer-campaign-nightly.timer").read_text()
    printed = call(tmp_path, "campaign", "schedule", file).stdout
    assert service in printed


def test_a_file_without_a_schedule_has_no_units(tmp_path: Path) -> None:
    refused = call(tmp_path, "campaign", "schedule", campaign_file(tmp_path, TWO_HOSTS))
    assert (refused.returncode, "add schedule" in refused.stderr) == (2, True)


@needs_systemd
@pytest.mark.parametrize(
    "file", ["a b.toml", "%h/a;b.toml", "OnCalendar=Sun 02:00/#c.toml", "\N{LATIN SMALL LETTER U WITH DIAERESIS}.toml"]
)
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path, file: str) -> None:
    program = tmp_path / "inferometer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder = tmp_path / file
    for name, text in units("nightly", program, folder, "Sun 02:00", {"--database": folder / "x.db"}).items():
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.glob("inferometer-campaign-*")))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    written = (tmp_path / "inferometer-campaign-nightly.service").read_text()
    assert str(folder).replace("%", "%%") in written


@pytest.mark.parametrize(
    "file", ["/srv/$HOME.toml", "/srv/a\nExecStart=/bin/sh", '/srv/a" b', "/srv/a\\x20b", "c.toml"]
)
def test_a_path_that_systemd_would_expand_is_refused(file: str) -> None:
    with pytest.raises(ValueError, match="systemd cannot start"):
        units("nightly", Path("/usr/bin/inferometer"), Path(file), "Sun 02:00", {})
    with pytest.raises(ValueError, match="systemd cannot start"):
        units("nightly", Path("/usr/bin/inferometer"), Path("/srv/c.toml"), "Sun 02:00", {"--config": Path(file)})


@needs_systemd
def test_a_schedule_that_systemd_cannot_read_is_an_error(tmp_path: Path) -> None:
    refused = call(tmp_path, "campaign", "schedule", campaign_file(tmp_path, f'schedule = "Sun 25:00"\n{TWO_HOSTS}'))
    assert refused.returncode == 2
    assert "schedule: " in refused.stderr
    assert "systemd.time(7)" in refused.stderr


def test_the_service_uses_the_store_and_the_configuration_of_the_command(tmp_path: Path) -> None:
    file = campaign_file(tmp_path, f'schedule = "Sun 02:00"\n{TWO_HOSTS}')
    (tmp_path / "own.toml").touch()
    options = ("--database", tmp_path / "own.db", "--config", tmp_path / "own.toml")
    printed = call(tmp_path, *options, "campaign", "schedule", file).stdout
    assert f"campaign run {file} --config {tmp_path}/own.toml --database {tmp_path}/own.db\n" in printed
    refused = call(tmp_path, "--database", "postgresql://u:secret@h/d", "campaign", "schedule", file)
    assert (refused.returncode, "set it in a file and give --config" in refused.stderr) == (2, True)
    assert "secret" not in refused.stderr
