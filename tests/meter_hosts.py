"""Fake hosts with one meter each, whose power and count the conformance checks move."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from probes.conformance import FakeHost, Key
from probes.model import Roots
from probes.settings import MeterConfig, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POWER: Key = ("meter-desk/wall", "power_watts")
ENERGY: Key = ("meter-desk/wall", "energy_joules")


class MeterHost(FakeHost):
    """A host with one meter. A subclass lets the device show `watts` and `shown_joules`, or a fault.

    `show_fault(fault)` receives the blanks and the garbage of the subclass.
    """

    step_seconds = 10.0
    blanks: tuple[object, ...] = ()
    garbage: tuple[object, ...] = ()

    def __init__(self, meter: MeterConfig) -> None:
        super().__init__(Roots(), SensorSettings(meters=(meter,)))
        self.watts = 40.0
        self._joules = 3.6e9
        self._reset_at = 0.0
        self.stack = ExitStack()

    @property
    def shown_joules(self) -> float:
        return self._joules - self._reset_at

    def show(self) -> None:
        raise NotImplementedError

    def show_fault(self, fault: object) -> None:
        raise NotImplementedError

    def truth(self) -> Mapping[Key, float]:
        return {POWER: self.watts, ENERGY: self._joules}

    def advance(self, seconds: float) -> None:
        self._joules += self.watts * seconds
        self.show()

    def reset(self) -> None:
        self._reset_at = self._joules
        self.show()

    def blank(self) -> Iterator[str]:
        for fault in self.blanks:
            self.show_fault(fault)
            yield repr(fault)

    def garble(self) -> Iterator[str]:
        for fault in self.garbage:
            self.show_fault(fault)
            yield repr(fault)[:40]

    def close(self) -> None:
        self.stack.close()
