"""`inferometer profile idle`, on counters that another process advances at known watts."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from command import call, finish, read_until, run, started
from moving_counters import advancing_counters, busy_processors, longest_gap
from profile_runs import WATTS
from trees import copy_tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    Runs = dict[str, subprocess.CompletedProcess[str]]

IDLE = ("profile", "idle", "--cpu-budget", 0.3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, server: Path) -> Iterator[Runs]:
    """Measurements of every kind, all at the same time."""
    home = tmp_path_factory.mktemp("home")
    idle = (*IDLE, "--path.sysfs", server)
    lines = {
        "json": (
            *idle,
            "--duration",
            "3s",
            "--windows",
            3,
            "--json",
            "--price-per-kwh",
            0.5,
            "--currency",
            "EUR",
            "--pue",
            1.5,
        ),
        "text": (*idle, "--duration", "1.5s", "--windows", 3, "--capital", 8760, "--price-per-kwh", 0.5),
        "once": (*idle, "--duration", "1s", "--windows", 1, "--json"),
    }
    with advancing_counters(server, WATTS), ThreadPoolExecutor(len(lines)) as pool:
        waiting = {name: pool.submit(run, home, *line) for name, line in lines.items()}
        yield {name: future.result() for name, future in waiting.items()}


def test_the_mean_power_is_the_known_one_and_within_its_bounds(runs: Runs, server: Path) -> None:
    assert runs["json"].returncode == 0, runs["json"].stderr
    draw = json.loads(runs["json"].stdout)
    assert draw["windows"] == 3
    assert draw["duration_seconds"] >= 3
    late = longest_gap(server)  # of a window of a second
    near = 0.05 + late
    assert draw["watts"]["mean"] == pytest.approx(180, rel=near)
    assert draw["watts"]["lower"] <= 180 * (1 + late)
    assert draw["watts"]["upper"] >= 180 * (1 - late)
    assert draw["watts"]["source"] == "measured"
    assert len(draw["window_watts"]) == 3
    powers = {f"{each['device']}/{each['domain']}": each["watts"]["mean"] for each in draw["sensors"]}
    assert powers["package-0/package"] == pytest.approx(60, rel=near)
    assert [each["domain"] for each in draw["sensors"] if each["in_total"]] == ["psys"]
    assert draw["cpu"]["cpus"] == os.cpu_count()
    assert draw["cpu"]["self_cpus"] > 0
    assert draw["cost_per_hour"]["energy"]["mean"] == pytest.approx(180 * 0.5 * 1.5 / 1000, rel=near)
    assert draw["cost_per_hour"]["currency"] == "EUR"


def test_one_window_has_the_bounds_of_the_sensors_alone(runs: Runs, server: Path) -> None:
    draw, late = json.loads(runs["once"].stdout), longest_gap(server)
    assert draw["watts"]["lower"] <= 180 * (1 + late)
    assert draw["watts"]["upper"] >= 180 * (1 - late)
    assert draw["watts"]["upper"] - draw["watts"]["lower"] < 20


def test_the_printed_result_has_power_windows_use_and_cost(runs: Runs) -> None:
    assert runs["text"].returncode == 0, runs["text"].stderr
    labels = [line.split("  ")[0] for line in runs["text"].stdout.split("\n\n")[0].splitlines() if line[0] != " "]
    assert [label.split()[0] for label in labels] == ["Power", "Windows", "CPUs", "Cost"]
    assert "psys" in runs["text"].stdout
    assert "inference" not in runs["text"].stdout


def test_a_busy_machine_is_reported_as_busy(tmp_path: Path) -> None:
    server = copy_tree("intel_server_2s", tmp_path / "tree")
    procfs = tmp_path / "proc"
    line = (*IDLE, "--duration", "1s", "--windows", 2, "--path.sysfs", server, "--path.procfs", procfs, "--json")
    with advancing_counters(server, WATTS), busy_processors(procfs, 0.75):
        result = run(tmp_path, *line)
    assert result.returncode == 0, result.stderr
    cpu = json.loads(result.stdout)["cpu"]
    assert cpu is None or cpu["other_cpus"] == pytest.approx(1.5, rel=0.2)


def test_ctrl_c_ends_the_measurement_with_the_complete_windows(tmp_path: Path) -> None:
    server = copy_tree("intel_server_2s", tmp_path / "tree")
    line = (*IDLE, "--duration", "300s", "--windows", 300, "--path.sysfs", server, "--json")
    with advancing_counters(server, WATTS), started(tmp_path, *line) as process:
        read_until(process.stderr, "measuring for 300 s")
        with pytest.raises(TimeoutError):
            _wait(process, 5)
        os.killpg(process.pid, signal.SIGINT)
        result = finish(process)
    assert result.returncode == 130
    assert "interrupted: this is the result until then" in result.stderr
    draw = json.loads(result.stdout)
    assert 1 <= draw["windows"] < 60
    assert draw["watts"]["mean"] == pytest.approx(180, rel=0.1)


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    import subprocess

    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("--duration", "1"), "--duration: '1' is not a duration"),
        (("--duration", "1s", "--windows", "100"), "--duration: 1s is out of range"),
        (("--windows", "0"), "out of range"),
    ],
)
def test_a_wrong_time_is_refused(tmp_path: Path, options: tuple[str, ...], cause: str) -> None:
    result = call(tmp_path, *IDLE, *options)
    assert result.returncode == 2
    assert cause in result.stderr


def test_a_host_without_sensors_is_refused_with_the_remedy(tmp_path: Path) -> None:
    result = run(tmp_path, *IDLE, "--path.sysfs", tmp_path, "--no-estimates")
    assert (result.returncode, result.stdout) == (1, "")
    assert "nothing here measures power" in result.stderr
