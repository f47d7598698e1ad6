"""`inferometer crosscheck`, on counters that another process advances, and on stored samples."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from command import call, run
from meter_rig import LEVELS, dram, gpu, package, plug, store_series
from moving_counters import advancing_counters
from trees import copy_tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

SHORT = ("crosscheck", "--duration", 8, "--windows", 4, "--cpu-budget", 0.3)
PARTS = {"intel-rapl:0": 60.0, "intel-rapl:0:0": 7.0, "intel-rapl:1": 45.0, "intel-rapl:1:0": 5.0}
RIGHT = PARTS | {"intel-rapl:2": 117.0 / 0.95}
DOUBLED = PARTS | {"intel-rapl:2": 72.0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.CompletedProcess[str]]]:
    """Cross-checks of a right host and of one whose sum has a part twice, with and without a change of the load."""
    home = tmp_path_factory.mktemp("home")
    right = copy_tree("intel_server_2s", tmp_path_factory.mktemp("right") / "tree")
    doubled = copy_tree("intel_server_2s", tmp_path_factory.mktemp("doubled") / "tree")
    steady = copy_tree("intel_server_2s", tmp_path_factory.mktemp("steady") / "tree")
    lines = {
        "right": (*SHORT, "--path.sysfs", right, "--json"),
        "doubled": (*SHORT, "--path.sysfs", doubled),
        "steady": (*SHORT, "--load", "--path.sysfs", steady, "--json"),
    }
    with (
        advancing_counters(right, RIGHT, swing=0.6, period=5.2),
        advancing_counters(doubled, DOUBLED, swing=0.6, period=5.2),
        advancing_counters(steady, RIGHT),
        ThreadPoolExecutor(len(lines)) as pool,
    ):
        waiting = {name: pool.submit(run, home, *line) for name, line in lines.items()}
        yield {name: future.result() for name, future in waiting.items()}


def test_a_right_host_is_not_in_doubt(runs: dict[str, subprocess.CompletedProcess[str]]) -> None:
    found = runs["right"]
    (check,) = json.loads(found.stdout)["cross_checks"]
    assert check["meters"] == [{"device": "psys", "domain": "psys"}]
    assert [each["domain"] for each in check["below"]] == ["package", "dram", "package", "dram"]
    assert check["slope"]["lower"] <= 1 / 0.95 <= check["slope"]["upper"]
    assert check["verdict"] in {"plausible", "undetermined"}
    assert found.returncode == {"plausible": 0, "undetermined": 6}[check["verdict"]]
    assert "measuring for 8 s" in found.stderr


def test_a_part_that_counts_twice_is_found(runs: dict[str, subprocess.CompletedProcess[str]]) -> None:
    found = runs["doubled"]
    assert found.returncode == 5
    assert "psys/psys against package-0/package + package-0/dram + package-1/package" in found.stdout
    assert "  verdict double counted: the meter rises by " in found.stdout
    assert "  windows 4" in found.stdout


def test_a_load_that_the_sensors_do_not_show_leaves_it_undetermined(
    runs: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    found = runs["steady"]
    (check,) = json.loads(found.stdout)["cross_checks"]
    assert (found.returncode, check["verdict"], check["slope"]) == (6, "undetermined", None)


def store_samples(home: Path) -> None:
    """Store ten minutes of a host with a plug: levels of a minute and a little more."""
    repeated = tuple(level for level in LEVELS for _ in range(7))
    store_series(home, [plug(levels=repeated), package(repeated), dram(repeated), gpu(repeated)])


def test_stored_samples_are_compared_in_windows_of_a_minute(tmp_path: Path) -> None:
    store_samples(tmp_path)
    result = call(tmp_path, "crosscheck", "--since", "30m", "--json")
    found = json.loads(result.stdout)
    (check,) = found["cross_checks"]
    assert check["meters"] == [{"device": "meter-desk", "domain": "wall"}]
    assert found["window_seconds"] == 60
    assert found["windows"] == check["windows"] >= 8
    assert check["slope"]["lower"] <= 1 / 0.9 <= check["slope"]["upper"]
    assert check["offset_watts"]["lower"] <= 40 <= check["offset_watts"]["upper"]
    assert check["verdict"] in {"constant_part_missing", "undetermined"}


def test_wrong_options_are_named(tmp_path: Path) -> None:
    for options, words in (
        (("--load", "--since", "1h"), "--load: stored samples need no load"),
        (("--until", "1h"), "--until: it ends stored samples"),
        (("--duration", 5, "--windows", 12), "--duration: 12 windows need 12 s or more"),
    ):
        result = call(tmp_path, "crosscheck", *options)
        assert (result.returncode, result.stdout) == (2, "")
        assert words in result.stderr


def test_a_time_without_samples_and_a_host_with_one_layer_are_errors(tmp_path: Path) -> None:
    store_samples(tmp_path)
    result = call(tmp_path, "crosscheck", "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02T00:00:00Z")
    assert result.returncode == 1
    assert "no minute of this time has stored samples" in result.stderr
    (tmp_path / "sys/class").mkdir(parents=True)
    result = call(tmp_path, "crosscheck", "--duration", 3, "--windows", 3, "--path.sysfs", tmp_path / "sys")
    assert result.returncode == 1
    assert "nothing to compare" in result.stderr
    assert "measuring for" not in result.stderr  # the channels show it before any window
