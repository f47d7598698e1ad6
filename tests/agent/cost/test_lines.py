"""Each line of an hour has its own price, no price is counted twice, and the lines sum to the hour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cost.carbon import carbon
from agent.cost.interval import Interval
from agent.cost.lines import capital_per_hour, demand_charge_per_hour, energy_lines, machine_lines, total
from agent.cost.model import PointCost, price_point
from agent.cost.tariff import Tariff

POINT = PointCost(Interval(20.0, 18.0, 22.0), Interval(40.0, 39.0, 41.0), Interval(200.0, 190.0, 210.0), 300, 100)
EVERYTHING = {
    "capital": 10_000, "life_years": 5, "residual_share": 0.2, "discount_rate": 0.08, "maintenance_share": 0.1,
    "licences_per_year": 876, "staff_per_year": 1752, "facility_per_kw_month": 146, "provisioned_watts": 500,
    "price_per_kwh": 0.25, "cooling_overhead": 0.3, "distribution_loss": 0.1, "demand_charge_per_kw_month": 7.3,
    "wall_factor": 1.25, "utilization": 0.5, "carbon_intensity_g_per_kwh": 360, "embodied_kg_co2e": 876,
}  # fmt: skip


def amounts(lines):
    return {line.name: line.amount for line in lines}


def test_an_hour_of_the_machine_has_a_line_for_each_price():
    assert amounts(machine_lines(Tariff(**EVERYTHING))) == pytest.approx(
        {
            "acquisition": 2003.651637 / 8760,
            "interest_on_residual": 160 / 8760,
            "maintenance": 1000 / 8760,
            "licences": 0.1,
            "staff": 0.2,
            "facility": 0.1,
        }
    )


def test_a_price_that_is_not_given_has_no_line():
    assert list(amounts(machine_lines(Tariff(capital=100, residual_share=0.5)))) == ["acquisition"]
    assert machine_lines(Tariff(staff_per_year=100)) == ()
    assert capital_per_hour(Tariff(staff_per_year=100)) is None


def test_cooling_and_distribution_have_lines_of_their_own():
    lines = amounts(energy_lines(Tariff(**EVERYTHING), 800, 1000))
    energy = 0.25 * 1.25 * 0.8
    assert lines == pytest.approx(
        {
            "energy": energy,
            "cooling": 0.3 * energy,
            "distribution": 0.1 * energy,
            "demand_charge": 7.3 * 1.25 * 1.4 * 1.0 / 730,
        }
    )


def test_a_pue_gives_cooling_and_distribution_together():
    lines = amounts(energy_lines(Tariff(price_per_kwh=0.25, pue=1.5), 800, 1000))
    assert lines == pytest.approx({"energy": 0.2, "cooling_and_distribution": 0.1})
    assert energy_lines(Tariff(), 800, 1000) is None


@pytest.mark.parametrize(
    "tariff",
    [
        Tariff(price_per_hour=2, price_per_kwh=0.3, demand_charge_per_kw_month=5, utilization=0.5),
        Tariff(
            capital=8760, life_years=1, facility_per_kw_month=730, provisioned_watts=1000, facility_includes_power=True,
            price_per_kwh=0.3, demand_charge_per_kw_month=5, utilization=0.5,
        ),
    ],
)  # fmt: skip
def test_energy_that_another_price_pays_for_is_not_counted_again(tariff):
    for point in (POINT, PointCost(POINT.energy_joules, POINT.throughput)):
        cost = price_point(tariff, point)
        assert amounts(cost.usage.per_hour.lines).keys().isdisjoint({"energy", "cooling_and_distribution"})
        assert (cost.usage.per_hour.energy, cost.usage.per_hour.total) == (0, 2)
        assert cost.allocation.per_inference.total.mean == pytest.approx(2 / 3600 / 40 / 0.5)
        assert not {"price_per_kwh", "capital", "idle_watts"} & {each.name for each in cost.missing}
        assert "pue" not in {each.name for each in cost.assumed}
    assert demand_charge_per_hour(tariff, 1000) == 0


def test_a_demand_charge_is_due_at_every_utilization():
    without = Tariff(price_per_kwh=0.25, capital=0, pue=1, utilization=0.5)
    charged = without.with_values({"demand_charge_per_kw_month": 7.3})
    charge = 7.3 * 0.8 / 730  # 800 W busy
    (hour, dearer) = (price_point(each, POINT).allocation.per_hour.energy for each in (without, charged))
    assert dearer - hour == pytest.approx(charge)
    (before, after) = (price_point(each, POINT).allocation.per_inference.energy.mean for each in (without, charged))
    assert after - before == pytest.approx(charge / 3600 / 40 / 0.5)


@given(st.floats(0.01, 1), st.floats(0, 2), st.floats(0, 1), st.floats(0, 50))
def test_the_lines_of_both_bases_sum_to_the_hour(utilization, cooling, residual, charge):
    changes = {"utilization": utilization, "cooling_overhead": cooling, "residual_share": residual}
    tariff = Tariff(**{**EVERYTHING, **changes, "demand_charge_per_kw_month": charge})
    cost = price_point(tariff, POINT)
    for basis in (cost.usage, cost.allocation):
        assert total(basis.per_hour.lines) == pytest.approx(basis.per_hour.total)
        hourly = 3600 * POINT.throughput.mean * basis.utilization
        assert basis.per_inference.total.mean * hourly == pytest.approx(basis.per_hour.total)


@pytest.mark.parametrize("name", ["capital", "licences_per_year", "staff_per_year", "facility_per_kw_month"])
def test_the_machine_is_linear_in_each_price(name):
    once, twice, none = (
        capital_per_hour(Tariff(**{**EVERYTHING, name: EVERYTHING[name] * factor})) for factor in (1, 2, 0)
    )
    assert twice - once == pytest.approx(once - none)


def test_without_idle_power_the_allocation_has_the_lines_of_the_machine():
    cost = price_point(Tariff(**EVERYTHING), PointCost(POINT.energy_joules, POINT.throughput))
    assert amounts(cost.allocation.per_hour.lines) == amounts(machine_lines(Tariff(**EVERYTHING)))


def test_the_carbon_of_an_inference_is_that_of_its_energy_and_of_its_share_of_the_machine():
    found = price_point(Tariff(**EVERYTHING), POINT).allocation.carbon_grams_per_inference
    joules = 20 + 200 / 40  # and as much time idle as busy
    assert found.operational.mean == pytest.approx(joules * 1.25 * 1.4 * 360 / 3.6e6)
    assert found.embodied.mean == pytest.approx(876e3 / (5 * 8760 * 3600) / 40 / 0.5)
    assert found.total.mean == pytest.approx(found.operational.mean + found.embodied.mean)


def test_carbon_without_one_of_its_inputs_has_no_total():
    seconds, joules = Interval.exact(1), Interval.exact(3.6e6)
    assert carbon(Tariff(), joules, seconds) is None
    assert carbon(Tariff(carbon_intensity_g_per_kwh=100, pue=1), joules, seconds).operational.mean == 100
    assert carbon(Tariff(carbon_intensity_g_per_kwh=100), joules, seconds).total is None
    assert carbon(Tariff(embodied_kg_co2e=1), None, seconds).total is None
    assert carbon(Tariff(carbon_intensity_g_per_kwh=1, embodied_kg_co2e=1), None, seconds).operational is None
    used = price_point(Tariff(embodied_kg_co2e=1), POINT)
    assert [each.name for each in used.assumed] == ["life_years"]
