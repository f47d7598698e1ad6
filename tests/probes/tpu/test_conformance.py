import os

import grpc
import pytest

from fake_tpu import BUSY, TOTAL, USED, FakeTpu, reply
from probes import tpu
from probes.conformance import FakeHost, assert_conforms
from probes.model import Roots
from probes.tpu.discovery import PORTS_VARIABLE
from trees import write

CHIPS = ("0000:00:04.0", "0000:00:05.0")
VALUES = {BUSY: {0: 12.5, 1: 75.0}, USED: {0: 5 << 30, 1: 6 << 30}, TOTAL: {0: 16 << 30, 1: 16 << 30}}
ONES = 0xFFFFFFFFFFFFFFFF


class RuntimeHost(FakeHost):
    """Two chips and a runtime that uses both."""

    step_seconds = 2.0
    own_threads = ("ThreadPoolExecutor",)  # of the server

    def __init__(self, folder):
        self._bus = folder / "sys/bus/pci/devices"
        for chip in CHIPS:
            write(self._bus / chip / "vendor", "0x1ae0")
            write(self._bus / chip / "device", "0x0063")
        self._server = FakeTpu()
        os.environ[PORTS_VARIABLE] = str(self._server.port)
        super().__init__(Roots(sysfs=str(folder / "sys")))
        self.repair()

    def truth(self):
        found = {}
        for number, chip in enumerate(CHIPS):
            found[f"{chip}/card", "utilization_ratio"] = VALUES[BUSY][number] / 100
            found[f"{chip}/memory", "memory_used_bytes"] = float(VALUES[USED][number])
            found[f"{chip}/memory", "memory_total_bytes"] = float(VALUES[TOTAL][number])
        return found

    def advance(self, seconds):
        """Let the time pass: every value is a gauge."""

    def blank(self):
        self._server.values = {
            BUSY: {0: float("nan"), 1: -1},
            **{metric: {0: ONES, 1: ONES} for metric in (USED, TOTAL)},
        }
        yield "all bits set"

    def garble(self):
        for content in (b"", b"\xff" * 12, b"\x0a\x7f", reply(BUSY, {9: 1.0}), b"{}"):
            self._server.replies = dict.fromkeys(VALUES, content)
            yield repr(content[:12])

    def refuse(self):
        self._server.status = grpc.StatusCode.INTERNAL

    def hang(self):
        self._server.seconds = 60.0

    def repair(self):
        self._server.values, self._server.replies = VALUES, {}
        self._server.status, self._server.seconds = None, 0.0

    def unplug(self):
        self.refuse()
        self._bus.rename(self._bus.with_name("gone"))

    def replug(self):
        self._bus.with_name("gone").rename(self._bus)
        self.repair()

    def close(self):
        self._server.seconds = 0.0
        self._server.stop()


@pytest.mark.system
def test_tpu_conforms(tmp_path, monkeypatch):
    monkeypatch.setenv(PORTS_VARIABLE, "")
    left_out = {"suspension", "suspended discovery", "renumbering"}
    assert_conforms(tpu.discover, RuntimeHost, tmp_path, not_exercised=left_out)
