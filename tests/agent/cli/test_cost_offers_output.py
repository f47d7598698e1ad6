"""`inferometer cost` prints the answer about offers, and the page shows a real one."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from command import ROOT, call

if TYPE_CHECKING:
    from pathlib import Path


def test_the_command_has_the_answer_in_both_forms(tmp_path: Path) -> None:
    prices = tmp_path / "tariff.toml"
    prices.write_text(
        'currency = "EUR"\nprice_per_kwh = 0.25\ncapital = 900\n[[offer]]\nname = "api"\n'
        "price_per_million_input_tokens = 0.05\nprice_per_million_output_tokens = 0.2\n",
        encoding="utf-8",
    )
    words = (
        "cost",
        ROOT / "docs/serving.example.json",
        "--tariff",
        prices,
        "--demand",
        "5/s",
        "--require",
        "on_premises",
    )
    (found,) = json.loads(call(tmp_path, *words, "--json").stdout)["costs"]
    assert found["offers"]["cheapest"]["machines"] == found["fleet"]["machines"] == 3
    assert found["offers"]["cheapest"]["cost"] == pytest.approx(found["fleet"]["cost_per_year"])
    shown = call(tmp_path, *words).stdout
    assert "\nCheapest           3 own machines: " in shown
    assert "\nSovereignty        on_premises costs " in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_energy_of_a_day_has_the_prices_of_its_hours(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("time,requests_per_second\n00:00,0.1\n12:00,1.9\n", encoding="utf-8")
    prices = (
        'currency = "EUR"\nprice_per_kwh = 0.1\ncapital = 900\n{}[[offer]]\nname = "api"\n'
        "price_per_million_input_tokens = 0.05\nprice_per_million_output_tokens = 0.2\n"
    )
    noon = "[[time_of_day]]\nfrom_hour = 12\nuntil_hour = 24\nprice_per_kwh = 0.5\n"

    def priced(periods: str, demand: str) -> dict[str, Any]:
        (tmp_path / "tariff.toml").write_text(prices.format(periods), encoding="utf-8")
        words = ("cost", ROOT / "docs/serving.example.json", "--tariff", tmp_path / "tariff.toml", "--demand", demand)
        (found,) = json.loads(call(tmp_path, *words, "--json").stdout)["costs"]
        (own,) = [each for each in found["offers"]["options"] if each["offer"] is None]
        assert own["cost"] == pytest.approx(found["fleet"]["cost_per_year"])
        return {**own, "notes": found["offers"]["notes"]}

    dear, plain = priced(noon, str(tmp_path / "day.csv")), priced("", str(tmp_path / "day.csv"))
    assert dear["owned_energy"] > 3 * plain["owned_energy"]  # more than the mean price, which is three times as high
    assert any("price of its time of the day" in note for note in dear["notes"])
    assert any("mean price of a week" in note for note in priced(noon, "1/s")["notes"])


def test_an_offer_in_another_currency_is_refused_by_name(tmp_path: Path) -> None:
    prices = tmp_path / "tariff.toml"
    prices.write_text(
        'currency = "EUR"\nprice_per_kwh = 0.25\ncapital = 900\n[[offer]]\nname = "api"\ncurrency = "USD"\n'
        "price_per_million_output_tokens = 0.2\n",
        encoding="utf-8",
    )
    done = call(tmp_path, "cost", ROOT / "docs/serving.example.json", "--tariff", prices)
    assert (done.returncode, done.stdout) == (2, "")
    assert "offer api is in USD, and the tariff is in EUR: amounts are never converted" in done.stderr


def test_the_example_on_the_page_is_the_output_of_its_command(tmp_path: Path) -> None:
    """After a wanted change: INFEROMETER_WRITE_GOLDEN=1 pytest with this file, then read the difference."""
    page = ROOT / "docs/offers.md"
    text = page.read_text(encoding="utf-8")
    example = text.partition("## An example")[2]
    (tmp_path / "tariff.toml").write_text(example.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    words = re.findall(r"`inferometer (cost docs.*?)` prints", example)[0].split()
    words[1], words[3] = ROOT / words[1], tmp_path / words[3]
    shown = (
        call(tmp_path, *words).stdout.partition("Own machines, offers, or both.")[2].partition("\n\nValues behind")[0]
    )
    shown = f"Own machines, offers, or both.{shown}\n"
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        page.write_text(re.sub(r"(?<=```text\n).*?(?=```)", lambda _: shown, text, flags=re.DOTALL), encoding="utf-8")
        text = page.read_text(encoding="utf-8")
    assert re.findall(r"```text\n(.*?)```", text, re.DOTALL) == [shown]
