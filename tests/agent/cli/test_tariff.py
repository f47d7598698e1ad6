"""`tariff` writes a file that it accepts, checks each site, and shows the origin of each value."""

from __future__ import annotations

import json
import tomllib
from io import StringIO

import pytest

from agent.cost.limits import TariffError
from agent.cost.tariff_file import KEYS, read_tariff
from agent.cost.tariff_template import QUESTIONS, template, value_of
from command import ROOT, call

EXAMPLE = ROOT / "docs/tariff.example.toml"


def test_the_written_file_has_every_key_as_a_comment_and_is_valid(tmp_path):
    done = call(tmp_path, "tariff", "init", "-o", "tariff.toml")
    assert (done.returncode, done.stdout) == (0, "")
    text = (tmp_path / "tariff.toml").read_text(encoding="utf-8")
    assert {line.removeprefix("# ").partition(" = ")[0] for line in text.splitlines()} >= set(KEYS)
    assert tomllib.loads(text) == {}
    assert call(tmp_path, "tariff", "check", "tariff.toml").stdout == "tariff.toml is valid\n"


def test_without_a_terminal_the_file_goes_to_standard_output(tmp_path):
    assert call(tmp_path, "tariff", "init").stdout.rstrip("\n") == template({}).rstrip("\n")


def test_every_value_in_a_comment_is_valid():
    lines = [line.removeprefix("# ") for line in template({}).partition("[range]")[0].splitlines()]
    values = tomllib.loads("\n".join(line for line in lines if " = " in line))
    shared = {"facility_per_kw_month": 1, "provisioned_watts": 1, "distribution_loss": 0, "cooling_overhead": 0}
    assert values.keys() == {*KEYS, "measured"}
    for key in KEYS:
        others = {name: value for name, value in shared.items() if key not in {"pue", "price_per_hour"}}
        read_tariff({**others, key: values[key]})


def test_a_file_that_exists_is_not_replaced(tmp_path):
    (tmp_path / "tariff.toml").write_text("pue = 1", encoding="utf-8")
    done = call(tmp_path, "tariff", "init", "-o", "tariff.toml")
    assert done.returncode == 2
    assert "it exists and was not changed; --force replaces it" in done.stderr
    assert call(tmp_path, "tariff", "init", "-o", "tariff.toml", "--force").returncode == 0


def test_on_a_terminal_the_command_asks_until_an_answer_is_valid(tmp_path, monkeypatch):
    answers = iter(["EUR", "-1", "much", "0.3", *[""] * len(QUESTIONS)])
    monkeypatch.setattr("typer.prompt", lambda *_words, **_more: next(answers))
    monkeypatch.setattr("agent.cli.tariff._on_terminal", lambda: True)
    done = call(tmp_path, "tariff", "init")
    assert done.returncode == 0
    assert "price_per_kwh = -1" in done.stderr
    assert "price_per_kwh = 'much' is not a number" in done.stderr
    written = tomllib.loads((tmp_path / "tariff.toml").read_text(encoding="utf-8"))
    assert written == {"currency": "EUR", "price_per_kwh": 0.3}


def test_an_input_that_ends_before_the_last_answer_is_one_error_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("EUR\n"))
    monkeypatch.setattr("agent.cli.tariff._on_terminal", lambda: True)
    done = call(tmp_path, "tariff", "init")
    assert done.returncode == 2
    assert done.stderr == "\nerror: the input ended before the last answer; nothing was written\n"
    assert not (tmp_path / "tariff.toml").exists()


@pytest.mark.parametrize(("answer", "value"), [("0.3", 0.3), ("1e3", 1000)])
def test_an_answer_is_a_number(answer, value):
    assert value_of("pue", answer) == value
    with pytest.raises(TariffError, match="is not a number"):
        value_of("pue", "x")


def test_an_answer_is_written_with_all_of_its_digits():
    assert tomllib.loads(template({"capital": 1234567.89})) == {"capital": 1234567.89}


def test_a_text_with_quotes_is_written_as_toml():
    assert tomllib.loads(template({"currency": 'a "b"'})) == {"currency": 'a "b"'}


def test_a_wrong_file_is_refused_with_its_key_and_the_allowed_values(tmp_path):
    (tmp_path / "tariff.toml").write_text("[[site]]\nname = 'a'\nutilization = 30", encoding="utf-8")
    done = call(tmp_path, "tariff", "check", "tariff.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tariff.toml: site a: utilization = 30 is out of range: it must be from 1e-9 to 1" in done.stderr
    assert call(tmp_path, "tariff", "show", "absent.toml").returncode == 2


def test_the_sites_of_a_valid_file_are_named(tmp_path):
    (tmp_path / "tariff.toml").write_text("[[site]]\nname = 'a'\n[[site]]\nname = 'b'", encoding="utf-8")
    assert call(tmp_path, "tariff", "check", "tariff.toml").stdout == "tariff.toml is valid, with the sites a, b\n"
    found = json.loads(call(tmp_path, "tariff", "check", "tariff.toml", "--json").stdout)
    assert found == {"file": "tariff.toml", "valid": True, "sites": ["a", "b"]}


def test_shown_values_have_their_origins(tmp_path):
    (tmp_path / "tariff.toml").write_text(
        """
price_per_kwh = 0.3
utilization = 0.4
provisioned_watts = 100
facility_per_kw_month = 5
facility_includes_power = false
measured = ["utilization"]
range.price_per_kwh = [0.2, 0.4]
[[time_of_day]]
from_hour = 22
until_hour = 6
price_per_kwh = 0.1
[[offer]]
name = "cloud"
price_per_hour = 2
requests_per_second = 1
""",
        encoding="utf-8",
    )
    found = json.loads(call(tmp_path, "tariff", "show", "tariff.toml", "--json").stdout)
    origins = {each["name"]: (each["origin"], each["source"]) for each in found["values"]}
    assert origins["utilization"] == ("measured", "")
    assert origins["price_per_kwh"] == ("given", "")
    assert origins["pue"][0] == "default"
    assert "Uptime" in origins["pue"][1]
    assert origins["life_years"][0] == "assumed"
    assert "capital" in {each["name"] for each in found["missing"]}
    assert found["ranges"] == [{"name": "price_per_kwh", "low": 0.2, "high": 0.4}]
    shown = call(tmp_path, "tariff", "show", "tariff.toml").stdout
    for words in ("22 to 6 h", "cloud", "instance", "false", "price_per_kwh  0.2   0.4", "no capital part"):
        assert words in shown


def test_the_example_is_shown_with_its_values_given(tmp_path):
    found = json.loads(call(tmp_path, "tariff", "show", EXAMPLE, "--json").stdout)
    assert {each["origin"] for each in found["values"]} == {"given"}
