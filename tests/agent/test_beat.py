"""What is judged together, many readings at a time, is what comes of judging them one by one."""

from __future__ import annotations

import math
import random
from collections import Counter as Tally
from collections import deque
from typing import TYPE_CHECKING

import pytest

from agent.beat import BeatState, Failed, Reader, Reading
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
MODULUS = 40_000_000
"""Small, so that counters wrap every few hundred milliseconds; at the most they draw a wrap is known within 20."""
MOST = 2e9
LIMIT_WATTS = 900.0
SENTINEL = 0xFFFFFFFF
FILES = 5


class Both:
    """A RAPL and a hwmon probe of the same files: of hwmon three are counters, two are gauges."""

    def __init__(self, folder: Path) -> None:
        self.answers = Answers(folder, *[0] * FILES)

    def probes(self) -> tuple[PartedProbe, ...]:
        cpu, card = Device("package-0", Kind.CPU), Device("0000:03:00.0", Kind.GPU)
        zones = [Channel(cpu, f"zone-{number}", "energy_joules") for number in range(FILES)]
        counters = [Counter(MODULUS, MOST, 0.001, all_ones=MODULUS - 61) for _ in zones]
        metrics = ("energy_joules",) * 3 + ("power_watts",) * 2
        limits = [LIMIT_WATTS if at < FILES - 1 else 0.0 for at in range(FILES)]
        channels = [
            Channel(card, str(at), metric, limit=limit)
            for at, (metric, limit) in enumerate(zip(metrics, limits, strict=True))
        ]
        files = self.answers.files
        sensors = [hwmon.Sensor(channel, (file,), 1e6) for channel, file in zip(channels, files, strict=True)]
        return (
            rapl.RaplProbe(list(zip(zones, files, counters, strict=True)), self.answers.pread),
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


def wrong(chance: random.Random, value: int) -> object:
    """Return an answer that is refused, or nearly is."""
    jump = value + 900_000_000
    return chance.choice((jump, jump, 2_000_000_000, 899_000_000, SENTINEL, MODULUS - 61, value - 10, -1, FAILED, GONE))


def readings_of(both: Both, probe: PartedProbe, chance: random.Random, often: float) -> list[tuple[int, object]]:
    """Return what a probe gathers in some hundred beats, of which this share has something odd about it."""
    values = [chance.randrange(MODULUS - 1_000_000) for _ in range(FILES)]
    passes = probe.name != "rapl" and chance.random() < 0.3
    if passes:
        values[0] = SENTINEL - chance.randrange(10_000_000)  # on its way it may show what is refused
    at_ns, found = 0, []
    for _ in range(chance.randrange(60, 300)):
        odd, late = chance.random() < often, chance.random() < often / 3
        at_ns += chance.choice((0, 1, 1000, 10**9, 10**12, -1000)) if late else MS
        steps = [chance.choice((0, 0, 61, 30_000, 400_000)) for _ in values]
        values = [
            (value + step) % (2 * SENTINEL if passes else MODULUS) for value, step in zip(values, steps, strict=True)
        ]
        both.answers.now = [*values]
        if passes and 0 < SENTINEL - values[0] < 400_000:
            both.answers.now[0] = SENTINEL
        if odd:
            place = chance.randrange(FILES)
            both.answers.now[place] = wrong(chance, values[place])
        gathered = probe.gather()
        if odd and chance.random() < 0.1:
            slept = Failed(ReadError("the host slept"))
            gathered = slept if probe.name == "rapl" else chance.choice((slept, None))  # None: the device sleeps
        found.append((at_ns, gathered))
    return found


@pytest.mark.parametrize("often", [0.0, 0.003, 0.02, 0.1])
def test_readings_judged_together_make_the_same_ticks_as_one_by_one(both: Both, often: float) -> None:
    chance, together = random.Random(20_261_125), Tally()
    for _ in range(60):
        for alone, joint in zip(both.probes(), both.probes(), strict=True):
            one, many = reader_of(alone), reader_of(joint)
            judge_many = joint.judge_many

            def noted(gathered, at_ns, judge_many=judge_many):
                found = judge_many(gathered, at_ns)
                together["taken" if found else "left"] += len(gathered)
                return found

            joint.judge_many = noted  # type: ignore[method-assign]
            readings = readings_of(both, alone, chance, often)
            left = [tick for at, gathered in readings for tick in one.judge([Reading(one, at, at + 30_100, gathered)])]
            right, waiting = [], [Reading(many, at, at + 30_100, gathered) for at, gathered in readings]
            while waiting:
                size = chance.choice((1, 3, 8, 20, 64, 100))
                right += many.judge(waiting[:size])
                waiting = waiting[size:]
            assert [tick[:3] for tick in right] == [tick[:3] for tick in left]
            assert [tick.rejections for tick in right] == [tick.rejections for tick in left]
            assert all(all(map(same, a.values, b.values)) for a, b in zip(left, right, strict=True))
            for field in ("ticks", "failed", "rejected", "up", "lost", "last_success_ns"):
                assert getattr(many.state, field) == getattr(one.state, field)
    assert together["taken"] > 200
    assert often > 0.01 or together["taken"] > together["left"]


@pytest.mark.parametrize("number", [0, 1])
def test_readings_in_which_nothing_is_wrong_are_judged_together(both: Both, number: int) -> None:
    probe = both.probes()[number]
    reader = reader_of(probe)
    both.answers.now = [1_000, 2_000, 3_000, 4_000, 5_000]
    reader.judge([Reading(reader, 0, 1, probe.gather())])
    judged = []
    probe.judge = lambda _gathered, at_ns: judged.append(at_ns)  # type: ignore[method-assign]
    readings = []
    for beat in range(1, 21):
        both.answers.now = [1_000 + 50_000 * beat, 2_000, 3_000, 4_000, 5_000]
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
    both.answers.now = [1_000, 2_000, 3_000, 4_000, 5_000]
    ticks = reader.judge([Reading(reader, beat * MS, beat * MS + 1, probe.gather()) for beat in range(20)])
    assert len(ticks) == 20
    assert reader.state.failed == 0


def test_an_interrupt_is_no_fault_of_the_probe_whose_reading_is_judged(both: Both) -> None:
    probe = both.probes()[0]
    reader = reader_of(probe)
    reading = Reading(reader, 0, 1, probe.gather())

    def interrupted(_gathered: object, _at_ns: int) -> list[float]:
        raise KeyboardInterrupt

    probe.judge = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        reader.judge([reading])
    assert reader.state.failed == 0


def test_what_failed_is_kept_without_the_frames_it_failed_in(both: Both) -> None:
    both.answers.now = [FAILED, 2_000, "no number", 4_000, 5_000]
    _, errors = both.probes()[0].gather()
    assert sorted(errors) == [0, 2]
    for error in errors.values():
        assert error.__traceback__ is error.__cause__.__traceback__ is None
