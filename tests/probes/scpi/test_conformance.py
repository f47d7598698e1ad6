"""Every guarantee of a probe, on an instrument at a raw socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meter_hosts import MeterHost
from meters import meter
from probes.conformance import assert_conforms
from probes.scpi import discover
from scpi_server import IDENTITY, instrument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

POWER, ENERGY = ":MEAS:POW?", ":INT:ENER?"

pytestmark = pytest.mark.system


class InstrumentHost(MeterHost):
    """A power analyzer."""

    blanks = (b"9.91E37\n", b"9.9E37\n", b"-9.9E37\n")
    garbage = (b"\n", b"\xff\xfe\n", b"ERROR -113\n", b"38.4 W\n", b"1e999\n", b"1" * 9000 + b"\n")

    def __init__(self) -> None:
        self._serving = instrument({})
        self.state = self._serving.__enter__()
        super().__init__(meter("scpi", self.state.url, power=POWER, energy=ENERGY))
        self.stack.push(self._serving.__exit__)
        self.show()

    def show(self) -> None:
        self.state.answers[POWER] = f"{self.watts:.6E}\n".encode()
        self.state.answers[ENERGY] = f"{self.shown_joules / 3600:.9f}\n".encode()
        self.state.answers["*IDN?"] = IDENTITY

    def show_fault(self, fault: object) -> None:
        self.state.answers[POWER] = self.state.answers[ENERGY] = fault

    def refuse(self) -> None:
        self.state.answers.update(dict.fromkeys(self.state.answers, b"ERROR\n"))

    def hang(self) -> None:
        self.state.hanging = True

    def repair(self) -> None:
        self.state.hanging = False
        self.show()

    def unplug(self) -> None:
        self.state.gone = True

    def replug(self) -> None:
        self.state.gone = False
        self.reset()

    def written(self) -> Sequence[str]:
        return [line for line in self.state.received if not line.endswith("?")]


def test_bench_meters_conform(tmp_path: Path) -> None:
    def build(_: Path) -> InstrumentHost:
        return InstrumentHost()

    assert_conforms(discover, build, tmp_path, {"renumbering", "suspension", "suspended discovery"})
