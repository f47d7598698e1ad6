"""Every guarantee of a probe, on plugs of each kind behind a real HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meter_hosts import MeterHost
from meters import meter
from plug_server import SHELLY_1, SHELLY_2, first_status, later_status, plug, tasmota_status
from probes.conformance import assert_conforms
from probes.plugs import discover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KINDS = {
    "first": ("shelly", "/status", {"/shelly": SHELLY_1}, first_status, 60.0),
    "later": ("shelly", "/rpc/Shelly.GetStatus", {"/shelly": SHELLY_2}, later_status, 3600.0),
    "tasmota": (
        "tasmota",
        "/cm?cmnd=Status%208",
        {"/cm?cmnd=Status%202": {"StatusFWR": {"Version": "13.4.0"}}},
        tasmota_status,
        3.6e6,
    ),
}

pytestmark = pytest.mark.system


class PlugHost(MeterHost):
    """One plug; a plug that is off answers nothing."""

    blanks = (None, "N/A", "", "-", float("nan"))
    garbage = (b"", b"\xff\xfe", b"[]", b"{", b"null", b"<html></html>", b'{"a":' * 9_000, b"x" * (2 << 20))

    def __init__(self, kind: str) -> None:
        name, self._path, answers, self._status, self._joules_of_unit = KINDS[kind]
        self.state = None
        self._plug = plug({**answers, self._path: {}})
        state = self._plug.__enter__()
        super().__init__(meter(name, state.url))
        self.state = state
        self.stack.push(self._plug.__exit__)
        self.show()

    def show(self) -> None:
        self.state.answers[self._path] = self._status(self.watts, self.shown_joules / self._joules_of_unit)

    def show_fault(self, fault: object) -> None:
        if isinstance(fault, bytes):
            self.state.body = fault
        else:
            self.state.answers[self._path] = self._status(fault, fault)

    def refuse(self) -> None:
        self.state.status = 500

    def hang(self) -> None:
        self.state.hanging = True

    def repair(self) -> None:
        self.state.hanging, self.state.status, self.state.body = False, 200, None
        self.show()

    def unplug(self) -> None:
        self.state.gone = True

    def replug(self) -> None:
        self.state.gone = False
        self.reset()

    def written(self) -> Sequence[str]:
        return [path for path, _ in self.state.requests if path not in self.state.answers]


@pytest.mark.parametrize("kind", KINDS)
def test_plugs_conform(tmp_path: Path, kind: str) -> None:
    def build(_: Path) -> PlugHost:
        return PlugHost(kind)

    assert_conforms(discover, build, tmp_path, {"renumbering", "suspension", "suspended discovery"})
