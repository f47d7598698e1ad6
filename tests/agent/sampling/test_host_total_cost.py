"""The cost of the host's energy and of the machine, over restarts and prices that depend on the hour."""

from __future__ import annotations

import time

import pytest

from agent.cost.tariff import Tariff
from agent.cost.time_of_day import PricePeriod
from host_totals import PACKAGE, Service, constant


def test_the_cost_includes_energy_facility_and_machine() -> None:
    tariff = Tariff(price_per_kwh=0.25, currency="EUR", pue=1.5, capital=8760.0, life_years=1.0)
    service = Service(PACKAGE, tariff=tariff)
    service.run(3613, constant(1000))
    reading = service.host.reading
    assert reading is not None
    energy = reading.joules / 3.6e6 * 1.5 * 0.25
    assert reading.currency == "EUR"
    assert reading.cost == pytest.approx(energy + 1.0, rel=1e-3)


def test_a_cost_continues_after_a_restart() -> None:
    tariff = Tariff(price_per_kwh=3600.0, currency="EUR", pue=1.0)
    service = Service(PACKAGE, tariff=tariff)
    service.run(20, constant(400))
    service.restart()
    service.run(20, constant(400))
    assert service.host.reading is not None
    assert service.host.reading.cost == pytest.approx(0.4 * 39)


def test_energy_costs_the_price_of_its_hour() -> None:
    local = time.localtime(0)  # the clock of the service starts at the epoch
    now = local.tm_hour + local.tm_min / 60
    dear, cheap = (
        PricePeriod(start % 24, (start + 12) % 24, price) for start, price in ((now, 3600.0), (now + 12, 36.0))
    )
    service = Service(PACKAGE, tariff=Tariff(price_per_kwh=1.0, pue=1.0, price_periods=(dear, cheap)))
    service.run(20, constant(400))
    assert service.host.reading is not None
    assert service.host.reading.cost == pytest.approx(0.4 * (service.host.reading.joules / 400))


def test_there_is_no_cost_without_an_energy_price() -> None:
    service = Service(PACKAGE, tariff=Tariff(capital=1000.0))
    service.run(20, constant(1000))
    assert service.host.reading is not None
    assert service.host.reading.cost is None
