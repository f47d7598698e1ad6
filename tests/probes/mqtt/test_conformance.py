"""Every guarantee of a probe, on a meter behind a real mosquitto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from meter_hosts import MeterHost
from meters import meter
from mosquitto_broker import broker, needs_mosquitto
from probes.conformance import assert_conforms
from probes.mqtt import discover
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from probes.mqtt.subscription import Subscription

TOPIC = "zigbee2mqtt/desk"

pytestmark = pytest.mark.system


class BrokerHost(MeterHost):
    """A meter that publishes once a step; no broker is a meter that is off."""

    blanks = (None, "N/A", "", "-", [])
    garbage = (b"", b"\xff\xfe", b"[]", b"{", b"unavailable", b'{"a":' * 9_000)

    def __init__(self, folder: Path) -> None:
        self._running = broker(folder)
        self.broker = self._running.__enter__()
        super().__init__(meter("mqtt", self.broker.url, topic=TOPIC, preset="zigbee2mqtt"))
        self.stack.push(self._running.__exit__)
        self._sources: list[Subscription] = []

    def attach(self, probes: Sequence) -> None:
        self._sources = [probe._source for probe in probes]
        self.show()

    def show(self) -> None:
        self._publish(json.dumps({"power": self.watts, "energy": self.shown_joules / 3.6e6}).encode())

    def show_fault(self, fault: object) -> None:
        self._publish(fault if isinstance(fault, bytes) else json.dumps({"power": fault, "energy": fault}).encode())

    def refuse(self) -> None:
        self.broker.stop()
        self._await_connection(is_up=False)

    def hang(self) -> None:
        self.broker.freeze()

    def repair(self) -> None:
        if self.broker.is_running:
            self.broker.thaw()
        else:
            self.broker.start()
        self._await_connection(is_up=True)
        self.show()

    unplug = refuse

    def replug(self) -> None:
        self._sources = []
        self.repair()

    def written(self) -> Sequence[str]:
        return ()  # a subscription sets nothing

    def _publish(self, message: bytes) -> None:
        if not self._sources:
            return
        for source in self._sources:
            source._message = None
        self.broker.publish(TOPIC, message)
        for source in self._sources:
            await_true(lambda source=source: source._message is not None)

    def _await_connection(self, *, is_up: bool) -> None:
        for source in self._sources:
            await_true(lambda source=source: source._subscribed.is_set() == is_up, 60)


@needs_mosquitto
def test_meters_over_mqtt_conform(tmp_path: Path) -> None:
    assert_conforms(discover, BrokerHost, tmp_path, {"renumbering", "suspension", "suspended discovery"})
