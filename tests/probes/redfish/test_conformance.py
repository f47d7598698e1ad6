"""The guarantees of every family, on a BMC over TLS."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import pytest

from probes.conformance import FakeHost, assert_conforms
from probes.model import Roots
from probes.redfish import discover
from probes.settings import SensorSettings
from redfish_server import ROOT, SESSIONS, Bmc, chassis, link, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BOARD = f"{ROOT}/Chassis/HGX_Chassis_0/EnvironmentMetrics"


class BmcHost(FakeHost):
    """A server whose BMC has the power and the energy of the whole, and the power of the baseboard of its GPUs."""

    step_seconds = 100.0

    def __init__(self, folder: Path) -> None:
        host = chassis("DGX", ChassisType="RackMount", Links={"ComputerSystems": [link(f"{ROOT}/Systems/DGX")]})
        resources = service(host, chassis("HGX_Chassis_0", ChassisType="Module"), watts={"HGX_Chassis_0": 3000})
        self.wall = f"{ROOT}/Chassis/DGX/EnvironmentMetrics"
        resources[self.wall] = {"PowerWatts": {"Reading": 5200}, "EnergyJoules": {"Reading": 1_000_000.5}}
        self.bmc = Bmc(resources)
        self.bmc.__enter__()
        super().__init__(Roots(), SensorSettings(meters=(self.bmc.meter(folder),)))
        self.total = 1_000_000.5
        self.sound = copy.deepcopy(resources)

    def truth(self) -> Mapping[tuple[str, str], float]:
        watts = self.bmc.resources[self.wall]["PowerWatts"]["Reading"]
        board = self.bmc.resources[BOARD]["PowerWatts"]["Reading"]
        return {
            ("meter-bmc/wall", "power_watts"): watts,
            ("meter-bmc/wall", "energy_joules"): self.total,
            ("meter-bmc/hgx_chassis_0", "power_watts"): board,
        }

    def advance(self, seconds: float) -> None:
        self.total += 5200 * seconds
        self.bmc.resources[self.wall]["EnergyJoules"]["Reading"] += 5200 * seconds

    def reset(self) -> None:
        self.bmc.resources[self.wall]["EnergyJoules"]["Reading"] = 0

    def blank(self) -> Iterator[str]:
        self.sound = copy.deepcopy(self.bmc.resources)
        for value in (None, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
            for path in (self.wall, BOARD):
                self.bmc.resources[path] = {
                    name: {"Reading": value} for name in ("PowerWatts", "EnergyJoules") if name in self.sound[path]
                }
            yield json.dumps(value)

    def garble(self) -> Iterator[str]:
        for body in (b" ", b"[]", b"{", b"\xff\xfe", b'{"PowerWatts": {"Reading": "5200"}}', b'{"PowerWatts": 5200}'):
            self.bmc.raw = dict.fromkeys((self.wall, BOARD), body)
            yield repr(body)

    def refuse(self) -> None:
        self.bmc.statuses = dict.fromkeys((self.wall, BOARD, f"{ROOT}/Chassis"), 503)

    def hang(self) -> None:
        self.bmc.delays = dict.fromkeys((self.wall, BOARD, f"{ROOT}/Chassis"), 60.0)

    def repair(self) -> None:
        self.bmc.raw, self.bmc.statuses, self.bmc.delays = {}, {}, {}
        counted = self.sound[self.wall]["EnergyJoules"]["Reading"]
        self.bmc.resources = copy.deepcopy(self.sound)
        self.bmc.resources[self.wall]["EnergyJoules"]["Reading"] = counted

    def unplug(self) -> None:
        self.sound = copy.deepcopy(self.bmc.resources)
        self.bmc.resources = {ROOT: {}}

    def replug(self) -> None:
        self.bmc.resources = copy.deepcopy(self.sound)
        self.reset()

    def renumber(self) -> None:
        """Give the host's chassis another name, and list it after the baseboard."""
        text = json.dumps(self.bmc.resources).replace("/Chassis/DGX", "/Chassis/System_1")
        self.bmc.resources = json.loads(text)
        self.bmc.resources[f"{ROOT}/Chassis"]["Members"].reverse()
        self.wall = self.wall.replace("/Chassis/DGX", "/Chassis/System_1")

    def written(self) -> list[str]:
        return [f"{method} {path}" for method, path in self.bmc.requests if method != "GET" and SESSIONS not in path]

    def close(self) -> None:
        assert not self.bmc.sessions, "a session is left open"
        self.bmc.__exit__()


@pytest.mark.system
def test_redfish_conforms(tmp_path):
    assert_conforms(discover, BmcHost, tmp_path, not_exercised={"suspension", "suspended discovery"})
