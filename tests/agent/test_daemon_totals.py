from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from agent.totals import Ongoing
from probes.errors import ReadError
from probes.model import Channel, Device, Kind, Reason, Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.totals import Totals

CPU = Device("package-0", Kind.CPU)
CHANNELS = (Channel(CPU, "package", "energy_joules"), Channel(CPU, "package", "power_watts"))


class FakeProbe:
    channels = CHANNELS
    files_only = True

    def __init__(self, *reads: Sequence[float] | Exception, name: str = "rapl") -> None:
        self.name = name
        self.rejections: list[Rejection] = []
        self.closed = False
        self._reads = list(reads)

    def read(self, _at_ns: int) -> Sequence[float]:
        answer = self._reads.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


def energies(totals: Totals, *joules: float, name: str = "rapl") -> list[float]:
    """Read a probe made anew so often, and return what it shows of its counter."""
    probe = Ongoing(FakeProbe(*[(value, 50.0) for value in joules], name=name), totals)
    return [probe.read(0)[0] for _ in joules]


def test_the_first_time_a_counter_shows_its_own_value() -> None:
    assert energies({}, 100.0, 110.0) == [100.0, 110.0]


def test_a_counter_that_went_on_meanwhile_shows_its_own_value() -> None:
    totals: Totals = {}
    energies(totals, 100.0)
    assert energies(totals, 130.0, 131.0) == [130.0, 131.0]


def test_a_counter_that_is_lower_than_it_was_goes_on_from_there_as_often_as_it_is_made_anew() -> None:
    totals: Totals = {}
    energies(totals, 1000.25)
    assert energies(totals, 0.25, 2.25) == [1000.25, 1002.25]
    assert energies(totals, 0.0, 1.0) == [1002.25, 1003.25]


def test_each_probe_has_counters_of_its_own() -> None:
    totals: Totals = {}
    energies(totals, 1000.0)
    assert energies(totals, 5.0, name="other") == [5.0]


def test_a_counter_that_gives_nothing_at_first_goes_on_when_it_does() -> None:
    totals: Totals = {}
    energies(totals, 1000.0)
    shown = energies(totals, math.nan, 7.0, math.nan, 8.0)
    assert shown[1::2] == [1000.0, 1001.0]
    assert all(math.isnan(value) for value in shown[::2])


def test_a_gauge_is_left_alone() -> None:
    totals: Totals = {}
    Ongoing(FakeProbe((10.0, 90.0)), totals).read(0)
    assert Ongoing(FakeProbe((1.0, 20.0)), totals).read(0) == [10.0, 20.0]


def test_all_else_is_the_probe_s_own() -> None:
    probe = FakeProbe(ReadError("no answer"))
    ongoing = Ongoing(probe, {})
    with pytest.raises(ReadError, match="no answer"):
        ongoing.read(0)
    probe.rejections.append(Rejection(0, Reason.READ_ERROR))
    assert ongoing.rejections is probe.rejections
    assert (ongoing.name, ongoing.channels) == ("rapl", CHANNELS)
    ongoing.close()
    assert probe.closed
