"""A sensor that does not work is distinguished from one with a steady value."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.host.checks import Verdict
from agent.host.checks import hanging as hanging_sensors
from agent.host.observation import Observation, observe
from command import call
from moving_counters import advancing_counters, busy_processors
from probes import polling
from probes.errors import DeviceLostError, ReadError
from probes.model import TASK_COUNTER, Channel, Device, Kind, Source
from trees import hwmon_chip, powercap_zone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from probes.model import Rejection

CPU = Device("package-0", Kind.CPU)
ENERGY = Channel(CPU, "package", "energy_joules", method="counter")
POWER = Channel(CPU, "package", "power_watts")
TICKS = Channel(Device("host", Kind.HOST), "host", "utilization_ratio", method="ticks")
ESTIMATE = Channel(CPU, "package", "energy_joules", Source.ESTIMATED)
NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")


class Scripted:
    """A probe of one channel whose value is a function of the number of the read."""

    files_only = True

    def __init__(self, channel: Channel, value: Callable[[int], float]) -> None:
        self.name = f"scripted/{channel.metric}"
        self.channels = (channel,)
        self.rejections: list[Rejection] = []
        self._value = value
        self.reads = 0

    def read(self, at_ns: int) -> list[float]:
        assert at_ns > 0
        self.reads += 1
        return [self._value(self.reads)]

    def close(self) -> None:
        """Close nothing: no file is open."""


def refused(error: Exception) -> Callable[[int], float]:
    def read(_: int) -> float:
        raise error

    return read


@pytest.mark.parametrize(
    ("channel", "value", "changed", "is_still"),
    [
        (ENERGY, float, True, False),
        (ENERGY, lambda _: 5.0, False, True),
        (replace(ENERGY, method=TASK_COUNTER), lambda _: 5.0, False, False),  # its tasks rest
        (replace(ENERGY, refresh_seconds=60.0), lambda _: 5.0, False, False),  # a plug that counts by the minute
        (replace(ENERGY, resolution=3600.0), lambda _: 5.0, False, False),  # a plug that counts watt-hours
        (POWER, lambda _: 5.0, False, False),
        (ESTIMATE, lambda _: 5.0, False, False),
        (TICKS, lambda _: 0.0, True, False),  # an idle host: ticks still pass
        (TICKS, lambda _: math.nan, False, True),
        (ENERGY, lambda _: math.nan, None, False),  # a suspended device
        (ENERGY, refused(ReadError("busy")), None, False),
        (ENERGY, refused(DeviceLostError("gone")), None, False),
    ],
)
def test_only_counters_and_ticks_that_were_read_and_did_not_change_are_stuck(
    channel: Channel, value: Callable[[int], float], changed: bool | None, is_still: bool
) -> None:
    observed = observe([Scripted(channel, value)], 30.0 if changed else 0.5)
    assert observed.changed.get(channel.key) is changed
    assert observed.is_stuck(channel) is is_still


def test_a_change_ends_the_observation_and_a_hanging_sensor_does_not_prolong_it() -> None:
    released = threading.Event()
    hanging = Scripted(POWER, lambda _: float(released.wait(60)))
    quick = Scripted(ENERGY, float)
    observed = observe([hanging, quick], 3.0)
    released.set()
    assert quick.reads == 2
    assert observed.changed == {ENERGY.key: True}
    assert observed.hanging == (POWER,)
    (check,) = hanging_sensors(observed)
    assert (check.verdict, "package-0/package did not return within 3 s" in check.found) == (Verdict.FAIL, True)
    assert hanging_sensors(observe([quick], 0.1)) == []


def test_no_channel_is_stuck_without_an_observation() -> None:
    assert not Observation({}).is_stuck(ENERGY)


def test_devices_lists_unchanged_sensors_and_its_json_states_it_for_every_channel(tmp_path: Path) -> None:
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000)
    powercap_zone(sysfs, "intel-rapl:1", "package-1", 5_000_000)
    hwmon_chip(sysfs, 0, "platform/meter", {"name": "power_meter", "power1_average": 5_000_000})
    with advancing_counters(sysfs, {"intel-rapl:1": 60.0}), busy_processors(tmp_path / "proc", 0.5):
        line = ("devices", "--path.sysfs", sysfs, "--path.procfs", tmp_path / "proc", *NO_NVIDIA)
        text, document = (call(tmp_path, *line, *more).stdout for more in ((), ("--json",)))
    assert "unchanged for 2 s: package-0/package energy_joules\n  why:" in text
    assert "unchanged for 2 s: meter/wall power_watts\n  note:" in text
    found = {
        (each["device"], channel["metric"]): channel["changed"]
        for each in json.loads(document)["devices"]
        for channel in each["channels"]
    }
    assert found["package-0", "energy_joules"] is False
    assert found["package-1", "energy_joules"] is True
    assert found["meter", "power_watts"] is False
    assert found["host", "utilization_ratio"] is True


def test_measure_reports_a_stuck_counter_before_it_runs(tmp_path: Path) -> None:
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000)
    powercap_zone(sysfs, "intel-rapl:1", "package-1", 5_000_000)
    with advancing_counters(sysfs, {"intel-rapl:1": 60.0}):
        result = call(tmp_path, "measure", "--path.sysfs", sysfs, *NO_NVIDIA, "--", "sh", "-c", "echo runs >&2")
    warned = "warning: package-0/package: its energy counter did not change before the measurement"
    assert warned in result.stderr
    assert "warning: package-1" not in result.stderr


def counting(threads: set[str], number: int, files_only: bool) -> Scripted:
    """Return a probe of a counter that records the threads that read it."""

    def value(read: int) -> float:
        threads.add(f"{files_only} {threading.get_ident()}")
        return float(read // 3)

    channel = Channel(Device(f"chip-{number}", Kind.CPU), "package", "energy_joules", method="counter")
    probe = Scripted(channel, value)
    probe.files_only = files_only
    return probe


def test_all_files_are_observed_in_one_thread_and_each_driver_in_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "STUCK_SECONDS", 60.0)  # none hangs, however busy this host is
    threads: set[str] = set()
    probes = [counting(threads, number, number >= 2) for number in range(40)]
    observed = observe(probes, 60.0)
    assert sum(thread.startswith("True") for thread in threads) == 1
    assert sum(thread.startswith("False") for thread in threads) == 2
    assert all(observed.changed[probe.channels[0].key] for probe in probes)


def test_an_unchanged_sensor_is_read_at_growing_intervals() -> None:
    steady = Scripted(POWER, lambda _: 5.0)
    observe([steady], 3.0)
    assert 2 < steady.reads <= 20


def test_a_hanging_and_a_faulty_file_do_not_affect_the_other_files(caplog: pytest.LogCaptureFixture) -> None:
    released, threads = threading.Event(), set[str]()
    hanging = Scripted(POWER, lambda _: float(released.wait(60)))
    files = [counting(threads, number, files_only=True) for number in range(3)]
    observed = observe([hanging, Scripted(TICKS, refused(ValueError("no number"))), *files], 5.0)
    released.set()
    assert all(observed.changed[probe.channels[0].key] for probe in files)
    assert POWER.key not in observed.changed
    assert [record.getMessage() for record in caplog.records] == ["probe fault"]
