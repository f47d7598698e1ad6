"""Every guarantee of a probe, on PDUs behind a real snmpd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meter_hosts import MeterHost
from meters import meter, secret_file
from probes.conformance import assert_conforms
from probes.snmp import discover
from snmpd_server import COMMUNITY, Agent, needs_snmpd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

APC = "1.3.6.1.4.1.318.1.1.26.4.3.1"
RARITAN = "1.3.6.1.4.1.13742.6"

pytestmark = pytest.mark.system


class PduHost(MeterHost):
    """A PDU; an agent that does not run is a PDU that is off."""

    garbage = ("text", "", "-")

    def __init__(self, folder: Path, kind: str) -> None:
        self.agent = Agent(folder)
        self.agent.start()
        super().__init__(meter(kind, self.agent.url, password_file=secret_file(folder, COMMUNITY)))
        self.stack.callback(self.agent.stop)
        self._kind = kind
        self.blanks = (-1,) if kind == "apc" else ("unavailable",)
        self.watts, self.step_seconds = 4000.0, 180.0  # two steps of the coarsest count
        self.show()

    def show(self) -> None:
        if self._kind == "apc":
            self._set(round(self.watts / 10), round(self.shown_joules / 3.6e5))
        else:
            self._set(round(self.watts * 10), round(self.shown_joules / 3600))

    def show_fault(self, fault: object) -> None:
        self._set(fault, fault)

    def refuse(self) -> None:
        self.agent.objects({})

    def hang(self) -> None:
        self.agent.freeze()

    def repair(self) -> None:
        self.agent.thaw()
        self.show()

    def unplug(self) -> None:
        self.agent.stop()

    def replug(self) -> None:
        self.agent.start()
        self.reset()

    def written(self) -> Sequence[str]:
        return self.agent.writes()

    def _set(self, power: object, energy: object) -> None:
        if self._kind == "apc":
            self.agent.objects({f"{APC}.5.1": power, f"{APC}.9.1": energy})
            return
        flag = 2 if power == "unavailable" else 1
        power, energy = (0, 0) if power == "unavailable" else (power, energy)
        values = {f"{RARITAN}.5.2.3.1.4.1.1.5": power, f"{RARITAN}.5.2.3.1.4.1.1.8": energy}
        values |= {f"{RARITAN}.5.2.3.1.2.1.1.{sensor}": flag for sensor in (5, 8)}
        values |= {f"{RARITAN}.3.3.4.1.7.1.1.5": 1, f"{RARITAN}.3.3.4.1.7.1.1.8": 0}
        self.agent.objects(values)


@needs_snmpd
@pytest.mark.parametrize("kind", ["apc", "raritan"])
def test_pdus_conform(tmp_path: Path, kind: str) -> None:
    def build(folder: Path) -> PduHost:
        return PduHost(folder, kind)

    assert_conforms(discover, build, tmp_path, {"renumbering", "suspension", "suspended discovery"})
