"""Tariffs are taken as the user wrote them, know whose number each one is, and are refused with the remedy named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from agent.cost.limits import TariffError
from agent.cost.tariff import DEFAULTS, Tariff
from agent.cost.tariff_file import KEYS, load_tariff, read_tariff

OVERHEADS = ("cooling_overhead", "distribution_loss")
DOCS = Path(__file__).parents[3] / "docs"
NAMES = list(KEYS)


def written(folder: Path, text: str) -> Path:
    path = folder / "tariff.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_gives_the_defaults_and_nothing_else(tmp_path: Path) -> None:
    tariff = load_tariff(written(tmp_path, ""))
    assert tariff == Tariff()
    assert (tariff.pue, tariff.life_years, tariff.residual_share, tariff.discount_rate) == (1.54, 4, 0, 0)
    assert {name for name in NAMES if tariff.origin(name) is None} == set(NAMES) - {d.name for d in DEFAULTS}
    assert {name: tariff.origin(name) for name in ("pue", "life_years")} == {"pue": "default", "life_years": "assumed"}
    assert tariff.assumed == DEFAULTS


def test_every_default_names_its_source() -> None:
    sources = {default.name: default.source for default in DEFAULTS}
    assert "Uptime Institute" in sources.pop("pue")
    assert set(sources.values()) == {"assumed"}


EXCLUSIVE = ("pue", "capital", "maintenance_share", "facility_per_kw_month", "facility_includes_power")
"""Keys beside which cooling_overhead, distribution_loss or price_per_hour is refused."""


def test_every_key_is_read(tmp_path: Path) -> None:
    values = {name: index / 100 for index, name in enumerate(NAMES, 1)}
    values |= {name: 1 + values[name] for name in ("pue", "wall_factor", "peak_factor")}
    values |= {"currency": "EUR", "facility_includes_power": True, "spares": 2}
    owned = {name: value for name, value in values.items() if name not in {*OVERHEADS, "price_per_hour"}}
    rented = {name: value for name, value in values.items() if name not in EXCLUSIVE}
    assert {*owned, *rented} == set(NAMES)
    for given in (owned, rented):
        text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in given.items())
        tariff = load_tariff(written(tmp_path, text))
        assert {name: getattr(tariff, name) for name in given} == given
        assert {tariff.origin(name) for name in given} == {"given"}
        assert set(tariff.given) == set(given)


def test_a_default_that_the_user_wrote_down_is_given(tmp_path: Path) -> None:
    tariff = load_tariff(written(tmp_path, "pue = 1.54\nlife_years = 5"))
    assert tariff.origin("pue") == "given"
    assert tariff.origin("life_years") == "given"
    assert [default.name for default in tariff.assumed] == ["residual_share", "discount_rate"]


def test_a_value_other_than_the_default_is_given() -> None:
    assert Tariff(pue=1.2).origin("pue") == "given"
    assert Tariff(capital=100).origin("capital") == "given"


def test_options_override_the_file_and_leave_the_rest(tmp_path: Path) -> None:
    tariff = load_tariff(written(tmp_path, 'price_per_kwh = 0.2\ncurrency = "EUR"\ncapital = 100'))
    changed = tariff.with_options(price_per_kwh=0.3, life_years=4, utilization=0.5)
    assert (changed.price_per_kwh, changed.currency, changed.capital, changed.utilization) == (0.3, "EUR", 100, 0.5)
    assert changed.origin("life_years") == "given"
    assert changed.origin("pue") == "default"
    assert tariff.with_options() == tariff


def test_every_option_can_be_given() -> None:
    tariff = Tariff().with_options(price_per_kwh=0, currency="CHF", capital=0, life_years=0.5, pue=1, utilization=1)
    assert set(tariff.given) == {"price_per_kwh", "currency", "capital", "life_years", "pue", "utilization"}
    assert (tariff.price_per_kwh, tariff.currency, tariff.capital) == (0, "CHF", 0)
    assert (tariff.life_years, tariff.pue, tariff.utilization) == (0.5, 1, 1)


def test_an_option_out_of_range_is_refused() -> None:
    with pytest.raises(TariffError, match=r"^utilization = 2 is out of range: it must be from 1e-9 to 1"):
        Tariff().with_options(utilization=2)


def test_a_price_without_a_currency_invents_none() -> None:
    tariff = read_tariff({"price_per_kwh": 0.3, "capital": 5000})
    assert tariff.currency is None
    assert tariff.origin("currency") is None


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("price_per_kwh = -0.1", "0 or more"),
        ("price_per_kwh = nan", "0 or more"),
        ("capital = inf", "0 or more"),
        (f"capital = 1{'0' * 400}", "0 or more"),
        ("licences_per_year = -1", "0 or more"),
        ("facility_per_kw_month = -1", "0 or more"),
        ("carbon_intensity_g_per_kwh = -1", "0 or more"),
        ("pue = 0.99", "from 1 to 1000"),
        ("life_years = 0", "from 0.01 to 200"),
        ("provisioned_watts = 0", "more than 0"),
        ("residual_share = 1.1", "from 0 to 1"),
        ("discount_rate = 5", "from 0 to 1"),
        ("maintenance_share = 5", "from 0 to 1"),
        ("utilization = 0", "from 1e-9 to 1"),
        ("utilization = 30", "from 1e-9 to 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_file_field_value_and_range(
    line: str, allowed: str, tmp_path: Path
) -> None:
    path = written(tmp_path, line)
    with pytest.raises(TariffError) as caught:
        load_tariff(path)
    name, value = line.split(" = ")
    shown = value if len(value) < 80 else f"{value[:30]}"  # a long one is shortened
    assert str(caught.value).startswith(f"{path}: {name} = {shown}")
    assert f" is out of range: it must be {allowed}" in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize("value", ['"0.3"', "true", "[1]", "{ a = 1 }", "2025-01-01"])
def test_a_value_of_another_type_is_not_a_number(value: str, tmp_path: Path) -> None:
    with pytest.raises(TariffError, match=r"tariff.toml: price_per_kwh = .* is not a number: it must be 0 or more"):
        load_tariff(written(tmp_path, f"price_per_kwh = {value}"))


def test_none_is_refused_for_a_field_with_a_default() -> None:
    with pytest.raises(TariffError, match="pue = None is not a number"):
        read_tariff({"pue": None})


@pytest.mark.parametrize("value", ['""', '" "', "1", r'"EUR\n"'])
def test_a_currency_is_a_printable_text(value: str, tmp_path: Path) -> None:
    with pytest.raises(TariffError, match="is not the name of a currency"):
        load_tariff(written(tmp_path, f"currency = {value}"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("facility_per_kw_month = 180", "facility_per_kw_month is given without provisioned_watts"),
        ("facility_includes_power = true", "facility_includes_power is given without facility_per_kw_month"),
        ("cooling_overhead = 0.3", "cooling_overhead and distribution_loss are given together"),
        ("cooling_overhead = 0.3\ndistribution_loss = 0.1\npue = 1.4", "pue is given beside cooling_overhead"),
        ("price_per_hour = 2\ncapital = 100", "capital is given beside price_per_hour"),
        ("price_per_hour = 2\nmaintenance_share = 0.1", "maintenance_share is given beside price_per_hour"),
        ("facility_includes_power = 1", "facility_includes_power = 1 is not true or false"),
        ("spares = 1.5", "spares = 1.5 is out of range: it must be a whole number"),
        ("spares = -1", "spares = -1 is out of range"),
        ("headroom = 1", "headroom = 1 is out of range"),
        ('measured = "pue"', "measured is not a list of keys"),
        ('measured = ["pue"]', "measured = 'pue' is not a field that the tariff gives"),
        ("range = 1", "range is not a table"),
        ("range.capital = [1, 2]", "range.capital: the tariff gives no number capital"),
        ("range.currency = [1, 2]", "range.currency: the tariff gives no number currency"),
        ("pue = 1.2\nrange.pue = [1.1, 1.15]", r"range.pue = \[1.1, 1.15\] does not contain pue = 1.2"),
        ("pue = 1.2\nrange.pue = [0.9, 1.3]", "range.pue = 0.9 is out of range: it must be from 1 to 1000"),
        ("pue = 1.2\nrange.pue = [1.1]", r"range.pue = \[1.1\] is not a range: write"),
        ('pue = 1.2\nrange.pue = [1.1, "x"]', r"range.pue = \[1.1, 'x'\] is not a range"),
        ('currency = "EUR"\n[[offer]]\nname = "x"\nprice_per_hour = 1\nrequests_per_second = 1\ncurrency = "USD"',
         "offer x is in USD"),
    ],
)  # fmt: skip
def test_keys_that_contradict_one_another_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(TariffError, match=f"tariff.toml: {problem}"):
        load_tariff(written(tmp_path, text))


def test_a_power_without_a_price_of_the_facility_is_allowed() -> None:
    assert read_tariff({"provisioned_watts": 1500}).provisioned_watts == 1500


def test_a_misspelt_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = written(tmp_path, "price_per_kw = 0.3")
    with pytest.raises(TariffError) as caught:
        load_tariff(path)
    assert str(caught.value) == f"{path}: unknown key 'price_per_kw': did you mean price_per_kwh?"


def test_an_unknown_key_without_a_near_one_lists_all_keys(tmp_path: Path) -> None:
    with pytest.raises(TariffError, match=r"unknown key 'energy': the keys are price_per_kwh, .*"):
        load_tariff(written(tmp_path, "[energy]\nprice_per_kwh = 0.3"))


def test_an_internal_field_is_not_a_key(tmp_path: Path) -> None:
    with pytest.raises(TariffError, match="unknown key 'given'"):
        load_tariff(written(tmp_path, 'given = ["pue"]'))


@pytest.mark.parametrize("content", [b"price_per_kwh = ", b"currency = '\xff'"])
def test_a_file_that_is_not_toml_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tariff.toml"
    path.write_bytes(content)
    with pytest.raises(TariffError, match=r"tariff.toml: this is not TOML: "):
        load_tariff(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TariffError, match=r"absent.toml: it cannot be read \(No such file"):
        load_tariff(tmp_path / "absent.toml")


def test_a_number_that_is_not_finite_is_refused_without_a_file() -> None:
    with pytest.raises(TariffError, match="pue = nan is out of range"):
        Tariff(pue=math.nan)


def test_an_unknown_field_has_no_origin() -> None:
    with pytest.raises(AttributeError):
        Tariff().origin("price")


def test_the_example_file_is_a_tariff() -> None:
    tariff = load_tariff(DOCS / "tariff.example.toml")
    assert (tariff.capital, tariff.price_per_kwh, tariff.utilization) == (35000, 0.12, 0.1)
    assert tariff.assumed == ()


def test_the_example_file_shows_every_key_and_table() -> None:
    text = (DOCS / "tariff.example.toml").read_text(encoding="utf-8")
    shown = {line.removeprefix("# ").partition(" = ")[0] for line in text.splitlines()}
    assert set(NAMES) <= shown
    assert {"[range]", "[[time_of_day]]", "[[offer]]", "[[site]]"} <= shown


def test_the_page_names_every_key_and_every_default() -> None:
    page = (DOCS / "cost.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(" `"): cells for line in page.splitlines() if len(cells := line.split("|")) > 4}
    assert set(NAMES) <= rows.keys()
    for default in DEFAULTS:
        assert rows[default.name][4].strip().startswith(f"{default.value:g}")
    for name in set(NAMES) - {default.name for default in DEFAULTS}:
        assert rows[name][4].strip() == "none"
