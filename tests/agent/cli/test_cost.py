"""`cost` prices stored profiles and files without measuring, and an error names the object, the cause and the fix."""

from __future__ import annotations

import json
import os

import pytest

from agent.render.cost_text import cost_text
from command import ROOT, call
from stored import store_profile

SERVED = ROOT / "docs/serving.example.json"
PLAIN = ROOT / "docs/profile.example.json"
GOLDEN = ROOT / "tests/golden/cost.txt"
TARIFF = """
currency = "EUR"
price_per_kwh = 0.30
capital = 900
utilization = 0.3
[[site]]
name = "Oslo"
price_per_kwh = 0.60
"""
OFFER = """
[[offer]]
name = "api"
price_per_million_input_tokens = 0.15
price_per_million_output_tokens = 0.6
"""


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "tariff.toml"
    path.write_text(TARIFF, encoding="utf-8")
    return path


def answer(home, *words):
    done = call(home, "cost", *words, "--json")
    assert (done.returncode, done.stderr.partition(":")[0]) in {(0, ""), (0, "note")}
    return json.loads(done.stdout)["costs"]


def test_a_file_and_a_stored_profile_are_priced_alike(tmp_path, prices):
    store_profile(tmp_path, PLAIN.read_text(encoding="utf-8"))
    one, other = answer(tmp_path, "latest", PLAIN, "--tariff", prices)
    assert one == other
    assert one["totals"]["usage"]["mean"] > 0
    assert answer(tmp_path, "--tariff", prices) == [one]


def test_without_a_tariff_the_prices_of_the_profile_count(tmp_path):
    (own,) = answer(tmp_path, PLAIN)
    recorded = json.loads(PLAIN.read_text(encoding="utf-8"))
    point = next(each for each in recorded["points"] if each["name"] == own["point"])
    assert own["cost"]["usage"]["per_hour"]["capital"] == point["cost"]["usage"]["per_hour"]["capital"]


def test_other_values_and_another_site_change_the_price(tmp_path, prices):
    def energy(*words):
        (found,) = answer(tmp_path, SERVED, "--tariff", prices, *words)
        return found["cost"]["usage"]["per_hour"]["energy"]

    assert energy("--site", "Oslo") == pytest.approx(2 * energy())
    assert energy("--what-if", "price_per_kwh=0.15") == pytest.approx(energy() / 2)
    assert energy("--what-if", "pue=1, price_per_kwh=0.15") == pytest.approx(energy() / 2 / 1.54)
    (found,) = answer(tmp_path, SERVED, "--tariff", prices, "--what-if", "currency=CHF")
    assert found["currency"] == "CHF"


def test_the_sites_of_a_tariff_are_named_until_one_is_chosen(tmp_path, prices):
    words = ("cost", SERVED, "--tariff", prices)
    assert call(tmp_path, *words).stderr == "note: the tariff has the sites Oslo; --site counts the values of one\n"
    assert call(tmp_path, *words, "--site", "Oslo").stderr == ""


def test_a_rent_replaces_the_purchase(tmp_path, prices):
    (found,) = answer(tmp_path, SERVED, "--tariff", prices, "--price-per-hour", "2.5")
    hour = found["cost"]["usage"]["per_hour"]
    assert (hour["energy"], hour["capital"]) == (0, 2.5)
    assert [line["name"] for line in hour["lines"]] == ["rent"]
    (found,) = answer(tmp_path, SERVED, "--price-per-hour", "2.5", "--demand", "20/s")
    assert found["fleet"]["capital"] is None


def test_a_demand_gives_a_fleet_and_years_give_their_payments(tmp_path, prices):
    (found,) = answer(tmp_path, SERVED, "--tariff", prices, "--demand", "40/s", "--years", "5")
    assert found["fleet"]["machines"] == 21
    assert [year["year"] for year in found["ownership"]["years"]] == [1, 2, 3, 4, 5]
    assert found["offers"] is None


