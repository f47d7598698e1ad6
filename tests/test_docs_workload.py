"""The package of the page about writing a workload: built, installed and profiled exactly as shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from command import ROOT
from doc_pages import text_of
from moving_counters import advancing_counters
from profile_runs import BARE_METAL, WATTS, document, invalid
from trees import copy_tree

if TYPE_CHECKING:
    from pathlib import Path

PAGE = text_of(ROOT / "docs/writing-a-workload.md")
PROJECT, MODULE = (PAGE.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("toml", "python"))
SHORT = ("--idle-seconds", 0.2, "--warmup-seconds", 0.05, "--window-seconds", 0.15, "--cpu-budget", 0.3, "--force")
TOO_MANY = 10**15


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the package of the page is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (source / "sorting_workload.py").write_text(MODULE, encoding="utf-8")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    command = (sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source))
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    return target


def inferometer(site: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "HOME": str(home), "COLUMNS": "100"}
    environment["XDG_STATE_HOME"] = str(home / "state")
    code = "from agent.cli.entry import main; main()"
    command = (sys.executable, "-c", code, *map(str, arguments))
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=120)


def test_the_package_has_fewer_than_60_lines() -> None:
    assert len(PROJECT.splitlines()) + len(MODULE.splitlines()) < 60


def test_the_package_adds_a_workload_to_the_list(site: Path, tmp_path: Path) -> None:
    listed = json.loads(inferometer(site, tmp_path, "profile", "--list", "--json").stdout)
    [own] = [each for each in listed if each["name"] == "sorting"]
    assert own["available"]
    assert own["help"] == "Profile the sorting of random numbers."


def test_the_workload_is_profiled_and_out_of_memory_loses_only_its_point(site: Path, tmp_path: Path) -> None:
    server = copy_tree("intel_server_2s", tmp_path / "tree")
    sensors = ("--path.sysfs", server, *BARE_METAL)
    with advancing_counters(server, WATTS):
        points = ("--numbers", f"1000,{TOO_MANY},20000")
        result = inferometer(site, tmp_path, "profile", "sorting", *points, *SHORT, *sensors, "--json")
    assert result.returncode == 1
    found = document(result)
    assert [point["name"] for point in found["points"]] == ["numbers=1000", "numbers=20000"]
    few, many = found["points"]
    for point in (few, many):
        assert invalid(point) == []
        assert point["power"]["mean_watts"]["mean"] == pytest.approx(180, rel=0.1)
    totals = [point["energy"]["joules_per_inference"]["total"]["mean"] for point in (few, many)]
    assert totals[1] > 10 * totals[0]
    reason = f"{32 * TOO_MANY} bytes of memory are not available"
    assert f"numbers={TOO_MANY} is left out: {reason}" in found["notes"]
    assert "choose fewer --numbers" in result.stderr
