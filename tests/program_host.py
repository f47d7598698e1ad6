"""A host of cards whose vendor's program prints their readings, for the conformance of its probe."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from probes.conformance import FakeHost
from probes.model import Roots
from program_cards import cards, program
from trees import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from probes.settings import SensorSettings

GARBAGE = (
    b"",
    b"\n",
    b"no device found\n",
    b"\xff\xfe\x00",
    b"[]",
    b"{}",
    b'{"devices": 5}',
    b'[{"power": {}}]',
    b"QID\n:\n",
)
"""Outputs without any value."""


class ProgramHost(FakeHost):
    """Cards of one vendor and the program that prints `texts["sound"]`; `texts["blank"]` has no value.

    `texts["renumbered"]` has the same cards in another order. `values` is what the sound text shows.
    """

    step_seconds = 6.0

    def __init__(
        self,
        folder: Path,
        name: str,
        vendor: int,
        addresses: Sequence[str],
        texts: Mapping[str, str],
        values: Mapping[tuple[str, str], float],
        settings: SensorSettings | None = None,
    ) -> None:
        self._folder, self._name, self._texts, self._values = folder, name, texts, values
        self._sysfs = folder / "sys"
        cards(self._sysfs, vendor, *addresses)
        self._devices = [self._sysfs / "bus/pci/devices" / address for address in addresses]
        roots = Roots(
            sysfs=str(self._sysfs),
            procfs=str(folder / "proc"),
            dev=str(folder / "dev"),
            commands=str(folder / "commands"),
        )
        super().__init__(roots, *([settings] if settings else []))
        self._runs = folder / "runs"
        self._print(texts["sound"].encode())

    def truth(self):
        return dict(self._values)

    def advance(self, seconds: float) -> None:
        """Nothing here counts."""

    def blank(self):
        self._print(self._texts["blank"].encode())
        yield "no value"

    def garble(self):
        sound = self._texts["sound"].encode()
        for output in (*GARBAGE, sound[: len(sound) // 20], sound.replace(b"\n", b" ")[:40]):
            self._print(output)
            yield repr(output[:20])

    def refuse(self):
        self._print(b"the driver does not answer\n", code=1)

    def hang(self):
        self._print(b"", seconds=60)

    def repair(self):
        self._print(self._texts["sound"].encode())

    def unplug(self):
        self._print(b"no device found\n")
        shutil.move(self._sysfs, self._folder / "aside")

    def replug(self):
        shutil.move(self._folder / "aside", self._sysfs)
        self.repair()

    def renumber(self):
        self._print(self._texts["renumbered"].encode())

    def suspend(self):
        for device in self._devices:
            write(device / "power/runtime_status", "suspended")
        script = self._folder / "commands" / self._name
        script.write_text(f"#!/bin/sh\necho run >> {self._runs}\n")

    def touched(self):
        return self._runs.read_text().splitlines() if self._runs.exists() else []

    def written(self):
        return []

    def _print(self, output: bytes, *, seconds: float = 0, code: int = 0) -> None:
        program(self._folder, self._name, output, seconds=seconds, code=code)
