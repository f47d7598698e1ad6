"""`inferometer measure` as a process, on counters that another process advances at known watts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import fake_nvml
from agent.runtime.realtime import TURNED_OFF
from command import call, finish, read_until, run, started
from moving_counters import advancing_counters, longest_gap
from trees import copy_tree, powercap_zone, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATTS = {
    "intel-rapl:0": 60.0,
    "intel-rapl:0:0": 7.0,
    "intel-rapl:1": 45.0,
    "intel-rapl:1:0": 5.0,
    "intel-rapl:2": 180.0,
    "intel-rapl-mmio:0": 60.0,
}
LATE_SECONDS = 0.004
"""The tolerated delay of the process that advances the counters if it is not delayed itself, in seconds."""
NO_DRIVER = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server with two sockets and advancing counters; the counter of package-1 wraps every 1.1 s."""
    sysfs = copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")
    package = sysfs / "class/powercap/intel-rapl:1"
    write(package / "max_energy_range_uj", round(WATTS["intel-rapl:1"] * 1.1e6))
    write(package / "energy_uj", 1_000_000)
    with advancing_counters(sysfs, WATTS):
        yield sysfs


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A /sys without any sensor."""
    folder = tmp_path / "empty-sys"
    folder.mkdir()
    return folder


def holds(found: dict[str, Any], watts: float, seconds: float, late_seconds: float) -> None:
    """Assert that an energy is counted once and within its bounds, of counters that were written this late."""
    late = watts * late_seconds
    assert found["joules"] == pytest.approx(watts * seconds, abs=0.1 * watts * seconds + late)
    assert found["lower"] - late <= watts * seconds <= found["upper"] + late
    assert found["lower"] <= found["joules"] <= found["upper"]


def test_every_joule_of_a_server_is_counted_once_with_and_without_psys(tmp_path: Path, server: Path) -> None:
    lesser = tmp_path / "without-psys"
    lesser.mkdir()
    for name in ("intel-rapl", "intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:1:0", "intel-rapl-mmio:0"):
        (lesser / "class/powercap").mkdir(parents=True, exist_ok=True)
        (lesser / "class/powercap" / name).symlink_to(os.path.realpath(server / "class/powercap" / name))
    line, began = ("measure", "--duration", 2, "--json", "--path.sysfs"), time.monotonic()
    with started(tmp_path, *line, server) as one, started(tmp_path, *line, lesser) as other:
        whole, parts = (json.loads(finish(process).stdout) for process in (one, other))
    late = LATE_SECONDS + longest_gap(server, began)

    names = {"package-0/package": 60, "package-0/dram": 7, "package-1/package": 45, "package-1/dram": 5}
    for document, watts in ((whole, {**names, "psys/psys": 180}), (parts, names)):
        seconds = document["duration_seconds"]
        assert 2.0 <= seconds < 20.0
        found = {f"{each['device']}/{each['domain']}": each for each in document["devices"]}
        assert found.keys() == watts.keys()  # the memory-mapped duplicate is left out
        for name, expected in watts.items():
            holds(found[name], expected, seconds, late)
            assert found[name]["mean_watts"] == pytest.approx(found[name]["joules"] / seconds)
            assert (found[name]["source"], found[name]["method"]) == ("measured", "counter")
    holds(whole["total"], 180, whole["duration_seconds"], late)
    assert whole["total"]["boundary"] == "node"
    assert whole["total"]["includes"] == [{"device": "psys", "domain": "psys"}]
    holds(parts["total"], 60 + 7 + 45 + 5, parts["duration_seconds"], late)
    assert parts["total"]["boundary"] == "package"
    assert len(parts["total"]["includes"]) == 4


def test_a_measured_command_has_standard_output_to_itself(tmp_path: Path, server: Path) -> None:
    result = run(
        tmp_path, "--path.sysfs", server, "measure", "sh", "-c", "echo mine; sleep 0.4; echo noise >&2; exit 3"
    )
    assert (result.returncode, result.stdout) == (3, "mine\n")
    assert "noise\n" in result.stderr
    assert [line.split()[0] for line in result.stderr.splitlines() if "measured" in line] == [
        *["package-0", "package-0", "package-1", "package-1", "psys"],
        "total",
    ]


def test_shared_options_can_stand_on_both_sides_of_measure(tmp_path: Path, bare: Path) -> None:
    for line in (
        ("--no-estimates", "--path.sysfs", bare, *NO_DRIVER, "measure", "--duration", 0.1),
        ("measure", "--duration", 0.1, f"--path.sysfs={bare}", *NO_DRIVER, "--no-estimates"),
        ("measure", "--path.sysfs", bare, *NO_DRIVER, "--no-estimates", "true"),
    ):
        result = call(tmp_path, *line)
        assert result.returncode == 1
        assert f"no sensor was found below {bare}" in result.stderr


def test_an_error_without_a_sensor_names_the_exclusions(tmp_path: Path, bare: Path) -> None:
    line = ("--path.sysfs", bare, *NO_DRIVER, "--exclude", "estimate", "measure", "--duration", "0.1")
    result = call(tmp_path, *line)
    assert result.returncode == 1
    assert f"no sensor was found below {bare} (excluded: estimate);" in result.stderr


def test_without_a_sensor_and_estimates_the_command_is_not_run(tmp_path: Path, bare: Path) -> None:
    line = ("--path.sysfs", bare, *NO_DRIVER, "--no-estimates", "measure", "--json", "touch", tmp_path / "ran")
    result = call(tmp_path, *line)
    assert result.returncode == 1
    assert "--estimates" in result.stderr
    assert not (tmp_path / "ran").exists()
    assert result.stdout == ""


def test_every_number_of_an_estimated_measurement_is_marked(tmp_path: Path, bare: Path) -> None:
    result = run(tmp_path, "--path.sysfs", bare, "measure", "--duration", 0.2, "--json")
    assert result.returncode == 0
    document = json.loads(result.stdout)
    assert document["total"]["source"] == "estimated"
    assert document["total"]["estimated_share"] == 1
    for device in document["devices"]:
        assert (device["source"], device["method"]) == ("estimated", "model")
        assert device["upper"] - device["joules"] >= 0.99 * device["relative_uncertainty"] * device["joules"] > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_duration_prints_the_result_so_far(tmp_path: Path, server: Path, number: int, code: int) -> None:
    with started(tmp_path, "--path.sysfs", server, "measure", "--duration", 60, "--json") as process:
        read_until(process.stderr, "measuring for 60 s; Ctrl-C ends the measurement early")
        time.sleep(2.0)  # on a busy host, the first reads after the start come late
        os.killpg(process.pid, number)
        result = finish(process)
    assert result.returncode == code
    assert "interrupted" in result.stderr
    document = json.loads(result.stdout)
    assert 0 < document["duration_seconds"] < 60
    assert document["total"]["joules"] > 0


def test_a_counter_that_freezes_before_the_end_is_a_reason_and_opens_the_total(tmp_path: Path) -> None:
    sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
    with ExitStack() as busy_processors:
        busy_processors.enter_context(advancing_counters(sysfs, WATTS))
        line = ("--path.sysfs", sysfs, "measure", "--json", "--", "sh", "-c", "echo ready; read end")
        with started(tmp_path, *line, stdin=subprocess.PIPE) as process:
            read_until(process.stderr, "ready")
            time.sleep(1)
            busy_processors.close()
            time.sleep(3)
            process.stdin.write("\n")
            result = finish(process)
    document = json.loads(result.stdout)
    packages = [device for device in document["devices"] if device["domain"] == "package"]
    for device in packages:
        assert any("did not move" in reason for reason in device["reasons"])
        assert (
            device["upper"] - device["joules"] > 1.5 * 100
        )  # 3 s at the maximum power, even if the counter froze late
    assert document["total"]["upper"] - document["total"]["joules"] > 2 * 1.5 * 100


def test_a_gpu_lost_during_the_measurement_leaves_no_total_but_the_other_devices(tmp_path: Path) -> None:
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [fake_nvml.H100])
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000)
    line = ("measure", "--json", "--path.sysfs", sysfs, "--path.nvml-library", library)
    with started(tmp_path, *line, "sh", "-c", "echo ready >&2; read end", stdin=subprocess.PIPE) as process:
        read_until(process.stderr, "ready")
        fake_nvml.write_state(library, [replace(fake_nvml.H100, error=fake_nvml.GPU_IS_LOST)])
        assert f"nvml/{fake_nvml.H100.uuid}" in read_until(process.stderr, "lost").splitlines()[-1]
        process.stdin.write("\n")
        result = finish(process)
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert document["total"]["joules"] is None
    found = {each["kind"]: each for each in document["devices"]}
    assert found["gpu"]["joules"] is None
    (reason,) = found["gpu"]["reasons"]
    assert reason.endswith(": GPU is lost")  # the reason names the call that failed
    assert found["cpu"]["joules"] == 0
    assert re.search(rf"{fake_nvml.H100.uuid}/board: nvml\w+: GPU is lost", result.stderr)


def test_a_total_of_measured_and_estimated_parts_has_the_estimated_share(tmp_path: Path, bare: Path) -> None:
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [fake_nvml.H100])
    shared = ("--path.sysfs", bare, "--path.nvml-library", library, "measure", "--duration", 0.1)
    with started(tmp_path, *shared, "--json") as one, started(tmp_path, *shared) as other:
        document, table = json.loads(finish(one).stdout), finish(other).stdout
    estimated = [each["joules"] for each in document["devices"] if each["source"] == "estimated"]
    assert document["total"]["source"] == "mixed"
    assert document["total"]["estimated_share"] == pytest.approx(sum(estimated) / document["total"]["joules"])
    assert "mixed (" in table


def test_a_duration_too_short_for_the_tolerance_is_extended(tmp_path: Path, server: Path) -> None:
    line = ("measure", "--duration", 0.1, "--tolerance", "1%", "--json", "--path.sysfs", server)
    ended = run(tmp_path, *line)
    found = json.loads(ended.stdout)
    assert 0.2 <= found["duration_seconds"] < 20
    assert "instead of 0.1 s: a sensor needs this time for ±1.0 %" in ended.stderr


def test_a_command_too_short_for_the_tolerance_has_no_energy_but_the_needed_time(tmp_path: Path, server: Path) -> None:
    ended = run(tmp_path, "measure", "--tolerance", "0.01%", "--json", "--path.sysfs", server, "--", "true")
    found = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert found["exit_code"] == 0
    assert found["total"]["joules"] is None
    assert all(device["joules"] is None for device in found["devices"])
    assert "it needs " in ended.stderr


@pytest.mark.parametrize("tolerance", ["0", "5", "100%", "five", ""])
def test_an_invalid_tolerance_is_a_usage_error(tmp_path: Path, tolerance: str) -> None:
    ended = call(tmp_path, "measure", "--duration", 1, "--tolerance", tolerance)
    assert ended.returncode == 2
    assert "is not a share; write it as 5% or 0.05" in ended.stderr


def test_a_gpu_counter_of_20_ms_is_accurate_to_two_percent_in_a_second_despite_slow_calls(
    tmp_path: Path, bare: Path
) -> None:
    library = fake_nvml.build(tmp_path)
    gpu = replace(fake_nvml.T4, watts=60.0, refresh_ms=20.0, delay_seconds=0.0005)
    fake_nvml.write_state(library, [gpu])
    shared = ("--path.sysfs", bare, "--path.nvml-library", library, "--no-estimates")
    shares, durations = [], []
    for _ in range(3):
        found = json.loads(call(tmp_path, *shared, "measure", "--duration", 1, "--json").stdout)
        (device,) = (each for each in found["devices"] if each["kind"] == "gpu" and each["method"] == "counter")
        assert device["lower"] <= 60.0 * found["duration_seconds"] <= device["upper"]
        durations.append(found["duration_seconds"])
        shares.append((device["upper"] - device["lower"]) / 2 / device["joules"])
    assert min(shares) < 0.04
    assert min(durations) < 1.2 + LATE_SECONDS


def test_the_settings_of_sampling_reach_the_measurement(tmp_path: Path, server: Path) -> None:
    line = ("measure", "--json", "--cpu-budget=0.03", "--no-realtime", "--path.sysfs", server, *NO_DRIVER, "--", "true")
    sampler = json.loads(call(tmp_path, *line).stdout)["sampler"]
    assert sampler["cpu_budget"] == 0.03
    assert (sampler["policy"], sampler["limitation"]) == ("other", TURNED_OFF.reason)
