"""The package of the page about writing a probe: built, installed, listed, measured with and checked as shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from command import ROOT
from doc_pages import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = text_of(ROOT / "docs/writing-a-probe.md")
PROJECT = PAGE.partition("```toml\n")[2].partition("```")[0]
MODULE, HOST = (part.partition("```")[0] for part in PAGE.split("```python\n")[1:])
CHECK = """
import sys
from pathlib import Path
import rack_meter
from probes.conformance import FakeSensor, TreeHost, assert_conforms
from probes.model import Roots

folder = Path(sys.argv[1])

def written(meter, **files):
    meter.mkdir(parents=True)
    for name, value in files.items():
        (meter / name).write_text(f"{value}\\n")
    return meter / "energy_uj"

"""
BROKEN = {
    "import": ("raise RuntimeError('no such bus')\n", "RuntimeError: no such bus"),
    "exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "form": ("FAMILY = None\n", "lacks `FAMILY`, a Family, or `discover(roots, settings)`"),
    "name": (MODULE.replace('Family("rackmeter"', 'Family("other"'), "calls itself 'other'"),
    "discovery": (MODULE + "\ndef discover(roots, settings):\n    return 1 / 0\n", "ZeroDivisionError"),
    "result": (MODULE + "\ndef discover(roots, settings):\n    return []\n", "returned list, not a DiscoveryResult"),
    "probe name": (MODULE.replace('f"rackmeter/{', 'f"{'), "must be named 'rackmeter' or begin with 'rackmeter/'"),
}


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that builds and installs the package with this module, and returns the folder."""

    def installed(module: str, project: str = PROJECT) -> Path:
        source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
        (source / "pyproject.toml").write_text(project, encoding="utf-8")
        (source / "rack_meter.py").write_text(module, encoding="utf-8")
        options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
        command = (sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source))
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        return target

    return installed


@pytest.fixture(scope="module")
def site(install: Callable[[str], Path]) -> Path:
    return install(MODULE)


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    meter = tmp_path / "sys/class/rack_meter/meter0"
    meter.mkdir(parents=True)
    (meter / "serial").write_text("A7\n")
    (meter / "energy_uj").write_text("5000000\n")
    return tmp_path / "sys"


def run(site: Path, home: Path, *command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "HOME": str(home), "COLUMNS": "100"}
    environment["XDG_STATE_HOME"] = str(home / "state")
    line = [sys.executable, *map(str, command)]
    return subprocess.run(line, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=120)


def document(site: Path, home: Path, sysfs: Path, *arguments: object) -> object:
    start = ("-c", "from agent.cli.entry import main; main()", "devices", "--json", "--path.sysfs", sysfs)
    result = run(site, home, *start, *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_page_has_fewer_than_80_lines() -> None:
    assert len(PAGE.splitlines()) < 80


def test_the_family_of_the_package_is_listed_with_its_package(site: Path, tmp_path: Path, sysfs: Path) -> None:
    listed = document(site, tmp_path, sysfs, "--families")
    [own] = [each for each in listed if each["family"] == "rackmeter"]
    assert (own["package"], own["probes"], own["reads"]) == ("rack-meter", 1, "energy at the wall")
    bare = tmp_path / "bare"
    bare.mkdir()
    [absent] = [each for each in document(site, tmp_path, bare, "--families") if each["family"] == "rackmeter"]
    assert (absent["probes"], absent["reason"]) == (0, f"no meter below {bare}/class/rack_meter")


def test_the_sensors_of_the_package_are_listed_and_counted_as_ours(site: Path, tmp_path: Path, sysfs: Path) -> None:
    found = document(site, tmp_path, sysfs)
    [meter] = [device for device in found["devices"] if device["device"] == "A7"]
    assert [channel["counted"] for channel in meter["channels"]] == [True]
    assert found["total"]["includes"] == [{"device": "A7", "domain": "wall"}]


def test_a_command_is_measured_with_the_sensor_of_the_package(site: Path, tmp_path: Path, sysfs: Path) -> None:
    counter = sysfs / "class/rack_meter/meter0/energy_uj"
    step = f"open({str(counter)!r}, 'r+').write(str(5000000 + n * 2000000)); time.sleep(0.02)"
    work = f"import time\nfor n in range(1, 41):\n    {step}"
    start = ("-c", "from agent.cli.entry import main; main()", "measure", "--json", "--path.sysfs", sysfs)
    result = run(site, tmp_path, *start, "--", sys.executable, "-c", work)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    [joules] = [each["joules"] for each in measured["devices"] if each["device"] == "A7"]
    assert joules == pytest.approx(80, abs=15)


def test_an_excluded_family_of_a_package_is_not_searched(site: Path, tmp_path: Path, sysfs: Path) -> None:
    found = document(site, tmp_path, sysfs, "--exclude", "rackmeter")
    assert found["excluded"] == ["rackmeter"]
    assert [device["device"] for device in found["devices"] if device["device"] == "A7"] == []


def test_the_package_passes_every_check_that_its_host_exercises(site: Path, tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(CHECK + HOST, encoding="utf-8")
    result = run(site, tmp_path, tmp_path / "check.py", tmp_path / "hosts")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("module", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_package_costs_only_itself(
    install: Callable[[str], Path], tmp_path: Path, sysfs: Path, module: str, fault: str
) -> None:
    site = install(module)
    found = document(site, tmp_path, sysfs)
    [problem] = [each for each in found["unreadable"] if each["sensor"] == "everything of rackmeter"]
    assert fault in problem["reason"]
    assert problem["remedy"] == "report this fault to the authors of the package rack-meter"
    assert {"host", "memory"} <= {device["device"] for device in found["devices"]}
    [own] = [each for each in document(site, tmp_path, sysfs, "--families") if each["family"] == "rackmeter"]
    assert fault in own["reason"]


def test_a_package_cannot_replace_a_family_of_inferometer(
    install: Callable[..., Path], tmp_path: Path, sysfs: Path
) -> None:
    project = PROJECT.replace('rackmeter = "rack_meter"', 'memory = "rack_meter"')
    found = document(install(MODULE, project), tmp_path, sysfs)
    [note] = [each for each in found["notes"] if each["sensor"] == "memory"]
    assert "the package rack-meter has a family of the same name" in note["reason"]
    assert "memory" in {device["device"] for device in found["devices"]}
