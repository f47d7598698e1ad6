"""What is judged together, many readings at a time, is what comes of judging them one by one."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.beat import BeatState, Reader, Reading
from agent.clock import Timebase
from answers import FAILED, GONE, Answers
from probes import hwmon, rapl
from probes.counter import Counter
from probes.errors import ReadError
from probes.model import Channel, Device, Kind
from store.records import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from probes.model import PartedProbe

MS = 1_000_000
MODULUS = 262_143_328_911
MICROWATTS = 2e9
STEP = st.integers(0, 400_000)  # microjoules in a millisecond, of which 2 J can be drawn
WRONG = st.sampled_from((None, -1, FAILED, GONE, MODULUS - 61, 0xFFFFFFFF))


class Both:
    """A RAPL and a hwmon probe of the same three files each: two counters, and a gauge where there are any."""

    def __init__(self, folder: Path) -> None:
        self.answers = Answers(folder, 0, 0, 0)

    def probes(self) -> tuple[PartedProbe, ...]:
        cpu, card = Device("package-0", Kind.CPU), Device("0000:03:00.0", Kind.GPU)
        zones = [Channel(cpu, domain, "energy_joules") for domain in ("package", "core", "dram")]
        counters = [Counter(MODULUS, MICROWATTS, 0.001, all_ones=MODULUS - 61) for _ in zones]
        metrics = ("energy_joules", "energy_joules", "power_watts")
        channels = [Channel(card, str(at), metric, limit=900.0) for at, metric in enumerate(metrics)]
        sensors = [
            hwmon.Sensor(channel, (file,), 1e6) for channel, file in zip(channels, self.answers.files, strict=True)
        ]
        return (
            rapl.RaplProbe(list(zip(zones, self.answers.files, counters, strict=True)), self.answers.pread),
            hwmon.HwmonProbe("hwmon/0", sensors, None, self.answers.pread),
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("files"))


def reader_of(probe: PartedProbe) -> Reader:
    layout = Layout(1, probe.name, probe.channels)
    return Reader(layout, probe, BeatState(probe.name, 0.001), Timebase(7), deque(), 10**6)


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@given(
    st.lists(st.tuples(st.lists(STEP, min_size=3, max_size=3), st.integers(0, 3 * MS)), min_size=1, max_size=60),
    st.dictionaries(st.integers(0, 59), st.tuples(st.integers(0, 2), WRONG), max_size=3),
    st.lists(st.integers(1, 30), min_size=1, max_size=10),
)
def test_readings_judged_together_make_the_same_ticks_as_one_by_one(both: Both, beats, wrong, batches) -> None:
    for alone, together in zip(both.probes(), both.probes(), strict=True):
        one, many = reader_of(alone), reader_of(together)
        values, now_ns, readings = [1_000, MODULUS - 3_000_000, 40_000_000], 0, []
        for number, (steps, elapsed_ns) in enumerate(beats):
            now_ns += elapsed_ns
            values = [(value + step) % MODULUS for value, step in zip(values, steps, strict=True)]
            shown: list[int | BaseException] = [*values]
            if number in wrong:
                position, what = wrong[number]
                shown[position] = what if what is not None else ReadError("slept")
            both.answers.now = shown
            readings.append((now_ns, alone.gather()))
        left = [tick for at, gathered in readings for tick in one.judge([Reading(one, at, at + 30_100, gathered)])]
        right, waiting = [], [Reading(many, at, at + 30_100, gathered) for at, gathered in readings]
        for size in batches * len(waiting):
            right += many.judge(waiting[:size]) if waiting else []
            waiting = waiting[size:]
        assert [tick[:3] for tick in right] == [tick[:3] for tick in left]
        assert [tick.rejections for tick in right] == [tick.rejections for tick in left]
        assert all(all(map(same, a.values, b.values)) for a, b in zip(left, right, strict=True))
        for field in ("ticks", "failed", "rejected", "up", "lost", "last_success_ns"):
            assert getattr(many.state, field) == getattr(one.state, field)


@pytest.mark.parametrize("number", [0, 1])
def test_readings_in_which_nothing_is_wrong_are_judged_together(both: Both, number: int) -> None:
    probe = both.probes()[number]
    reader = reader_of(probe)
    both.answers.now = [1_000, 2_000, 3_000_000]
    reader.judge([Reading(reader, 0, 1, probe.gather())])
    judged = []
    probe.judge = lambda _gathered, at_ns: judged.append(at_ns)  # type: ignore[method-assign]
    readings = []
    for beat in range(1, 21):
        both.answers.now = [1_000 + 50_000 * beat, 2_000, 3_000_000]
        readings.append(Reading(reader, beat * MS, beat * MS + 1, probe.gather()))
    ticks = reader.judge(readings)
    assert judged == []
    assert [tick.values[0] for tick in ticks] == [(1_000 + 50_000 * beat) / 1e6 for beat in range(1, 21)]
    assert reader.state.ticks == 21
    assert reader.state.latest is ticks[-1]


def test_a_fault_in_judging_together_costs_no_reading(both: Both) -> None:
    probe = both.probes()[0]
    reader = reader_of(probe)
    probe.judge_many = lambda _gathered, _at_ns: 1 / 0  # type: ignore[method-assign]
    both.answers.now = [1_000, 2_000, 3_000]
    ticks = reader.judge([Reading(reader, beat * MS, beat * MS + 1, probe.gather()) for beat in range(20)])
    assert len(ticks) == 20
    assert reader.state.failed == 0
