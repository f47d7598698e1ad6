"""The payments of years are purchases, running costs and resale; their present value is that of the textbook."""

from __future__ import annotations

import pytest

from agent.cost.hourly import HourlyModel
from agent.cost.lines import capital_per_hour
from agent.cost.tariff import Tariff
from agent.cost.tco import Load, ownership

MODEL = HourlyModel(1.0, 0.25, 1.4, ((0.0, 200.0), (1.0, 800.0)), 10.0)
TARIFF = Tariff(
    price_per_kwh=0.25, capital=10_000, life_years=4, residual_share=0.2, discount_rate=0.08, maintenance_share=0.05,
    staff_per_year=500, cooling_overhead=0.3, distribution_loss=0.1, demand_charge_per_kw_month=7.3,
)  # fmt: skip


def one_machine(_year):
    return Load(1, 0.5, MODEL.watts(0.5))


def payments(year):
    return {each.name: each.amount for each in year.payments}


def test_a_year_has_a_payment_for_each_price_and_cooling_has_its_own():
    first, *_ = ownership(TARIFF, MODEL, 4, one_machine).years
    energy = 0.25 * 0.5 * 8760
    assert payments(first) == pytest.approx(
        {
            "purchases": 10_000,
            "maintenance": 500,
            "staff": 500,
            "energy": energy,
            "cooling": 0.3 * energy,
            "distribution": 0.1 * energy,
            "demand_charge": 7.3 * 1.4 * 0.8 * 12,
        }
    )
    assert first.total == pytest.approx(sum(payments(first).values()))


def test_the_machine_is_sold_at_its_residual_value_at_the_end_of_its_life():
    years = ownership(TARIFF, MODEL, 4, one_machine).years
    assert [payments(year).get("resale") for year in years] == [None, None, None, pytest.approx(-2000)]


def test_a_machine_without_residual_value_has_no_resale():
    worthless = TARIFF.with_values({"residual_share": 0})
    assert all("resale" not in payments(year) for year in ownership(worthless, MODEL, 8, one_machine).years)


def test_a_machine_sold_before_the_end_of_its_life_has_lost_value_evenly():
    (only,) = ownership(TARIFF, MODEL, 1, one_machine).years
    assert payments(only)["resale"] == pytest.approx(-(10_000 - 8000 / 4))


def test_a_machine_is_replaced_at_the_end_of_its_life():
    years = ownership(TARIFF, MODEL, 6, one_machine).years
    assert payments(years[3])["resale"] == pytest.approx(-2000)
    assert payments(years[4])["purchases"] == 10_000
    assert "resale" not in payments(years[4])
    assert payments(years[5])["resale"] == pytest.approx(-(10_000 - 8000 * 2 / 4))


def test_the_present_value_of_a_life_is_that_of_its_hours():
    """The hourly capital is the annuity of the purchase less the discounted resale."""
    tariff = Tariff(capital=10_000, life_years=4, residual_share=0.2, discount_rate=0.08, price_per_kwh=0)
    found = ownership(tariff, MODEL, 4, one_machine)
    annuity = (1 - 1.08**-4) / 0.08
    assert found.net_present_value == pytest.approx(capital_per_hour(tariff) * 8760 * annuity)
    assert found.net_present_value == pytest.approx(10_000 - 2000 / 1.08**4)


def test_the_present_value_of_a_replacement_is_that_of_its_hours():
    tariff = Tariff(capital=10_000, life_years=4, residual_share=0.2, discount_rate=0.08, price_per_kwh=0)
    found = ownership(tariff, MODEL, 8, one_machine)
    assert found.net_present_value == pytest.approx(capital_per_hour(tariff) * 8760 * (1 - 1.08**-8) / 0.08)


def test_without_interest_the_present_value_is_the_total():
    found = ownership(Tariff(capital=100, price_per_kwh=0.1), MODEL, 3, one_machine)
    assert found.net_present_value == pytest.approx(found.total)
    assert found.total == pytest.approx(sum(year.total for year in found.years))


def test_the_price_of_energy_rises_and_the_demand_charge_does_not():
    rising = TARIFF.with_values({"price_per_kwh_change_per_year": 0.1})
    first, second, *_ = ownership(rising, MODEL, 3, one_machine).years
    assert payments(second)["energy"] == pytest.approx(1.1 * payments(first)["energy"])
    assert payments(second)["cooling"] == pytest.approx(1.1 * payments(first)["cooling"])
    assert payments(second)["demand_charge"] == payments(first)["demand_charge"]


def test_a_growing_fleet_buys_the_machines_that_it_lacks():
    years = ownership(TARIFF, MODEL, 3, lambda year: Load(2 * year, 0.5, 500.0)).years
    assert [payments(year)["purchases"] for year in years] == [20_000, 20_000, 20_000]
    assert [year.machines for year in years] == [2, 4, 6]


def test_a_rented_machine_is_neither_bought_nor_sold():
    (first,) = ownership(Tariff(price_per_hour=2, staff_per_year=10), MODEL, 1, one_machine).years
    assert payments(first) == pytest.approx({"rent": 17_520, "staff": 10})


@pytest.mark.parametrize(("tariff", "years"), [(TARIFF, 0), (Tariff(), 1)])
def test_no_year_or_no_price_of_the_machine_is_refused(tariff, years):
    with pytest.raises(ValueError, match="at least one year, and a capital or a rent"):
        ownership(tariff, MODEL, years, one_machine)


def test_a_life_below_a_year_has_no_table_of_years():
    with pytest.raises(ValueError, match=r"life_years = 0.5: a table of years needs a life of at least a year"):
        ownership(TARIFF.with_values({"life_years": 0.5}), MODEL, 2, one_machine)
