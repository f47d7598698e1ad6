from __future__ import annotations

import pytest

from agent.attribution.device_energy import DeviceMeter
from agent.energy.bounds import Energy
from agent.sampling.channel_energy import ChannelJoules
from probes.model import Channel, Device, Kind, Source

SECOND = 10**9
CPU, GPU = Device("package-0", Kind.CPU), Device("GPU-1", Kind.GPU)
PACKAGE = Channel(CPU, "package", "energy_joules", refresh_seconds=0.001, resolution=0.001)
CORE = Channel(CPU, "core", "energy_joules", refresh_seconds=0.001, contained_in=(("package-0", "package"),))
GAUGE = Channel(GPU, "board", "power_watts", method="average")
MODEL = Channel(CPU, "model", "power_watts", Source.ESTIMATED, "model", uncertainty=0.5)


def at(channel: Channel, seconds: float, joules: float, spread: float = 0.0) -> ChannelJoules:
    return ChannelJoules(channel, round(seconds * SECOND), joules, joules - spread, joules + spread)


def test_the_energy_of_a_device_is_that_of_its_outermost_sensors() -> None:
    meter = DeviceMeter()
    assert meter.advance([at(PACKAGE, 10, 100), at(CORE, 10, 60)]) == ()
    (found,) = meter.advance([at(PACKAGE, 15, 600), at(CORE, 15, 400)])
    assert (found.device, found.kind, found.source, found.seconds) == ("package-0", "cpu", "measured", 5.0)
    assert found.energy.joules == 500
    assert found.energy.lower == pytest.approx(500 - 2 * (0.1 + 0.001))
    assert found.energy.upper == pytest.approx(500 + 2 * (0.1 + 0.001))


def test_a_counter_without_a_stated_refresh_period_is_uncertain_by_a_second_at_each_edge() -> None:
    meter, channel = DeviceMeter(), Channel(CPU, "package", "energy_joules")
    meter.advance([at(channel, 0, 0)])
    (found,) = meter.advance([at(channel, 10, 100)])
    assert found.energy == Energy(100, 80, 120)


def test_a_gauge_is_bounded_by_the_readings_around_each_moment() -> None:
    meter = DeviceMeter()
    meter.advance([at(GAUGE, 0, 100, 10)])
    (found,) = meter.advance([at(GAUGE, 5, 400, 25)])
    assert found.energy == Energy(300, 285, 315)


def test_the_uncertainty_of_a_model_widens_the_bounds() -> None:
    meter = DeviceMeter()
    meter.advance([at(MODEL, 0, 0)])
    (found,) = meter.advance([at(MODEL, 5, 100)])
    assert (found.energy, found.source) == (Energy(100, 50, 150), "estimated")


def test_intervals_follow_one_another_without_a_gap_while_a_sensor_is_late() -> None:
    meter = DeviceMeter()
    meter.advance([at(PACKAGE, 0, 0), at(GAUGE, 0, 0)])
    (gpu,) = meter.advance([at(PACKAGE, 0, 0), at(GAUGE, 5, 50)])
    assert gpu.device == "GPU-1"
    package, gpu = sorted(meter.advance([at(PACKAGE, 10, 70), at(GAUGE, 10, 90)]), key=lambda each: each.kind)
    assert (package.seconds, package.energy.joules) == (10, 70)
    assert (gpu.seconds, gpu.energy.joules) == (5, 40)


def test_an_interval_in_which_the_sensors_of_a_device_change_is_lost() -> None:
    meter, dram = DeviceMeter(), Channel(CPU, "dram", "energy_joules")
    meter.advance([at(PACKAGE, 0, 0)])
    assert meter.advance([at(PACKAGE, 5, 10), at(dram, 5, 3)]) == ()
    (found,) = meter.advance([at(PACKAGE, 10, 30), at(dram, 10, 5)])
    assert found.energy.joules == 22


def test_a_host_without_sensors_has_no_energy() -> None:
    assert DeviceMeter().advance([]) == ()
