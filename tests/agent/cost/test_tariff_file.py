"""A tariff file has shared values, sites that replace some of them, and prices by the hour of the week."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from make_schema import made_tariff

from agent.cost.limits import TariffError
from agent.cost.tariff_file import check_file, load_tariff, read_tariff, site_names
from agent.cost.time_of_day import PricePeriod, mean_price, price_at, price_day

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "tariff.schema.json").read_text(encoding="utf-8"))
SITES = """
currency = "EUR"
price_per_kwh = 0.3
capital = 1000
[[site]]
name = "Berlin"
pue = 1.2
[[site]]
name = "Oslo"
currency = "NOK"
price_per_kwh = 0.9
[[site.time_of_day]]
from_hour = 22
until_hour = 6
price_per_kwh = 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tariff.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_site_replaces_the_shared_values_that_it_gives(tmp_path):
    path = written(tmp_path, SITES)
    shared, berlin, oslo = load_tariff(path), load_tariff(path, "Berlin"), load_tariff(path, "Oslo")
    assert [(each.site, each.currency, each.price_per_kwh) for each in (shared, berlin, oslo)] == [
        (None, "EUR", 0.3), ("Berlin", "EUR", 0.3), ("Oslo", "NOK", 0.9)
    ]  # fmt: skip
    assert (berlin.pue, shared.origin("pue"), berlin.origin("pue")) == (1.2, "default", "given")
    assert oslo.energy_price == pytest.approx(0.9 - 0.4 * 8 / 24)
    assert {each.capital for each in (shared, berlin, oslo)} == {1000}
    assert check_file(path) == ("Berlin", "Oslo")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("site = 1", "site is not a list of tables"),
        ("[[site]]\npue = 1.1", "site 1: name = None is not a name"),
        ("[[site]]\nname = 'a'\n[[site]]\nname = 'a'", "two sites have the name 'a'"),
        ("[[site]]\nname = 'a'\npui = 1", r"site 1 \(a\): unknown key 'pui': did you mean pue\?"),
        ("[[site]]\nname = 'a'\n[[site.offer]]\nname = 'x'", r"site 1 \(a\): unknown key 'offer'"),
        ("[[site]]\nname = 'a'\npue = 0.5", "site a: pue = 0.5 is out of range"),
        ("\n".join(f"[[site]]\nname = '{number}'" for number in range(101)), "101 sites are too many"),
        ("time_of_day = 1", "time_of_day is not a list of tables"),
        ("\n".join(["[[time_of_day]]"] * 101), "101 tables time_of_day are too many"),
        ("[[time_of_day]]\nhour = 1", "time_of_day 1: unknown key 'hour'"),
        ("[[time_of_day]]\nfrom_hour = 1\nuntil_hour = 2", "time_of_day 1: price_per_kwh is not given"),
        ("[[time_of_day]]\nfrom_hour = 25\nuntil_hour = 2\nprice_per_kwh = 1", "time_of_day 1: from_hour = 25 is out"),
        ("[[time_of_day]]\nfrom_hour = 1\nuntil_hour = 2\nprice_per_kwh = 1", "price_per_kwh is not given"),
    ],
)
def test_a_wrong_table_is_refused_by_its_number(text, problem, tmp_path):
    with pytest.raises(TariffError, match=problem):
        check_file(written(tmp_path, text))


def test_an_unknown_site_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(TariffError, match=r"tariff.toml: there is no site 'Rome': its sites are Berlin, Oslo"):
        load_tariff(written(tmp_path, SITES), "Rome")
    with pytest.raises(TariffError, match=r"there is no site 'Rome': it has no \[\[site\]\]"):
        read_tariff({}, "Rome")


def test_periods_that_overlap_are_refused():
    day, noon = ({"from_hour": start, "until_hour": end, "price_per_kwh": 1} for start, end in ((7, 19), (12, 13)))
    with pytest.raises(TariffError, match=r"two periods time_of_day contain hour 12.5 of day 1 of the week"):
        read_tariff({"price_per_kwh": 1, "time_of_day": [day, noon]})


