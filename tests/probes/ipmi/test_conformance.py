"""The guarantees of every family, on an ipmitool of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from probes.conformance import FakeHost, assert_conforms
from probes.ipmi import discover
from probes.model import Roots
from probes.settings import MeterConfig, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURE = (Path(__file__).parents[2] / "fixtures/ipmi/ipmitool_dcmi_power_reading.txt").read_text(encoding="utf-8")


class IpmiHost(FakeHost):
    """A server whose own BMC is read in-band."""

    step_seconds = 10.0

    def __init__(self, folder: Path) -> None:
        for name in ("dev", "commands"):
            (folder / name).mkdir()
        (folder / "dev/ipmi0").touch()
        self.program = folder / "commands/ipmitool"
        self.output = folder / "commands/output"
        self.watts, self.second = 344, 10
        self.repair()
        roots = Roots(dev=str(folder / "dev"), commands=str(folder / "commands"))
        super().__init__(roots, SensorSettings(meters=(MeterConfig(name="bmc", kind="ipmi", url="local"),)))

    def _script(self, command: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        self.program.chmod(0o755)

    def _print(self, text: str) -> None:
        self.output.write_text(text, encoding="utf-8", errors="surrogateescape")

    def truth(self) -> dict[tuple[str, str], float]:
        return {("meter-bmc/wall", "power_watts"): self.watts}

    def advance(self, seconds: float) -> None:
        self.second = (self.second + round(seconds)) % 60
        self.watts += 1
        self.repair()

    def blank(self) -> Iterator[str]:
        for text in (CAPTURE.replace("344", "0"), CAPTURE.replace("344", "65535"), CAPTURE.replace(" act", " deact")):
            self._print(text)
            yield text

    def garble(self) -> Iterator[str]:
        for text in ("", "\udcff\udcfe", CAPTURE[:60], CAPTURE.replace("Watts", "volts"), "Invalid command (c1)"):
            self._print(text)
            yield text

    def refuse(self) -> None:
        self._script("echo 'DCMI request failed because: Node busy (c0)' >&2; exit 1")

    def hang(self) -> None:
        self._script("sleep 60")

    def repair(self) -> None:
        self._print(CAPTURE.replace("344", str(self.watts)).replace("18:21:22", f"18:21:{self.second:02}"))
        self._script(f"cat {self.output}")

    def unplug(self) -> None:
        (self.program.parent.parent / "dev/ipmi0").unlink()
        self.refuse()

    def replug(self) -> None:
        (self.program.parent.parent / "dev/ipmi0").touch()
        self.repair()


@pytest.mark.system
def test_ipmi_conforms(tmp_path):
    left_out = {"renumbering", "suspension", "suspended discovery"}
    assert_conforms(discover, IpmiHost, tmp_path, not_exercised=left_out)
