"""A demand needs a number of machines, and they have a price, a power and racks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cost.demand import Demand, Step
from agent.cost.fleet import density, fleet, fleet_size
from agent.cost.hourly import HourlyModel
from agent.cost.tariff import Tariff

MODEL = HourlyModel(2.0, 0.25, 1.5, ((0.0, 200.0), (1.0, 800.0)), 10.0)
TARIFF = Tariff(price_per_kwh=0.25, pue=1.5, capital=9000, headroom=0.2, spares=1, rack_watts=4000)


def of(mean, peak=None, tariff=TARIFF, watts=900):
    """Return the fleet for a demand with a peak of half the time, or without one."""
    steps = (Step(1.0, 2 * mean - peak), Step(1.0, peak)) if peak else (Step(1.0, mean),)
    return fleet(Demand(steps, "given"), MODEL, tariff, density(10.0, 100.0, tariff, watts))


def test_a_demand_needs_machines_for_its_peak_and_the_spares():
    found = of(60, 100)
    assert found.machines == 13 + 1  # 100 / (10 * 0.8) = 12.5
    assert found.utilization == pytest.approx(60 / 140)
    assert found.capital == 14 * 9000
    hour = 2.0 + 0.25 * 1.5 * (200 + 600 * 60 / 140) / 1000
    assert found.cost_per_year == pytest.approx(14 * 8760 * hour)
    assert found.cost_per_million_inferences == pytest.approx(found.cost_per_year / (60 * 8760 * 3600) * 1e6)


def test_the_energy_is_integrated_over_the_loads_and_not_taken_at_their_mean():
    bent = HourlyModel(2.0, 0.25, 1.5, ((0.0, 200.0), (0.25, 700.0), (1.0, 800.0)), 10.0)
    steps = (Step(3.0, 0.0), Step(1.0, 8.0))
    found = fleet(Demand(steps, "given"), bent, Tariff(pue=1.5), density(10.0, None, Tariff(), 900))
    watts = 0.75 * 200 + 0.25 * bent.watts(0.8)
    assert found.kilowatt_hours_per_year == pytest.approx(8.76 * watts * 1.5)
    assert found.cost_per_year == pytest.approx(8760 * (2.0 + 0.25 * 1.5 * watts / 1000))


def test_the_peak_factor_is_that_of_a_demand_that_is_a_number():
    peaky = TARIFF.with_values({"peak_factor": 2})
    assert (of(50, tariff=peaky).peak_rate, of(50, 60, peaky).peak_rate) == (100, 60)


def test_the_fleet_has_power_and_racks():
    found = of(40, 70)
    assert found.provisioned_kilowatts == pytest.approx(found.machines * 0.9)
    assert found.facility_kilowatts == pytest.approx(1.5 * found.provisioned_kilowatts)
    assert found.kilowatt_hours_per_year == pytest.approx(found.machines * 8.76 * (200 + 600 * found.utilization) * 1.5)
    assert found.racks == 3  # of 10 machines, 4 in each


def test_provisioned_power_holds_machines_and_work():
    found = density(10.0, 100.0, TARIFF, 900)
    assert (found.watts_per_machine, found.machines_per_rack) == (900, 4)
    assert found.machines_per_kilowatt == pytest.approx(1 / 0.9)
    assert found.inferences_per_second_per_kilowatt == pytest.approx(10 / 0.9)
    assert found.output_tokens_per_second_per_kilowatt == pytest.approx(1000 / 0.9)
    assert (found.inferences_per_second_per_rack, found.output_tokens_per_second_per_rack) == (40, 4000)


def test_without_tokens_or_a_rack_their_density_is_unknown():
    found = density(10.0, None, Tariff(), 900)
    assert (found.output_tokens_per_second_per_kilowatt, found.output_tokens_per_second_per_rack) == (None, None)
    assert (found.machines_per_rack, found.inferences_per_second_per_rack) == (None, None)
    assert density(10.0, None, TARIFF, 900).output_tokens_per_second_per_rack is None


def test_a_stated_power_is_provisioned_in_place_of_the_measured_peak():
    stated = TARIFF.with_values({"provisioned_watts": 1000})
    assert density(1, None, stated, 900).watts_per_machine == 1000
    assert density(1, None, TARIFF.with_values({"wall_factor": 1.1}), 900).watts_per_machine == pytest.approx(990)


def test_a_rented_fleet_has_no_capital_and_without_a_rack_no_racks():
    found = of(40, tariff=Tariff(price_per_hour=2))
    assert (found.capital, found.racks) == (None, None)
    assert (found.headroom, found.spares, found.machines) == (0, 0, 4)


def test_a_rack_without_power_for_a_machine_is_refused():
    with pytest.raises(ValueError, match="rack_watts = 500 is less than the 900 W of one machine"):
        density(1, None, TARIFF.with_values({"rack_watts": 500}), 900)


def test_more_than_a_billion_machines_are_refused():
    with pytest.raises(ValueError, match=r"a demand of 1e\+11 a second needs more than a billion machines"):
        of(1e11)


@given(st.floats(0.001, 1e6), st.floats(0, 0.9), st.integers(0, 5))
def test_the_needed_machines_can_do_the_peak_and_one_less_cannot(peak, headroom, spares):
    count = fleet_size(peak, 10, Tariff(headroom=headroom, spares=spares)) - spares
    assert count * 10 * (1 - headroom) >= peak * (1 - 1e-6)
    assert (count - 1) * 10 * (1 - headroom) < peak
