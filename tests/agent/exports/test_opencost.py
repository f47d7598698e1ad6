from __future__ import annotations

import csv
import io

import msgspec
import pytest

from agent.cost.tariff import Tariff
from agent.exports.opencost import EXPORTER
from agent.exports.records import ExportError, ExportRequest
from planner_documents import PRICES, load, profile

POINT = load((512, 256), 0.1, 0.02, 2.0, rate=2.0)


def rows(*documents, **facts):
    files = EXPORTER.files(ExportRequest(documents, facts)).files
    return list(csv.reader(io.StringIO(files["opencost.csv"].decode())))


def host(document, name):
    changed = msgspec.structs.replace(document.host, id=name, name=name)
    return msgspec.structs.replace(document, host=changed)


def test_node_has_the_price_of_an_hour_in_the_columns_of_opencost():
    columns, row = rows(profile(POINT), instance_id="node-7", region="eu", instance_type="metal")
    assert columns == [
        "EndTimestamp", "InstanceID", "Region", "AssetClass", "InstanceIDField", "InstanceType", "MarketPriceHourly",
        "Version",
    ]  # fmt: skip
    assert row[1:6] == ["node-7", "eu", "node", "metadata.name", "metal"]
    assert float(row[6]) == pytest.approx(1 + 0.3 * 0.1)  # 1 USD of capital an hour, and 100 W
    assert row[7] == "USD an hour, usage at 100%, energy measured"


def test_utilization_of_the_tariff_lowers_the_energy_of_an_hour():
    document = profile(POINT, tariff=msgspec.structs.replace(PRICES, utilization=0.5))
    assert float(rows(document)[1][6]) == pytest.approx(1 + 0.3 * (100 + 40) / 2 / 1000)


def test_name_of_the_host_is_the_node_unless_it_is_given_and_cannot_be_a_formula():
    document = host(profile(POINT), "=cmd|' /C calc'!A0")
    assert rows(document)[1][1] == "'=cmd|' /C calc'!A0"


def test_two_profiles_of_one_host_are_refused_since_a_node_has_one_price():
    with pytest.raises(ExportError, match="one price for each node"):
        rows(profile(POINT), profile(POINT))
    assert len(rows(host(profile(POINT), "a"), host(profile(POINT), "b"))) == 3


@pytest.mark.parametrize(
    ("tariff", "reason"),
    [
        (None, "prices: give them with --tariff"),
        (Tariff(price_per_kwh=0.3, currency="USD"), "a total cost .no total without capital.: give the price"),
        (Tariff(price_per_kwh=0.3, capital=1.0), "the currency of its prices"),
    ],
)
def test_refusal_names_the_missing_price(tariff, reason):
    with pytest.raises(ExportError, match=reason):
        rows(profile(POINT, tariff=tariff))


def test_currency_other_than_usd_is_noted_and_not_converted():
    def notes(currency):
        document = profile(POINT, tariff=msgspec.structs.replace(PRICES, currency=currency))
        return " ".join(EXPORTER.files(ExportRequest((document,))).notes)

    assert "EUR; OpenCost shows them in its own currency" in notes("EUR")
    assert "OpenCost shows" not in notes("USD")
