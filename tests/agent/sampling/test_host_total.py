"""The host's energy and power over first choices, restarts, dead sensors and failing stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.counted_sensors import Boundary
from agent.energy.wall_factor import AppliedFactor, WallFactor
from agent.runtime.clock import Timebase
from agent.sampling.counter_accumulator import CounterAccumulator
from agent.sampling.host_total import FIRST_CHOICE_SAMPLES, HostTotal
from host_totals import CPU, HOST, PACKAGE, SECOND, Service, constant
from probes.model import Channel, Device, Kind, Source
from store.records import Layout, Tick

GPU = Device("GPU-1", Kind.GPU)
CORE = replace(PACKAGE, domain="core", contained_in=(("package-0", "package"),))
DRAM = Channel(CPU, "dram", "energy_joules", refresh_seconds=0.001, max_plausible=500.0)
BOARD = Channel(GPU, "board", "power_watts", refresh_seconds=0.1)
MODEL = Channel(CPU, "package", "power_watts", Source.ESTIMATED, method="model", uncertainty=0.6)


def test_counters_that_contain_one_another_are_counted_once_and_gauges_are_integrated() -> None:
    service = Service(PACKAGE, CORE, DRAM, BOARD)
    service.run(60, constant(100, 60, 10, 300, gauges=[3]))
    reading = service.host.reading
    assert reading is not None
    assert reading.boundary is Boundary.COMPONENTS
    assert reading.watts == pytest.approx(410)
    assert reading.joules == pytest.approx(410 * 59)
    assert {channel.domain for channel in reading.counted} == {"package", "dram", "board"}
    assert reading.source == "measured"


def test_there_is_no_total_before_the_channels_are_chosen() -> None:
    service = Service(PACKAGE)
    service.run(FIRST_CHOICE_SAMPLES, constant(100))
    assert service.host.reading is None
    service.run(1, constant(100))
    assert service.host.reading is not None
    assert service.host.reading.joules == pytest.approx(100 * FIRST_CHOICE_SAMPLES)


def test_a_zone_that_never_changes_is_not_counted_and_is_named_as_uncovered() -> None:
    service = Service(PACKAGE, DRAM)
    service.run(20, constant(100, 0))
    reading = service.host.reading
    assert reading is not None
    assert [channel.domain for channel in reading.counted] == ["package"]
    assert any("dram" in part for part in reading.uncovered)


def test_a_restart_adds_the_energy_that_the_hardware_counted_meanwhile() -> None:
    service = Service(PACKAGE)
    service.run(30, constant(100))
    service.now += 100
    service.restart()
    service.run(30, constant(100))
    assert service.host.reading is not None
    assert service.host.reading.joules == pytest.approx(100 * 159)


def test_a_restart_adds_nothing_for_a_gauge() -> None:
    service = Service(BOARD)
    service.run(30, constant(300, gauges=[0]))
    service.now += 100
    service.restart()
    service.run(30, constant(300, gauges=[0]))
    assert service.host.reading is not None
    assert service.host.reading.joules == pytest.approx(300 * (29 + 29))


def test_a_gauge_adds_nothing_for_a_gap_longer_than_a_stale_reading() -> None:
    service = Service(BOARD)
    service.run(30, constant(300, gauges=[0]))
    service.now += 60
    service.run(10, constant(300, gauges=[0]))
    assert service.host.reading is not None
    assert service.host.reading.joules == pytest.approx(300 * (29 + 9))


def test_there_is_no_total_while_a_counted_sensor_has_no_value() -> None:
    service = Service(PACKAGE, DRAM)
    both = constant(100, 10)
    service.run(20, both)
    service.run(11, lambda now: [both(now)[0], float("nan")])
    assert service.host.reading is None
    service.run(1, both)
    assert service.host.reading is not None
    assert service.host.reading.joules == pytest.approx(110 * 31)


def test_a_sensor_that_starts_to_change_joins_the_total_without_its_past() -> None:
    service = Service(PACKAGE, BOARD)
    service.run(30, constant(100, 0, gauges=[1]))
    assert service.host.reading is not None
    assert [channel.domain for channel in service.host.reading.counted] == ["package"]
    before = service.host.reading.joules
    service.run(60, constant(100, 300, gauges=[1]))
    assert service.host.reading is not None
    assert service.host.reading.boundary is Boundary.COMPONENTS
    # The second choice is at 73 s: 17 s of both follow, after the package's last second of the total before.
    assert service.host.reading.joules == pytest.approx(17 * 400 + 100)
    stored = [total.total for total in service.store.values() if total.device == HOST.id]
    assert before < sum(stored) - service.host.reading.joules <= 72 * 100


def test_each_boundary_has_a_total_of_its_own() -> None:
    service = Service(PACKAGE, BOARD)
    service.run(30, constant(100, 0, gauges=[1]))
    service.run(60, constant(100, 300, gauges=[1]))
    boundaries = {total.domain for total in service.store.values() if total.device == HOST.id}
    assert boundaries == {"package", "components"}


def test_an_estimate_is_named_as_one() -> None:
    service = Service(MODEL)
    service.run(20, constant(50, gauges=[0]))
    assert service.host.reading is not None
    assert service.host.reading.source == "estimated"
    assert service.host.reading.boundary is Boundary.WALL


def test_there_is_no_total_on_a_host_without_power_sensors() -> None:
    service = Service(Channel(CPU, "package", "temperature_celsius"))
    service.run(20, constant(50, gauges=[0]))
    assert service.host.reading is None
    assert not [total for total in service.store.values() if total.device == HOST.id]


def test_a_total_is_exported_while_the_store_fails_and_continues_after_a_reload() -> None:
    service = Service(PACKAGE)
    service.run(20, constant(100))
    service.fails = True
    service.run(20, constant(100))
    assert service.host.reading is not None
    shown = service.host.reading.joules
    assert shown > 100 * 30
    service.restart()
    service.fails = False
    service.run(20, constant(100))
    assert service.host.reading is not None
    assert service.host.reading.joules == pytest.approx(100 * 59)


def test_repeated_ticks_change_nothing() -> None:
    service = Service(BOARD)
    service.run(20, constant(300, gauges=[0]))
    assert service.host.reading is not None
    before = service.host.reading.joules
    service.now -= 1
    service.run(1, constant(300, gauges=[0]))
    assert service.host.reading.joules == before


def test_two_probes_of_one_channel_count_once() -> None:
    layouts = [Layout(1, "rapl", (PACKAGE,)), Layout(2, "other", (PACKAGE,))]
    totals = CounterAccumulator(HOST, layouts, {}, Timebase(0, 0))
    host = HostTotal(HOST, layouts, [1.0, 1.0], {})
    for now in range(1, 31):
        ticks = [Tick(layout, now * SECOND, now * SECOND, (100.0 * now,)) for layout in (1, 2)]
        host.store_ticks(ticks, totals, lambda _ticks, _totals: None)
    assert host.reading is not None
    assert host.reading.watts == pytest.approx(100)
    assert host.reading.joules == pytest.approx(100 * 29)


def test_the_power_of_a_slow_counter_is_its_mean_over_two_refresh_periods() -> None:
    slow = replace(PACKAGE, refresh_seconds=5.0)
    service = Service(slow)
    service.run(60, lambda now: [500.0 * (now // 5)])
    assert service.host.reading is not None
    assert service.host.reading.watts == pytest.approx(100)


def test_the_power_of_a_counter_and_the_energy_of_a_gauge_are_given_by_channel() -> None:
    service = Service(PACKAGE, BOARD)
    assert service.host.watts_and_joules(PACKAGE.key) == (None, None)
    service.run(5, constant(100, 300, gauges=[1]))
    assert service.host.watts_and_joules(PACKAGE.key) == (pytest.approx(100), pytest.approx(1500))
    assert service.host.watts_and_joules(BOARD.key) == (300, pytest.approx(300 * 4))
    assert service.host.watts_and_joules(DRAM.key) == (None, None)


def test_a_wall_factor_models_the_wall_beside_the_total_while_its_sensors_are_counted() -> None:
    factor = WallFactor(
        1.1, 40.0, 12, 60.0, 0.0, 200.0, 9000.0, 2.0, {"total": (90.0, 300.0), "processors": (90.0, 300.0)}
    )
    service = Service(PACKAGE, DRAM)
    service.host.wall_factor = AppliedFactor(factor, frozenset({"package-0/package", "package-0/dram"}))
    service.run(30, constant(100, 10))
    reading = service.host.reading
    assert reading is not None
    assert reading.watts == pytest.approx(110)
    assert reading.modeled_wall is not None
    assert reading.modeled_wall.joules == pytest.approx(40 + 1.1 * 110)
    assert reading.modeled_wall.upper - reading.modeled_wall.lower == pytest.approx(4)
    service.host.wall_factor = AppliedFactor(factor, frozenset({"package-0/package"}))
    service.run(5, constant(100, 10))
    assert service.host.reading is not None
    assert service.host.reading.modeled_wall is None


def test_no_wall_is_modeled_if_a_meter_measures_it() -> None:
    factor = WallFactor(1.1, 40.0, 12, 60.0, 0.0, 200.0, 9000.0, 2.0, {"total": (90.0, 300.0), "host": (90.0, 300.0)})
    service = Service(
        Channel(Device("meter-desk", Kind.HOST), "wall", "energy_joules", refresh_seconds=0.001, max_plausible=9e3)
    )
    service.host.wall_factor = AppliedFactor(factor, frozenset({"meter-desk/wall"}))
    service.run(30, constant(200))
    assert service.host.reading is not None
    assert service.host.reading.boundary is Boundary.WALL
    assert service.host.reading.modeled_wall is None
