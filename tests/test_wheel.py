"""The wheel: its contents, and that it works without a checkout."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from command import ROOT, environment
from moving_counters import busy_processors
from store.schema import REVISION, VERSION_TABLE
from trees import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

BARE_METAL = (
    "--path.sysfs",
    FIXTURES / "trees/intel_server_2s/sys",
    "--path.procfs",
    FIXTURES / "proc/epyc_two_packages",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command of an environment with the wheel, which shares only the libraries of this one; it runs elsewhere."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", symlinks=True)
    python, program = home / "venv/bin/python", home / "venv/bin/inferometer"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    site = sysconfig.get_path("purelib", "venv", {"base": str(home / "venv"), "platbase": str(home / "venv")})
    # A path named in a .pth file is taken as it is: the .pth file of an editable install over there is not followed.
    Path(site, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    variables = environment(home)
    del variables["PYTHONPATH"]

    def run(*arguments: object, command: Path = program) -> subprocess.CompletedProcess[str]:
        line = [str(command), *map(str, arguments)]
        return subprocess.run(line, cwd=home, env=variables, capture_output=True, text=True, check=False, timeout=100)

    found = run(
        "-c", "import agent, probes, store; print(agent.__file__, probes.__file__, store.__file__)", command=python
    )
    assert found.stdout.count(site) == 3, found
    return run


def test_the_wheel_contains_the_files_that_are_not_python_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    systemd = {f"agent/systemd/{path.name}" for path in (ROOT / "systemd").iterdir()}
    migrations = {
        f"store/migrations/versions/{path.name}" for path in (ROOT / "store/migrations/versions").glob("*.py")
    }
    assert systemd | migrations | {"store/migrations/env.py"} <= set(names)
    assert len(migrations) >= 1
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"agent", "probes", "store", "inferometer"}
    assert not [name for name in names if "__pycache__" in name or "test" in name.lower()]
    [entry] = [name for name in names if name.endswith("entry_points.txt")]
    scripts = zipfile.ZipFile(wheel).read(entry).decode().splitlines()
    assert {"inferometer = agent.cli.entry:main", "inferometerd = agent.cli.entry:daemon"} <= set(scripts)


def test_its_commands_work_without_the_checkout(installed: Run, tmp_path: Path) -> None:
    assert installed("--version").stdout.startswith("inferometer ")
    measured = installed("measure", "--duration", 0.5, "--json", *BARE_METAL)
    assert json.loads(measured.stdout)["duration_seconds"] >= 0.5
    assert measured.returncode == 1  # the stored counters stand still, and that is not a measurement
    assert "a frozen sensor measures nothing" in measured.stderr
    refused = installed("service", "install", "--root", tmp_path)  # the unit could not run what is below /tmp
    assert refused.returncode == 1
    assert "which the unit hides from the service" in refused.stderr


def test_its_unit_starts_its_own_service(installed: Run) -> None:
    code = "from agent.install import python_env, systemd; print(systemd.unit_text(python_env.service_program()))"
    python = Path(installed("--version").args[0]).with_name("python")
    unit = installed("-c", code, command=python).stdout
    assert "/installed" in unit
    assert "venv/bin/inferometerd --config" in unit


def test_it_profiles_into_a_database_that_it_makes(installed: Run, tmp_path: Path) -> None:
    database = tmp_path / "new/store.db"
    tiny = ("--layers", 1, "--width", 32, "--heads", 2, "--vocabulary", 64, "--prompt-tokens", 4, "--output-tokens", 3)
    short = ("--batch", 1, "--idle-seconds", 0.1, "--warmup-seconds", 0, "--window-seconds", 0.05)
    # The counters of BARE_METAL never change, and the load of this host is not under test.
    estimated = ("--path.sysfs", tmp_path, "--path.procfs", tmp_path / "proc")
    with busy_processors(tmp_path / "proc", 0.5):
        profiled = installed("profile", "transformer", *tiny, *short, *estimated, "--database", database, "--json")
    assert profiled.returncode == 0, profiled.stderr
    listed = json.loads(installed("profiles", "list", "--database", database, "--json").stdout)
    assert [profile["id"] for profile in listed["profiles"]] == [json.loads(profiled.stdout)["id"]]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(REVISION,)]
