"""A changed tariff names measured values, drops ranges of replaced ones, and counts nothing twice."""

from __future__ import annotations

import pytest

from agent.cost.limits import TariffError
from agent.cost.tariff_file import read_tariff


def test_a_value_that_the_user_measured_is_named_as_such() -> None:
    tariff = read_tariff({"pue": 1.31, "utilization": 0.4, "measured": ["pue"]})
    assert (tariff.origin("pue"), tariff.origin("utilization")) == ("measured", "given")
    changed = tariff.with_values({"pue": 1.2})
    assert (changed.origin("pue"), changed.measured) == ("given", ())


def test_another_value_replaces_the_range_of_the_first() -> None:
    tariff = read_tariff({"pue": 1.3, "capital": 10, "range": {"pue": [1.2, 1.4], "capital": [9, 12]}})
    assert [each.name for each in tariff.with_values({"pue": 1.1}).ranges] == ["capital"]


def test_cooling_and_distribution_are_the_parts_of_a_pue() -> None:
    tariff = read_tariff({"cooling_overhead": 0.3, "distribution_loss": 0.1, "wall_factor": 1.1})
    assert tariff.facility_overhead == pytest.approx(1.4)
    assert tariff.overhead == pytest.approx(1.54)
    assert "pue" not in {default.name for default in tariff.assumed}


def test_another_pue_replaces_its_parts_and_they_replace_it() -> None:
    parts = {"cooling_overhead": 0.3, "distribution_loss": 0.1}
    whole = read_tariff({"pue": 1.2, "range": {"pue": [1.1, 1.3]}})
    split = whole.with_values(parts)
    assert (split.facility_overhead, split.given, split.ranges) == (pytest.approx(1.4), tuple(sorted(parts)), ())
    again = split.with_values({"pue": 1.1})
    assert (again.facility_overhead, again.given, again.cooling_overhead) == (1.1, ("pue",), None)
    with pytest.raises(TariffError, match="given together"):
        whole.with_values({"cooling_overhead": 0.3})
    with pytest.raises(TariffError, match="pue is given beside"):
        whole.with_values({**parts, "pue": 1.2})


def test_a_rent_replaces_the_costs_of_an_owner() -> None:
    owned = read_tariff(
        {
            "capital": 100,
            "maintenance_share": 0.1,
            "facility_per_kw_month": 5,
            "provisioned_watts": 100,
            "facility_includes_power": True,
            "staff_per_year": 3,
            "price_per_kwh": 0.3,
            "measured": ["capital"],
            "range": {"capital": [90, 110], "staff_per_year": [2, 4]},
        }
    )
    rented = owned.rented(2.5)
    assert (rented.price_per_hour, rented.capital, rented.maintenance_share) == (2.5, None, None)
    assert (rented.facility_per_kw_month, rented.facility_includes_power, rented.staff_per_year) == (None, None, 3)
    assert rented.given == ("price_per_hour", "price_per_kwh", "provisioned_watts", "staff_per_year")
    assert (rented.measured, [each.name for each in rented.ranges]) == ((), ["staff_per_year"])
    assert rented.energy_price == 0


def test_the_price_of_a_facility_that_includes_power_pays_for_the_energy() -> None:
    facility = {"facility_per_kw_month": 180, "provisioned_watts": 1000, "price_per_kwh": 0.3}
    assert read_tariff(facility).energy_price == 0.3
    assert read_tariff({**facility, "facility_includes_power": True}).energy_price == 0
    assert read_tariff({}).energy_price is None