@pytest.mark.parametrize(
    ("days", "hour_of_week", "price"),
    [
        ("all", 23, 0.1), ("all", 5.9, 0.1), ("all", 6, 0.3), ("all", 21.9, 0.3),
        ("weekdays", 24 * 4 + 23, 0.1), ("weekdays", 24 * 5 + 5, 0.1), ("weekdays", 24 * 5 + 23, 0.3),
        ("weekdays", 5, 0.3), ("weekend", 24 * 6 + 23, 0.1), ("weekend", 5, 0.1), ("weekend", 24 * 5 + 5, 0.3),
    ],
)  # fmt: skip
def test_the_night_belongs_to_the_day_on_which_it_begins(days, hour_of_week, price):
    assert price_at((PricePeriod(22, 6, 0.1, days),), 0.3, hour_of_week) == price
    assert price_at((PricePeriod(22, 6, 0.1, days),), 0.3, hour_of_week + 168) == price


def test_a_mean_day_has_the_prices_of_its_hours_over_the_mean():
    periods = (PricePeriod(22, 6, 0.1), PricePeriod(12, 14, 0.5, "weekend"))
    day = price_day(periods, 0.3)
    assert [(start, end) for start, end, _ in day] == [(0, 6), (6, 12), (12, 14), (14, 22), (22, 24)]
    mean = mean_price(periods, 0.3)
    noon = (5 * 0.3 + 2 * 0.5) / 7
    assert [factor for *_, factor in day] == pytest.approx([each / mean for each in (0.1, 0.3, noon, 0.3, 0.1)])
    assert sum((end - start) * factor for start, end, factor in day) == pytest.approx(24)
    assert price_day((PricePeriod(0, 24, 0.0),), 0.0) == ((0, 24, 1.0),)


def test_the_mean_price_is_that_of_a_week():
    assert mean_price((), 0.3) == 0.3
    assert mean_price((PricePeriod(0, 24, 0.1),), 0.3) == pytest.approx(0.1)
    assert mean_price((PricePeriod(8, 8, 0.1),), 0.3) == pytest.approx(0.1)  # from 8 until 8 is a day
    assert mean_price((PricePeriod(7.5, 19.5, 0.5, "weekdays"),), 0.3) == pytest.approx(0.3 + 0.2 * 60 / 168)


def test_a_tariff_has_a_price_at_every_hour():
    night = {"from_hour": 22, "until_hour": 6, "price_per_kwh": 0.1}
    tariff = read_tariff({"price_per_kwh": 0.3, "time_of_day": [night]})
    assert (tariff.price_at(23), tariff.price_at(12)) == (0.1, 0.3)
    assert tariff.rented(2).price_at(12) == 0
    assert (read_tariff({"price_per_kwh": 0.3}).price_at(12), read_tariff({}).price_at(12)) == (0.3, None)


def test_unknown_days_are_refused():
    with pytest.raises(TariffError, match=r"days = .sunday. is not"):
        PricePeriod(0, 1, 1, "sunday")


def test_the_published_schema_is_made_from_the_record():
    assert (DOCS / "tariff.schema.json").read_text(encoding="utf-8") == made_tariff()


@pytest.mark.parametrize("text", [SITES, (DOCS / "tariff.example.toml").read_text(encoding="utf-8"), ""])
def test_the_published_schema_accepts_a_valid_file(text):
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(tomllib.loads(text))
    site_names(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "pue = 0.9",
        "price_per_kwh = -1",
        "utilization = 0",
        "utilization = 1.1",
        "spares = 0.5",
        "facility_includes_power = 1",
        "currency = 1",
        "energy = 1",
        "given = ['pue']",
        "range.pue = [1]",
        "[[site]]\npue = 1.1",
        "[[time_of_day]]\nfrom_hour = 1",
        "[[offer]]\nprice_per_hour = 1",
    ],
)
def test_the_published_schema_refuses_an_invalid_file(text):
    assert not Draft202012Validator(SCHEMA).is_valid(tomllib.loads(text))
    with pytest.raises(TariffError):
        read_tariff(tomllib.loads(text))
