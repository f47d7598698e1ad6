"""Sessions of a BMC, which end with the command, however it ends."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from command import finish, run, started
from redfish_server import FINGERPRINT, ROOT, Bmc, await_no_sessions, chassis, link, mockup, service
from trees import copy_tree
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METRICS = f"{ROOT}/Chassis/1U/EnvironmentMetrics"


@pytest.fixture
def bmc() -> Iterator[Bmc]:
    with Bmc(mockup("dmtf")) as server:
        yield server


def configuration(bmc: Bmc, tmp_path: Path) -> Path:
    meter = bmc.meter(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text(
        f'[[meters]]\nname = "bmc"\nkind = "redfish"\nurl = "{bmc.url}"\nuser = "{meter.user}"\n'
        f'password_file = "{meter.password_file}"\nfingerprint = "{FINGERPRINT}"\n'
    )
    return file


@pytest.fixture
def config(bmc: Bmc, tmp_path: Path) -> Path:
    return configuration(bmc, tmp_path)


def test_devices_shows_the_bmc_as_the_total_and_leaves_no_session(bmc: Bmc, config: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "devices", "--config", config, "--json")
    assert result.returncode == 0, result.stderr
    total = json.loads(result.stdout)["total"]
    assert total["boundary"] == "wall"
    assert bmc.opened == 1
    assert not bmc.sessions


def test_the_bmc_is_the_total_of_a_server_whose_sockets_and_baseboard_have_sensors(tmp_path: Path) -> None:
    host = chassis("DGX", ChassisType="RackMount", Links={"ComputerSystems": [link(f"{ROOT}/Systems/DGX")]})
    board = chassis("HGX_Chassis_0", ChassisType="Module")
    with Bmc(service(host, board, watts={"DGX": 5200, "HGX_Chassis_0": 3000})) as bmc:
        file = configuration(bmc, tmp_path)
        sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
        result = run(tmp_path, "devices", "--config", file, "--path.sysfs", sysfs, "--json")
        assert result.returncode == 0, result.stderr
        document = json.loads(result.stdout)
        channels = [(device["device"], each) for device in document["devices"] for each in device["channels"]]
        assert {(device, each["domain"]) for device, each in channels if each["counted"]} == {("meter-bmc", "wall")}
        assert {"wall", "hgx_chassis_0", "package", "dram"} <= {each["domain"] for _, each in channels}
        assert not bmc.sessions


def test_measure_integrates_the_power_of_the_bmc(bmc: Bmc, config: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "measure", "--duration", 3, "--config", config, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["total"]["joules"] == pytest.approx(374 * found["duration_seconds"], rel=0.2)
    assert not bmc.sessions


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_measurement_ends_the_session(
    bmc: Bmc, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path, "measure", "--duration", 60, "--config", config) as process:
        await_true(lambda: bmc.requests.count(("GET", METRICS)) > 2)
        process.send_signal(number)
        finish(process)
    assert bmc.opened
    assert await_no_sessions(bmc)


def test_a_signal_during_discovery_ends_the_session(bmc: Bmc, config: Path, tmp_path: Path) -> None:
    bmc.delays[METRICS] = 5.0
    with started(tmp_path, "devices", "--config", config) as process:
        await_true(lambda: ("GET", METRICS) in bmc.requests)
        process.send_signal(signal.SIGTERM)
        assert finish(process).returncode == 128 + signal.SIGTERM
    assert bmc.opened == 1
    assert await_no_sessions(bmc)


def test_the_daemon_ends_the_session_when_it_stops(bmc: Bmc, config: Path, tmp_path: Path) -> None:
    with started(tmp_path, "daemon", "--listen", "127.0.0.1:0", "--config", config) as process:
        await_true(lambda: bmc.requests.count(("GET", METRICS)) > 2)
        process.send_signal(signal.SIGTERM)
        finish(process)
    assert bmc.opened == 1
    assert await_no_sessions(bmc)
