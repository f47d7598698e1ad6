from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal

import msgspec
import pytest

from agent.exports.focus import EXPORTER
from agent.exports.records import ExportError, ExportRequest
from planner_documents import PRICES, load, profile

POINT = load((512, 256), 0.1, 0.02, 2.0, rate=2.0)


def charges(*documents, **facts):
    files = EXPORTER.files(ExportRequest(documents, facts)).files
    return list(csv.DictReader(io.StringIO(files["focus.csv"].decode())))


def cached(point, per_second):
    serving = msgspec.structs.replace(point.serving, cached_input_tokens_per_second=per_second)
    return msgspec.structs.replace(point, serving=serving)


def test_charge_is_the_output_tokens_of_the_windows_by_the_million():
    (charge,) = charges(profile(POINT))
    inferences = min(phase.inferences for phase in POINT.phases)
    assert charge["PricingUnit"] == "1000000 Tokens"
    assert (charge["ConsumedQuantity"], charge["ConsumedUnit"]) == (f"{inferences * 256}.0", "Tokens")
    assert Decimal(charge["PricingQuantity"]) * 1_000_000 == inferences * 256
    # 1.03 USD an hour at 2 requests of 256 tokens a second.
    assert float(charge["ListUnitPrice"]) == pytest.approx(1.03 / 3600 / 512 * 1e6, rel=1e-9)


def test_price_times_quantity_is_the_cost_exactly():
    (charge,) = charges(profile(POINT))
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        assert Decimal(charge[price]) * Decimal(charge["PricingQuantity"]) == Decimal(charge[cost])
    assert charge["BilledCost"] == charge["EffectiveCost"] == charge["ListCost"]


def test_model_and_cached_tokens_are_details_of_the_price():
    details = json.loads(charges(profile(cached(POINT, 256.0)))[0]["SkuPriceDetails"])
    assert details["x_Model"]
    assert details["x_InputTokens"] == 2_000_000  # twice as many as output tokens
    assert details["x_CachedInputTokens"] == 500_000
    assert details["x_UncachedInputTokens"] == 1_500_000


def test_energy_is_in_joules_with_its_bounds_and_source():
    (charge,) = charges(profile(POINT))
    inferences = int(charge["x_Inferences"])
    assert float(charge["x_EnergyJoules"]) == pytest.approx(50 * inferences)
    assert float(charge["x_EnergyJoulesLower"]) == pytest.approx(45 * inferences)
    assert float(charge["x_EnergyJoulesUpper"]) == pytest.approx(55 * inferences)
    assert charge["x_EnergySource"] == "measured"


def test_requests_that_met_the_service_level_bear_the_cost_of_the_others():
    goodput = msgspec.structs.replace(POINT.serving.goodput, met=True, attained=0.75)
    strict = msgspec.structs.replace(POINT, serving=msgspec.structs.replace(POINT.serving, goodput=goodput))
    (every,), (met,) = charges(profile(POINT)), charges(profile(strict))
    assert float(met["ConsumedQuantity"]) == pytest.approx(0.75 * float(every["ConsumedQuantity"]))
    for name in ("BilledCost", "x_EnergyJoules", "x_EnergyCost", "x_CostUpper"):
        assert float(met[name]) == pytest.approx(float(every[name])), name


def test_the_largest_prices_of_a_tariff_are_charged():
    dear = PRICES.with_values({"capital": 1e15, "life_years": 0.01, "utilization": 1e-9})
    (charge,) = charges(profile(POINT, tariff=dear))
    assert float(charge["BilledCost"]) > 1e20


def test_estimated_energy_is_labeled_in_the_charge_and_in_the_notes():
    energy = msgspec.structs.replace(
        POINT.energy,
        estimated_share=1.0,
        joules_per_inference=msgspec.structs.replace(
            POINT.energy.joules_per_inference,
            total=msgspec.structs.replace(POINT.energy.joules_per_inference.total, source="estimated"),
        ),
    )
    document = profile(msgspec.structs.replace(POINT, energy=energy))
    assert charges(document)[0]["x_EnergySource"] == "estimated"
    assert "estimated" in " ".join(EXPORTER.files(ExportRequest((document,))).notes)


def test_period_is_the_day_and_the_month_of_the_profile_in_utc():
    (charge,) = charges(profile(POINT, created="2026-12-31T23:30:00-02:00"))
    assert charge["ChargePeriodStart"] == "2027-01-01T00:00:00Z"
    assert charge["ChargePeriodEnd"] == "2027-01-02T00:00:00Z"
    assert (charge["BillingPeriodStart"], charge["BillingPeriodEnd"]) == (
        "2027-01-01T00:00:00Z",
        "2027-02-01T00:00:00Z",
    )


def test_work_without_tokens_is_charged_by_the_request():
    point = msgspec.structs.replace(
        POINT, output_tokens_per_second=None, output_tokens_per_inference=None, input_tokens_per_second=None,
        input_tokens_per_inference=None,
    )  # fmt: skip
    (charge,) = charges(profile(point))
    assert (charge["PricingUnit"], charge["ConsumedUnit"]) == ("Requests", "Requests")
    assert charge["PricingQuantity"] == f"{charge['x_Inferences']}.0"
    assert "x_InputTokens" not in json.loads(charge["SkuPriceDetails"])


def test_cost_basis_is_allocation_if_the_tariff_has_a_utilization():
    priced = msgspec.structs.replace(PRICES, utilization=0.25)
    assert [each["x_CostBasis"] for each in charges(profile(POINT, tariff=priced), profile(POINT))] == [
        "allocation",
        "usage",
    ]


def test_numbers_have_no_exponent_and_own_columns_have_the_prefix():
    (charge,) = charges(profile(POINT))
    for column in ("BilledCost", "ListUnitPrice", "ConsumedQuantity", "PricingQuantity", "x_EnergyJoules"):
        assert re.fullmatch(r"\d+\.\d+", charge[column])
    assert all(name.startswith("x_") or name[0].isupper() for name in charge)
    assert list(charge) == sorted(charge)


def test_foreign_names_cannot_become_formulas():
    document = profile(POINT)
    foreign = msgspec.structs.replace(document, host=msgspec.structs.replace(document.host, name="@SUM(1+1)\n=2"))
    assert charges(foreign)[0]["BillingAccountName"] == "'@SUM(1+1)\\n=2"


@pytest.mark.parametrize("currency", ["€", "euro", "eur"])
def test_currency_without_an_iso_code_is_refused(currency):
    with pytest.raises(ExportError, match="ISO 4217"):
        charges(profile(POINT, tariff=msgspec.structs.replace(PRICES, currency=currency)))


def test_point_without_energy_is_left_out_with_a_note():
    other = msgspec.structs.replace(load((512, 256), 0.1, 0.02, 4.0, rate=4.0), valid=False, energy=None)
    document = profile(POINT, other)
    assert len(charges(document)) == 1
    assert f"left out, since they have no energy: {other.name}" in " ".join(
        EXPORTER.files(ExportRequest((document,))).notes
    )


def test_profile_without_energy_is_refused():
    with pytest.raises(ExportError, match="an energy, which its cost needs"):
        charges(profile(msgspec.structs.replace(POINT, energy=None)))
