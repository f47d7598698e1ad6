"""The time in idle states: the mean of a few cores, states by name, cores that go and come."""

import math
from pathlib import Path

import pytest

from probes.cpu.idle import IdleStates
from probes.cpu.probe import discover
from probes.cpu.utilization import MOST_SAMPLED_CORES, Package
from probes.model import METRICS, MetricType, Reason, Roots
from trees import write

STATES = ("POLL", "C1", "C1E", "C6")


def cpuidle(sysfs: Path, cpu: int, *microseconds: int, names=STATES) -> None:
    for number, (name, time) in enumerate(zip(names, microseconds, strict=True)):
        folder = sysfs / f"devices/system/cpu/cpu{cpu}/cpuidle/state{number}"
        write(folder / "name", name)
        write(folder / "time", time)


@pytest.fixture
def states(tmp_path):
    """Two packages of two cores each."""
    for cpu in range(4):
        cpuidle(tmp_path, cpu, 0, 1_000_000, 2_000_000, 4_000_000 * (cpu + 1))
    made = IdleStates(tmp_path, [Package(0, (0, 1), (0, 1)), Package(1, (2, 3), (2, 3))])
    yield made
    made.close()


def test_each_state_of_a_package_has_the_mean_of_its_cores(states):
    seconds = states.seconds()
    assert list(seconds)[:4] == [(0, f"core-{name}") for name in ("poll", "c1", "c1e", "c6")]
    assert seconds[0, "core-c6"] == 6.0
    assert seconds[1, "core-c6"] == 14.0
    assert seconds[0, "core-poll"] == 0.0


def test_time_grows_by_the_mean_of_what_each_core_added(states, tmp_path):
    states.seconds()
    cpuidle(tmp_path, 0, 0, 1_000_000, 2_000_000, 4_500_000)
    assert states.seconds()[0, "core-c6"] == 6.25
    cpuidle(tmp_path, 1, 0, 1_000_000, 2_000_000, 9_000_000)
    assert states.seconds()[0, "core-c6"] == 6.75


def test_time_of_a_core_that_steps_back_counts_as_zero(states, tmp_path):
    states.seconds()
    cpuidle(tmp_path, 0, 0, 0, 0, 0)
    assert states.seconds()[0, "core-c6"] == 6.0


def test_a_core_that_cannot_be_read_is_left_out_of_the_mean(states, tmp_path):
    states.seconds()
    cpuidle(tmp_path, 0, "x", "x", "x", "x")
    cpuidle(tmp_path, 1, 0, 1_000_000, 2_000_000, 9_000_000)
    assert states.seconds()[0, "core-c6"] == 7.0


def test_a_state_that_no_core_shows_is_left_out_of_the_reading(states, tmp_path):
    for cpu in (0, 1):
        cpuidle(tmp_path, cpu, "x", 1_000_000, 2_000_000, 4_000_000)
    assert (0, "core-poll") not in states.seconds()
    assert (1, "core-poll") in states.seconds()


def test_other_cores_continue_the_count(states, tmp_path):
    before = states.seconds()[0, "core-c6"]
    cpuidle(tmp_path, 4, 0, 0, 0, 900_000_000)
    states.follow([Package(0, (4,), (4,))])
    assert states.seconds() == {
        (0, f"core-{name.lower()}"): pytest.approx(before if name == "C6" else at)
        for name, at in zip(STATES, (0.0, 1.0, 2.0, 6.0), strict=True)
    }
    cpuidle(tmp_path, 4, 0, 0, 0, 901_000_000)
    assert states.seconds()[0, "core-c6"] == before + 1


def test_a_large_package_is_sampled(tmp_path):
    for cpu in range(128):
        cpuidle(tmp_path, cpu, 0, 0, 0, 0)
    made = IdleStates(tmp_path, [Package(0, tuple(range(128)), tuple(range(128)))])
    assert sum(map(len, made._files.values())) == MOST_SAMPLED_CORES * len(STATES)
    made.close()


def test_names_are_domains_without_blanks(tmp_path):
    cpuidle(tmp_path, 0, 1, 2, names=("haltpoll idle", ""))
    made = IdleStates(tmp_path, [Package(0, (0,), (0,))])
    assert [domain for _, domain in made.seconds()] == ["core-haltpoll-idle", "core-state1"]
    made.close()


def test_states_are_in_the_order_of_their_depth(tmp_path):
    names = [f"S{number}" for number in range(12)]
    cpuidle(tmp_path, 0, *range(12), names=names)
    made = IdleStates(tmp_path, [Package(0, (0,), (0,))])
    assert [domain for _, domain in made.seconds()] == [f"core-{name.lower()}" for name in names]
    made.close()


def test_the_processor_probe_reads_idle_time_as_a_counter_of_seconds(tmp_path):
    cpuidle(tmp_path / "sys", 0, 0, 1_000_000, 2_000_000, 8_000_000)
    stat = write(tmp_path / "proc/stat", "cpu0 1 0 0 1 0 0 0 0 0 0")
    assert stat.exists()
    (probe,) = discover(Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))).probes
    at = {channel.domain: number for number, channel in enumerate(probe.channels) if channel.metric == "idle_seconds"}
    assert list(at) == ["core-poll", "core-c1", "core-c1e", "core-c6"]
    assert METRICS["idle_seconds"].type is MetricType.COUNTER
    assert probe.read(1)[at["core-c6"]] == 8.0
    cpuidle(tmp_path / "sys", 0, 0, 1_000_000, 2_000_000, "x")
    assert math.isnan(probe.read(2)[at["core-c6"]])
    assert [(rejection.channel, rejection.reason) for rejection in probe.rejections] == [
        (at["core-c6"], Reason.READ_ERROR)
    ]
    probe.close()
