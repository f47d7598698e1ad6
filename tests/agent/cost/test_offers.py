"""Offers are taken as they are written, and are refused with the offer, the field and the remedy named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.cost.limits import TariffError
from agent.cost.offers import Offer, check_currencies, read_offers

DOCS = Path(__file__).parents[3] / "docs"
INSTANCE: dict[str, Any] = {"name": "cloud", "price_per_hour": 3.5, "output_tokens_per_second": 2400}
API: dict[str, Any] = {"name": "api", "price_per_million_output_tokens": 0.6, "price_per_million_input_tokens": 0.15}


def test_an_instance_and_an_api_are_read_with_every_field() -> None:
    everything = {
        **INSTANCE,
        "throughput_origin": "measured",
        "utilization": 0.6,
        "billing_step_seconds": 60,
        "load_seconds": 180,
        "currency": "USD",
        "region": "EU",
        "data_leaves_premises": False,
        "certifications": ["ISO 27001", "SOC 2"],
        "price_change_per_year": -0.2,
        "source": "https://example.com, January 2026",
    }
    hourly, api = read_offers([everything, {**API, "price_per_million_cached_input_tokens": 0.075}])
    assert hourly.is_hourly
    assert hourly.step_seconds == 60
    assert hourly.certifications == ("ISO 27001", "SOC 2")
    assert not hourly.leaves_premises
    assert hourly.assumptions == ()
    assert not api.is_hourly
    assert api.price_per_million_cached_input_tokens == 0.075


def test_values_that_are_not_given_are_named_as_assumed() -> None:
    hourly, api = read_offers([INSTANCE, API])
    assert hourly.step_seconds == 3600
    assert [each.split()[0] for each in hourly.assumptions] == [
        "billing_step_seconds",
        "load_seconds",
        "throughput_origin",
        "data_leaves_premises",
    ]
    assert api.assumptions == ("data_leaves_premises is not given: the data leaves",)
    assert api.leaves_premises


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {**API, "price_per_hours": 3},
            "unknown key 'price_per_hours': did you mean price_per_hour",
        ),
        ({**API, "zone": 3}, r"^offer 1 \(api\): unknown key 'zone': the keys are name, price_per_hour"),
        ({"price_per_hour": 3}, "^offer 1: name is not given"),
        ({**API, "name": ""}, r"^offer 1 \(\): name = '' is not a name"),
        ({**API, "name": 3}, "^offer 1: name = 3 is not a name"),
        ({**API, "name": "a" * 201}, "is not a name"),
        ({**API, "name": "a\x1b"}, "^offer 1: name = "),
        ({**INSTANCE, "price_per_hour": -1}, r"price_per_hour = -1 is out of range: it must be 0 or more"),
        ({**INSTANCE, "price_per_hour": "3"}, "price_per_hour = '3' is not a number"),
        ({**INSTANCE, "price_per_hour": float("nan")}, "price_per_hour = nan is out of range"),
        ({**INSTANCE, "output_tokens_per_second": 0}, "output_tokens_per_second = 0 is out of range"),
        ({**INSTANCE, "utilization": 60}, "utilization = 60 is out of range: .* from 1e-9 to 1"),
        ({**INSTANCE, "billing_step_seconds": 0}, "billing_step_seconds = 0 is out of range"),
        ({**INSTANCE, "load_seconds": -1}, "load_seconds = -1 is out of range"),
        ({**API, "price_change_per_year": -1}, "price_change_per_year = -1 is out of range: it must be more than -1"),
        ({**API, "currency": 3}, "currency = 3 is not a text such as EUR"),
        ({**API, "region": ""}, "region = '' is not a text such as EU"),
        ({**API, "source": "a\nb"}, "source = .* is not a text such as https"),
        ({**API, "data_leaves_premises": "no"}, "data_leaves_premises = 'no' is not true or false"),
        ({**API, "certifications": "SOC 2"}, "certifications is not a list of texts"),
        ({**API, "certifications": ["x"] * 51}, "certifications is not a list of texts, 50 of them at most"),
        ({**API, "certifications": [""]}, "certifications = '' is not a list of texts such as"),
        ({**INSTANCE, "throughput_origin": "guessed"}, "throughput_origin = 'guessed' is not \"stated\" or"),
        ({"name": "none"}, r"\(none\): neither price_per_hour nor token prices are given"),
        ({**API, **INSTANCE}, "price_per_hour and price_per_million_input_tokens are given"),
        ({"name": "api", "price_per_million_cached_input_tokens": 1}, "input_tokens or .*output_tokens is not given"),
        ({**API, "billing_step_seconds": 60}, "billing_step_seconds belongs to an instance with price_per_hour"),
        ({"name": "cloud", "price_per_hour": 3}, "either requests_per_second or output_tokens_per_second"),
        ({**INSTANCE, "requests_per_second": 3}, "either requests_per_second or output_tokens_per_second"),
    ],
)
def test_an_invalid_offer_is_refused_by_name_and_field(table: dict[str, Any], message: str) -> None:
    with pytest.raises(TariffError, match=message):
        read_offers([table])


@pytest.mark.parametrize("tables", ["cloud", {"name": "cloud"}, [3]])
def test_offers_are_tables(tables: object) -> None:
    with pytest.raises(TariffError, match=r"begin each offer with a line \[\[offer\]\]"):
        read_offers(tables)


def test_two_offers_of_one_name_and_too_many_offers_are_refused() -> None:
    with pytest.raises(TariffError, match="two offers have the name 'api'"):
        read_offers([API, API])
    with pytest.raises(TariffError, match="101 offers are too many: give at most 100"):
        read_offers([API] * 101)


def test_an_offer_in_another_currency_is_refused_by_name() -> None:
    dollars = Offer(**API, currency="USD")
    check_currencies([dollars, Offer(**INSTANCE)], "USD")
    with pytest.raises(TariffError, match=r"^offer api is in USD, and the tariff is in EUR: amounts are never"):
        check_currencies([dollars], "EUR")
    with pytest.raises(TariffError, match=r"^offer api is in USD, and the tariff names no currency"):
        check_currencies([dollars], None)


def test_the_offers_of_the_example_file_are_valid_and_the_page_names_every_key() -> None:
    text = (DOCS / "tariff.example.toml").read_text(encoding="utf-8").partition("# [[offer]]")
    block = "".join(text[1:]).partition("\n\n")[0]
    tables = tomllib.loads("\n".join(line.removeprefix("# ") for line in block.splitlines()))["offer"]
    assert [offer.is_hourly for offer in read_offers(tables)] == [True, False]
    rows = [line.split("|")[1] for line in (DOCS / "offers.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    assert set(Offer.__struct_fields__) <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}
