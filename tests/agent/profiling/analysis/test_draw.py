"""The power of a machine under its real use, from consecutive windows."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev

import pytest

from agent.cost.tariff import Tariff
from agent.energy.measurement import measure
from agent.energy.student import t_quantile
from agent.host.records import GpuLoad, HostLoad
from agent.profiling.analysis.draw import derive_draw
from simulated import SECOND
from synthetic_run import GPU, PACKAGE, power_steps, read

LOAD = HostLoad(seconds=10.0, processors=4, own=1.0, others=4.0, stolen=2.0, open_seconds=0.04, throttles=None)
EDGES = ((5, 15), (15, 25), (25, 35))
POWER = power_steps((100.0, 15), (110.0, 10), (120.0, 30))


def measured(*series, edges=EDGES):
    return [measure(series, first * SECOND, last * SECOND) for first, last in edges]


def test_the_mean_power_has_the_interval_of_the_windows_and_the_bounds_of_the_sensors():
    windows = measured(read(PACKAGE, POWER, 40))
    draw = derive_draw(windows, [None] * 3)
    assert (draw.windows, draw.duration_seconds, draw.start_ns) == (3, 30.0, 5 * SECOND)
    assert draw.window_watts == pytest.approx((100, 110, 120), rel=0.01)
    assert draw.watts.mean == pytest.approx(110, rel=0.01)
    half = t_quantile(2) * stdev(draw.window_watts) / 3**0.5
    assert draw.watts.upper - draw.watts.mean >= half
    assert draw.watts.mean - draw.watts.lower >= half
    assert draw.watts.upper - draw.watts.lower == pytest.approx(2 * half, rel=0.05)
    [sensor] = draw.sensors
    assert (sensor.device, sensor.domain, sensor.in_total, sensor.reasons) == ("package-0", "package", True, ())
    assert sensor.watts == draw.watts
    assert (draw.cpu, draw.gpus, draw.cost_per_hour) == (None, (), None)


def test_a_window_without_an_energy_leaves_no_mean_and_a_reason():
    draw = derive_draw(measured(read(PACKAGE, POWER, 30)), [None] * 3)
    assert draw.watts is None
    assert draw.window_watts[2] is None
    assert draw.window_watts[0] == pytest.approx(100, rel=0.01)
    [sensor] = draw.sensors
    assert sensor.watts is None
    assert sensor.reasons


def test_no_sensor_is_no_power():
    draw = derive_draw([measure((), 0, SECOND)], [None])
    assert (draw.watts, draw.sensors, draw.window_watts) == (None, (), (None,))


def test_the_use_of_cpus_and_gpus_is_that_of_all_windows():
    gpus = (GpuLoad("GPU-a", 0.0, 0.5, 1), GpuLoad("GPU-b", None, None, None))
    loads = [replace(LOAD, gpus=gpus), None, replace(LOAD, others=12.0, gpus=(GpuLoad("GPU-a", 0.1, 0.6, 1),))]
    draw = derive_draw(measured(read(PACKAGE, POWER, 40), read(GPU, POWER, 40)), loads)
    cpu = draw.cpu
    assert (cpu.cpus, cpu.self_cpus, cpu.other_cpus, cpu.max_other_cpus) == (4, 0.1, 0.8, 1.2)
    assert cpu.steal_share == pytest.approx(0.05)
    [gpu] = draw.gpus
    assert (gpu.device, gpu.busy_share) == ("GPU-a", pytest.approx(0.6))


def test_an_hour_costs_its_energy_with_overhead_and_demand_charge_and_the_machine():
    windows = measured(read(PACKAGE, POWER, 40))
    tariff = Tariff().with_values({"price_per_kwh": 0.5, "pue": 1.2, "currency": "EUR", "price_per_hour": None})
    draw = derive_draw(windows, [LOAD] * 3, tariff)
    assert draw.cost_per_hour.currency == "EUR"
    assert draw.cost_per_hour.energy.mean == pytest.approx(draw.watts.mean * 0.5 * 1.2 / 1000)
    assert draw.cost_per_hour.energy.upper == pytest.approx(draw.watts.upper * 0.5 * 1.2 / 1000)
    assert draw.cost_per_hour.machine is None
    charged = derive_draw(windows, [LOAD] * 3, tariff.with_values({"demand_charge_per_kw_month": 730.0}))
    highest = max(draw.window_watts) * 1.2 / 1000
    assert charged.cost_per_hour.energy.mean == pytest.approx(draw.cost_per_hour.energy.mean + highest)


def test_an_hour_without_a_price_or_a_power_has_no_cost_of_energy():
    windows = measured(read(PACKAGE, POWER, 40))
    machine = derive_draw(windows, [None] * 3, Tariff().with_values({"capital": 8760.0, "life_years": 1.0}))
    assert machine.cost_per_hour.energy is None
    assert machine.cost_per_hour.machine > 0
    unknown = derive_draw([measure((), 0, SECOND)], [None], Tariff().with_values({"price_per_kwh": 1.0}))
    assert unknown.cost_per_hour.energy is None
