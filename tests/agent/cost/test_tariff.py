"""Tariffs are taken as the user wrote them, know whose number each one is, and are refused with the remedy named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agent.cost.limits import TariffError
from agent.cost.tariff import DEFAULTS, Tariff, load_tariff, read_tariff

DOCS = Path(__file__).parents[3] / "docs"
NAMES = [name for name in Tariff.__struct_fields__ if name != "given"]


def written(folder: Path, text: str) -> Path:
    path = folder / "tariff.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_gives_the_defaults_and_nothing_else(tmp_path: Path) -> None:
    tariff = load_tariff(written(tmp_path, ""))
    assert tariff == Tariff()
    assert (tariff.pue, tariff.life_years, tariff.residual_share, tariff.discount_rate) == (1.54, 4, 0, 0)
    assert {name for name in NAMES if tariff.origin(name) is None} == set(NAMES) - {d.name for d in DEFAULTS}
    assert tariff.assumed == DEFAULTS


def test_every_default_names_its_source() -> None:
    sources = {default.name: default.source for default in DEFAULTS}
    assert "Uptime Institute" in sources.pop("pue")
    assert set(sources.values()) == {"assumed"}


def test_every_key_is_read(tmp_path: Path) -> None:
    lines = [f"{name} = {index / 100 + 1 if name == 'pue' else index / 100}" for index, name in enumerate(NAMES, 1)]
    text = "\n".join(lines).replace("currency = 0.02", 'currency = "EUR"')
    tariff = load_tariff(written(tmp_path, text))
    assert [getattr(tariff, name) for name in NAMES] == [
        0.01, "EUR", 1.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.13
    ]  # fmt: skip
    assert {tariff.origin(name) for name in NAMES} == {"given"}
    assert tariff.assumed == ()


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
    with pytest.raises(TariffError, match=r"^utilization = 2 is out of range: it must be more than 0 and at most 1"):
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
        ("pue = 0.99", "1 or more"),
        ("life_years = 0", "more than 0"),
        ("provisioned_watts = 0", "more than 0"),
        ("residual_share = 1.1", "from 0 to 1"),
        ("discount_rate = 5", "from 0 to 1"),
        ("maintenance_share = 5", "from 0 to 1"),
        ("utilization = 0", "more than 0 and at most 1"),
        ("utilization = 30", "more than 0 and at most 1"),
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


@pytest.mark.parametrize("line", ["facility_per_kw_month = 180", "provisioned_watts = 1500"])
def test_half_a_facility_is_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(TariffError, match="facility_per_kw_month and provisioned_watts are given together"):
        load_tariff(written(tmp_path, line))


def test_a_misspelt_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = written(tmp_path, "price_per_kw = 0.3")
    with pytest.raises(TariffError) as caught:
        load_tariff(path)
    assert str(caught.value) == f"{path}: unknown key 'price_per_kw': did you mean price_per_kwh?"


def test_an_unknown_key_without_a_near_one_lists_all_keys(tmp_path: Path) -> None:
    with pytest.raises(TariffError, match=r"unknown key 'energy': the keys are price_per_kwh, .*without sections"):
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


def test_the_example_file_shows_every_key_and_is_a_tariff_with_all_of_them(tmp_path: Path) -> None:
    text = (DOCS / "tariff.example.toml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    tariff = load_tariff(written(tmp_path, "\n".join(lines)))
    assert set(tariff.given) == set(NAMES)


def test_the_page_names_every_key_and_every_default() -> None:
    page = (DOCS / "cost.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(" `"): cells for line in page.splitlines() if len(cells := line.split("|")) > 4}
    assert set(NAMES) <= rows.keys()
    for default in DEFAULTS:
        assert rows[default.name][4].strip().startswith(f"{default.value:g}")
    for name in set(NAMES) - {default.name for default in DEFAULTS}:
        assert rows[name][4].strip() == "none"