def test_offers_in_the_tariff_are_compared(tmp_path, prices):
    prices.write_text(TARIFF + OFFER, encoding="utf-8")
    (found,) = answer(tmp_path, SERVED, "--tariff", prices, "--demand", "40/s")
    assert found["offers"]["break_even"]
    shown = call(tmp_path, "cost", SERVED, "--tariff", prices, "--demand", "40/s").stdout
    assert "Own machines are cheaper than an offer" in shown


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--what-if", "pui=1"], "--what-if: unknown key 'pui': did you mean pue?"),
        (["--what-if", "pue"], "--what-if: 'pue' is not KEY=VALUE, such as pue=1.1"),
        (["--what-if", "pue=0.5"], "--what-if: pue = 0.5 is out of range: it must be from 1 to 1000"),
        (["--what-if", "pue=x"], "--what-if: pue = 'x' is not a number"),
        (["--what-if", f"pue={'1' * 5001}"], "--what-if: pue: a number in it has thousands of digits"),
        (["--what-if", f"pue={'[' * 50_000}"], "--what-if: pue: its values are nested too deep"),
        (["--site", "Rome"], "there is no site 'Rome': its sites are Oslo"),
        (["--require", "region=EU"], "--require: the tariff has no [[offer]] that could meet it"),
        (["--demand", "soon"], "--demand: 'soon' is not a demand"),
        (["--demand", "1e400/s"], "--demand: '1e400/s' is too much: it must be from 1e-9 to 1e15 requests per second"),
        (["--what-if", "rack_watts=1", "--demand", "4/s"], "rack_watts = 1 is less than the"),
        (["--price-per-hour", "-1"], "--price-per-hour: -1 is out of range"),
        (["--years", "0"], "--years: 0 is out of range"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(tmp_path, prices, words, problem):
    done = call(tmp_path, "cost", SERVED, "--tariff", prices, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_a_profile_without_prices_names_the_way_to_some(tmp_path):
    bare = tmp_path / "bare.json"
    recorded = json.loads(PLAIN.read_text(encoding="utf-8"))
    points = [{**point, "cost": None} for point in recorded["points"]]
    bare.write_text(json.dumps({**recorded, "tariff": None, "points": points}), encoding="utf-8")
    done = call(tmp_path, "cost", bare)
    assert done.returncode == 2
    assert "has no prices: give them with --tariff FILE.toml, which `inferometer tariff init` writes" in done.stderr
    assert "name it with --tariff" in call(tmp_path, "cost", bare, "--site", "Oslo").stderr


def test_a_profile_without_energy_is_an_error(tmp_path, prices):
    silent = tmp_path / "silent.json"
    recorded = json.loads(PLAIN.read_text(encoding="utf-8"))
    points = [{**point, "energy": None, "power": None, "cost": None} for point in recorded["points"]]
    silent.write_text(json.dumps({**recorded, "points": points}), encoding="utf-8")
    done = call(tmp_path, "cost", silent, "--tariff", prices)
    assert done.returncode == 1
    assert "has no point with energy, so it has no cost" in done.stderr


def test_a_missing_library_is_named_with_its_extra(tmp_path, prices, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    done = call(tmp_path, "cost", SERVED, "--tariff", prices)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'inferometer[planning]'" in done.stderr


def test_the_printed_cost_is_the_golden_one(tmp_path, prices):
    """After a wanted change: INFEROMETER_WRITE_GOLDEN=1 pytest with this file, then read the difference."""
    more = "embodied_kg_co2e = 100\ncarbon_intensity_g_per_kwh = 300\nrack_watts = 300\n"
    more += "[range]\nutilization = [0.1, 0.5]\n"
    prices.write_text(TARIFF.replace("[[site]]", f"{more}[[site]]"), encoding="utf-8")
    words = ("cost", SERVED, "--tariff", prices, "--site", "Oslo", "--demand", "40/s", "--years", "3")
    shown = call(tmp_path, *words).stdout
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        GOLDEN.write_text(shown, encoding="utf-8")
    assert shown == GOLDEN.read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) <= 80
    begin = shown.partition("\n\nPrice of a million tokens")[0]
    assert f"```\n{begin}\n```\n" in (ROOT / "docs/cost.md").read_text(encoding="utf-8")


def test_an_answer_without_a_price_has_its_parts(tmp_path):
    (found,) = answer(tmp_path, SERVED, "--price-per-hour", "0")
    shown = cost_text(found, 80)
    assert "Price of a million output tokens" in shown
    partial = {**found, "totals": {}, "sensitivity": [], "token_prices": None, "cost_of_idle": None, "currency": None}
    partial["cost"]["usage"]["per_hour"]["lines"] = []
    partial["cost"]["usage"]["no_total_reason"] = "no total without capital"
    partial["cost"]["allocation"] = None
    assert cost_text(partial, 80).startswith("1M output tokens   no total without capital\n")


def test_hostile_names_do_not_reach_the_terminal(tmp_path, prices):
    (found,) = answer(tmp_path, SERVED, "--tariff", prices)
    shown = cost_text({**found, "host": "a\x1b[31m", "workload": "b\nc"}, 80)
    assert "\x1b" not in shown
    assert "b\\nc" in shown
