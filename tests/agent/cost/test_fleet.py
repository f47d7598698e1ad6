"""A demand needs a number of machines, and they have a price, a power and racks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cost.fleet import fleet, fleet_size
from agent.cost.hourly import HourlyModel
from agent.cost.tariff import Tariff

MODEL = HourlyModel(2.0, 0.25, 1.5, ((0.0, 200.0), (1.0, 800.0)), 10.0)
TARIFF = Tariff(price_per_kwh=0.25, pue=1.5, capital=9000, headroom=0.2, spares=1, rack_watts=4000)


def test_a_demand_needs_machines_for_its_peak_and_the_spares():
    found = fleet(40, 100, MODEL, TARIFF, 900)
    assert found.machines == 13 + 1  # 100 / (10 * 0.8) = 12.5
    assert found.utilization == pytest.approx(40 / 140)
    assert found.capital == 14 * 9000
    hour = 2.0 + 0.25 * 1.5 * (200 + 600 * 40 / 140) / 1000
    assert found.cost_per_year == pytest.approx(14 * 8760 * hour)
    assert found.cost_per_million_units == pytest.approx(found.cost_per_year / (40 * 8760 * 3600) * 1e6)


def test_the_fleet_has_power_and_racks():
    found = fleet(40, 100, MODEL, TARIFF, 900)
    assert (found.watts_per_machine, found.provisioned_kilowatts) == (900, pytest.approx(12.6))
    assert found.facility_kilowatts == pytest.approx(18.9)
    assert found.kilowatt_hours_per_year == pytest.approx(14 * 8.76 * (200 + 600 * 40 / 140) * 1.5)
    assert (found.machines_per_rack, found.racks) == (4, 4)
    assert found.units_per_second_per_kilowatt == pytest.approx(10 / 0.9)
    assert found.machines_per_kilowatt == pytest.approx(1 / 0.9)


def test_a_stated_power_is_provisioned_in_place_of_the_measured_peak():
    stated = TARIFF.with_values({"provisioned_watts": 1000})
    assert fleet(1, 1, MODEL, stated, 900).watts_per_machine == 1000
    assert fleet(1, 1, MODEL, TARIFF.with_values({"wall_factor": 1.1}), 900).watts_per_machine == pytest.approx(990)


def test_a_rented_fleet_has_no_capital_and_without_a_rack_no_racks():
    found = fleet(40, 40, MODEL, Tariff(price_per_hour=2), 900)
    assert (found.capital, found.racks, found.machines_per_rack) == (None, None, None)
    assert (found.headroom, found.spares, found.machines) == (0, 0, 4)


@pytest.mark.parametrize(("mean", "peak"), [(0, 1), (2, 1), (1, float("inf"))])
def test_an_impossible_demand_is_refused(mean, peak):
    with pytest.raises(ValueError, match="is not possible"):
        fleet(mean, peak, MODEL, TARIFF, 900)


def test_a_rack_without_power_for_a_machine_is_refused():
    with pytest.raises(ValueError, match="rack_watts = 500 is less than the 900 W of one machine"):
        fleet(1, 1, MODEL, TARIFF.with_values({"rack_watts": 500}), 900)


@given(st.floats(0.001, 1e6), st.floats(0, 0.9), st.integers(0, 5))
def test_the_needed_machines_can_do_the_peak_and_one_less_cannot(peak, headroom, spares):
    count = fleet_size(peak, 10, Tariff(headroom=headroom, spares=spares)) - spares
    assert count * 10 * (1 - headroom) >= peak * (1 - 1e-6)
    assert (count - 1) * 10 * (1 - headroom) < peak
