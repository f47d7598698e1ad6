"""Every guarantee of a probe, on a meter behind a Modbus server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meter_hosts import MeterHost
from meters import meter
from modbus_server import modbus, registers_of
from probes.conformance import assert_conforms
from probes.modbus import discover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

POWER, ENERGY = ("holding", 100), ("holding", 200)
READ_CODES = {3, 4}

pytestmark = pytest.mark.system


class ModbusHost(MeterHost):
    """A meter with a float of power and an integer of watt-hours."""

    blanks = ([0xFFFF] * 2, [0x7FC0, 0])

    def __init__(self) -> None:
        self._serving = modbus({})
        self.server = self._serving.__enter__()
        keys = {"power": "holding:100:float32", "energy": "holding:200:uint32", "energy_unit": "Wh"}
        super().__init__(meter("modbus", self.server.url, **keys))
        self.stack.push(self._serving.__exit__)
        self.show()

    def show(self) -> None:
        self.server.registers[POWER] = registers_of("f", self.watts)
        self.server.registers[ENERGY] = registers_of("I", round(self.shown_joules / 3600))

    def show_fault(self, fault: object) -> None:
        self.server.registers[POWER] = fault
        self.server.registers[ENERGY] = [0xFFFF, 0xFFFF]

    def garble(self):
        """Yield that the registers are gone: any content of registers that exist is a number."""
        self.server.registers.clear()
        yield "an exception response"

    def refuse(self) -> None:
        self.server.registers.clear()

    def hang(self) -> None:
        self.server.hanging = True

    def repair(self) -> None:
        self.server.hanging = False
        self.show()

    def unplug(self) -> None:
        self.server.stop()

    def replug(self) -> None:
        self.server.start()
        self.reset()

    def written(self) -> Sequence[str]:
        return [str(request) for request in self.server.requests if request[1] not in READ_CODES]


def test_modbus_meters_conform(tmp_path: Path) -> None:
    def build(_: Path) -> ModbusHost:
        return ModbusHost()

    assert_conforms(discover, build, tmp_path, {"renumbering", "suspension", "suspended discovery"})
