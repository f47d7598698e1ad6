"""The registry: the workloads of this package, and those that an installed distribution adds by its entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from agent.cli.options import ExitCode
from agent.workloads import registry
from command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "toy-workloads"
version = "1.0"
[project.entry-points."inferometer.workloads"]
sleeper = "toy_workloads:WORKLOAD"
broken = "toy_workloads:NOTHING"
other = "toy_workloads:WORKLOAD"
number = "toy_workloads:NUMBER"
"""
MODULE = '''
"""A workload that sleeps."""
import time
from dataclasses import dataclass
from typing import ClassVar

from agent.workloads.axes import at_point
from agent.workloads.declaration import Workload
from agent.workloads.parameter import check_parameters, parameter
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase

@dataclass(frozen=True, slots=True)
class SleeperSpec:
    millis: int = parameter(1, help="Milliseconds of sleep.", least=1, most=100, sweep=(1, 2), in_every_point=True)
    naps: int = parameter(1, help="Naps in a row.", least=1, most=9, sweep=(1,))
    workload: ClassVar[str] = "sleeper"
    label: ClassVar[str] = "the sleeper"
    phases: ClassVar[tuple[str, ...]] = ("nap",)

    def __post_init__(self):
        check_parameters(self)

class Sleeper:
    def __init__(self, spec, engine):
        self.spec = spec
        self.ready = Ready("sleep", "1", "cpu", engine.threads, None, 0, 0, None, spec.phases, 0.0)

    def prepare(self, parameters):
        spec = at_point(self.spec, parameters)
        def nap(steps):
            for _ in range(spec.naps):
                time.sleep(spec.millis / 1000)
        return {"nap": Phase(nap, inferences=1)}

def load(spec, engine):
    return Sleeper(spec, engine)

WORKLOAD = Workload(SleeperSpec, "toy_workloads", "Profile a sleep.")
NUMBER = 7
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a distribution with an entry point is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "toy_workloads.py").write_text(MODULE)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    command = (sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source))
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    return target


def inferometer(site: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "HOME": str(home), "COLUMNS": "100"}
    code = "from agent.cli.entry import main; main()"
    command = (sys.executable, "-c", code, *map(str, arguments))
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=120)


def test_an_installed_distribution_adds_a_command_with_the_options_it_declares(site: Path, tmp_path: Path) -> None:
    listed = inferometer(site, tmp_path, "profile", "--help").stdout
    for name, words in (
        ("transformer", "Profile a transformer in the shape"),
        ("onnx", "Profile an ONNX"),
        ("sleeper", "sleep"),
    ):
        assert any(line.split()[:1] == [name] and words in line for line in listed.splitlines()), (name, listed)
    options = inferometer(site, tmp_path, "profile", "sleeper", "--help").stdout
    assert "--millis N,N,..." in options
    assert "[default: 1,2]" in options
    assert "--window-seconds" in options
    refused = inferometer(site, tmp_path, "profile", "sleeper", "--millis", "1,101")
    assert refused.returncode == ExitCode.USAGE
    assert "--millis: '1,101' is not a list of whole numbers from 1 to 100, such as 1,2" in refused.stderr


def test_a_workload_of_a_distribution_is_profiled_over_its_own_points(site: Path) -> None:
    code = """
        import json, sys
        from agent.profiling.sweep import Sweep
        from agent.workloads.engine_spec import EngineSpec
        from agent.workloads import registry
        from agent.workloads.axes import request
        from agent.workloads.point import points_of
        from agent.workloads.runner.client import WorkloadProcess
        spec, axes = request(registry.find("sleeper").spec, {"naps": (1, 3)})
        with WorkloadProcess() as process:
            ready = process.start(spec, EngineSpec())
            found = []
            for point in points_of(axes):
                process.prepare(point)
                measured = process.measure("nap", 0.0, 2)
                found.append([point, measured.iterations, (measured.end_ns - measured.start_ns) / 1e6])
        print(json.dumps([ready.engine, found]))
    """
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    command = (sys.executable, "-c", dedent(code))
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    engine, found = json.loads(ran.stdout)
    assert engine == "sleep"
    assert [point for point, _, _ in found] == [
        {"millis": 1, "naps": 1},
        {"millis": 1, "naps": 3},
        {"millis": 2, "naps": 1},
        {"millis": 2, "naps": 3},
    ]
    for point, iterations, millis in found:
        assert iterations == 2
        assert millis >= 2 * point["millis"] * point["naps"]


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("broken", "cannot be loaded: AttributeError: module 'toy_workloads' has no attribute 'NOTHING'"),
        ("other", "calls itself 'sleeper': both names must be equal"),
        ("number", "is int, not a Workload"),
    ],
)
def test_a_workload_that_cannot_be_used_disturbs_no_other_and_names_its_package(
    site: Path, tmp_path: Path, name: str, cause: str
) -> None:
    result = inferometer(site, tmp_path, "profile", name)
    assert result.returncode == ExitCode.FAILURE
    assert f"the workload '{name}' of the package toy-workloads" in result.stderr
    assert cause in result.stderr
    assert inferometer(site, tmp_path, "profile", "sleeper", "--help").returncode == 0


def test_every_workload_of_this_package_is_declared_under_its_own_name() -> None:
    assert registry.names() == tuple(registry.WORKLOADS)
    for name in registry.names():
        assert registry.find(name).spec.workload == name


def test_an_unknown_workload_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(
        registry.UnknownWorkloadError, match="there is no workload 'cnn': choose one of transformer, onnx"
    ):
        registry.find("cnn")


def test_a_workload_of_this_package_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("onnx", "nowhere:WORKLOAD", registry.GROUP)
    monkeypatch.setattr(registry, "_entry_points", lambda: (entry,))
    assert registry.names() == tuple(registry.WORKLOADS)
    assert registry.find("onnx").spec.workload == "onnx"
