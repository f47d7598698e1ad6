"""The answer about offers as a document; a wrong demand or requirement is refused by its option."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer
from msgspec import convert

from agent.cli.cost_offers import demand_of, offers_answer
from agent.config import SharedOptions
from agent.cost.offers import Offer
from agent.cost.rented import Mix
from agent.cost.tariff import Tariff
from agent.profiling.records import Document
from command import ROOT, call
from store.database import open_database
from store.records import Host, ServingHour
from store.writer import Writer
from stored import prepared

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = convert(json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8")), Document)
OFFERS = (
    Offer(name="api", price_per_million_input_tokens=0.05, price_per_million_output_tokens=0.2, region="EU"),
    Offer(name="cloud", price_per_hour=0.05, output_tokens_per_second=60, price_change_per_year=-0.1),
)
TARIFF = Tariff(price_per_kwh=0.25, currency="EUR", capital=900, utilization=0.3, peak_factor=2, offers=OFFERS)
MIX = Mix(300, 0, 100)
CAPACITY = DOCUMENT.points[-1].inferences_per_second.mean


class Context:
    """A context of the command line with a store, as the commands read it."""

    def __init__(self, database: Path) -> None:
        self.obj = SharedOptions(None, {"database": str(database)}, {})


def context(folder: Path) -> typer.Context:
    return cast("typer.Context", Context(folder / "own.db"))


def answered(folder: Path, demand: str | None = None, *required: str, **changes: Any) -> dict[str, Any]:
    parsed = demand_of(context(folder), demand, MIX) if demand else None
    found = offers_answer(DOCUMENT, TARIFF.with_values(changes), parsed, list(required))
    return cast("dict[str, Any]", json.loads(json.dumps(found, allow_nan=False)))


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    """Return the error of a command that has just ended."""
    assert code
    return capsys.readouterr().err


def stored(folder: Path, *hours: ServingHour) -> None:
    engine = open_database(str(prepared(folder / "own.db")))
    writer = Writer(engine)
    for host in {each.host_id for each in hours}:
        writer.register(Host(host, "n"), [], "daemon", 1)
    writer.save_serving_hours(list(hours))
    engine.dispose()


def hour(
    age: int, requests: str = "[]", tokens: str = "[]", model: str = "m", host: str = "h", **sums: float
) -> ServingHour:
    number = int(time.time()) // 3600 - age
    bins = {"bins": 360, "censored_bins": 0, **sums}
    return ServingHour(
        host, "chat", model, number, "arrivals", "measured",
        int(bins["bins"]), int(bins["censored_bins"]), requests, tokens, output_tokens=sums.get("output_tokens"),
    )  # fmt: skip


def test_the_answer_has_the_machine_the_demand_and_the_options(tmp_path: Path) -> None:
    found = answered(tmp_path, "5/s")
    assert found["profile"] == DOCUMENT.id
    assert found["point"] == "concurrency=4"
    assert found["capacity_requests_per_second"] == CAPACITY
    assert found["demand"]["mean_requests_per_second"] == 5
    assert found["currency"] == "EUR"
    assert found["cheapest"] == found["options"][0]
    assert {each["offer"] for each in found["break_even"]} == {"api", "cloud"}
    assert next(each["machines"] for each in found["options"] if each["offer"] is None) == 6  # twice 5/s over 1.94/s
    assert {each["owning_wins"] for each in found["break_even"]} <= {0.0, 1.0}
    assert "machines and instances are sized for 2 times the demand" in found["notes"]
    assert any("the price of cloud changes by -10 % a year" in note for note in found["notes"])


def test_the_sizes_of_own_machines_are_named(tmp_path: Path) -> None:
    notes = answered(tmp_path, "5/s", headroom=0.2, spares=1)["notes"]
    assert "20 % of each own machine stays free at the peak" in notes
    assert "spares: 1" in notes
    assert any("fully used at the peak" in note for note in answered(tmp_path, "5/s", peak_factor=None)["notes"])


def test_without_a_demand_the_utilization_of_the_tariff_is_the_demand(tmp_path: Path) -> None:
    found = answered(tmp_path)
    assert found["demand"]["origin"] == "assumed"
    assert found["demand"]["mean_requests_per_second"] == pytest.approx(0.3 * CAPACITY)
    (own,) = [each for each in found["options"] if each["offer"] is None]
    assert own["machines"] == 1  # as on the allocation basis, although the tariff has a peak factor
    without = answered(tmp_path, None, utilization=None)
    assert without["options"] == []
    assert [each["owning_wins"] for each in without["break_even"]] == [None, None]


def test_years_add_the_rents_of_each_offer(tmp_path: Path) -> None:
    prices = tmp_path / "tariff.toml"
    offers = "".join(
        f'[[offer]]\nname = "{name}"\nprice_per_million_input_tokens = {price}\nprice_per_million_output_tokens = 1\n'
        for name, price in (("dear", 0.2), ("cheap", 0.1))
    )
    prices.write_text(f"price_per_kwh = 0.25\ncapital = 900\nutilization = 0.3\n{offers}", encoding="utf-8")
    words = ("cost", ROOT / "docs/serving.example.json", "--tariff", prices, "--years", "2")
    (found,) = json.loads(call(tmp_path, *words, "--json").stdout)["costs"]
    assert [(each["offer"], len(each["payments"])) for each in found["offers"]["rents"]] == [("cheap", 2), ("dear", 2)]
    assert "Payments of 2 years in price units, with growth" in call(tmp_path, *words).stdout
    assert answered(tmp_path, "5/s")["rents"] == []


def test_requirements_have_a_price(tmp_path: Path) -> None:
    found = answered(tmp_path, "5/s", "on_premises", "confidential_share=30%")
    assert found["requirements"]["on_premises"]
    assert "own machines are assumed to meet the requirements" in found["notes"]
    assert all(each["objections"] for each in found["break_even"])
    assert found["cheapest"]["offer"] is None
    assert found["sovereignty_per_year"] == pytest.approx(found["cheapest"]["cost"] - found["options"][0]["cost"])


def test_a_rented_own_machine_is_not_assumed_to_meet_the_requirements() -> None:
    found = offers_answer(DOCUMENT, TARIFF.rented(0.05), None, ["on_premises"])
    assert "the own machine is a rented one: check that it meets the requirements" in found["notes"]
    assert [offer["name"] for offer in found["offers"]] == ["api", "cloud"]


def test_a_day_has_its_own_peaks(tmp_path: Path) -> None:
    day = tmp_path / "day.csv"
    day.write_bytes(b"\xef\xbb\xbftime,requests_per_second\r\n00:00,1\r\n12:00,5\r\n")
    found = answered(tmp_path, str(day))
    assert found["peak_factor"] == 1
    assert found["demand"]["mean_requests_per_second"] == 3
    assert next(each["machines"] for each in found["options"] if each["offer"] is None) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "--demand: {path}: it cannot be read (No such file"),
        ("rows.csv", b"time,requests_per_second\n8,1", "--demand: {path}: line 2: '8,1' is not a time and a rate"),
        ("text.csv", b"\xff\xfe", "--demand: {path}: it is not UTF-8"),
        ("named-without-suffix", b"", "--demand: {path}: it has no rows"),
        ("large.csv", b"x" * (5 << 20), "--demand: {path}: it is larger than 4 MiB"),
    ],
)
def test_an_unreadable_day_is_refused_with_its_file(
    name: str, content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(typer.Exit) as ended:
        answered(tmp_path, str(path))
    assert message.format(path=path) in refused(capsys, ended.value.exit_code)


def test_an_invalid_option_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for demand, required, message in (
        ("40", [], "--demand: '40' is not a demand: give requests such as 40/s"),
        ("5/s", ["premises"], "--require: 'premises' is not a requirement"),
    ):
        with pytest.raises(typer.Exit) as ended:
            answered(tmp_path, demand, *required)
        assert message in refused(capsys, ended.value.exit_code)


def test_a_missing_price_ends_the_command_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        answered(tmp_path, "5/s", capital=None)
    assert "the tariff has no capital" in refused(capsys, ended.value.exit_code)


def test_a_demand_for_too_many_machines_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        answered(tmp_path, "1e9/s")
    assert "which are too many to compare" in refused(capsys, ended.value.exit_code)


def test_the_measured_demand_is_in_requests_of_the_profile(tmp_path: Path) -> None:
    stored(
        tmp_path,
        hour(3, tokens="[[0,180,0],[200.0,180,0]]", output_tokens=5.0),
        hour(2, tokens="[[400.0,360,36]]", output_tokens=5.0, censored_bins=36),
    )
    found = demand_of(context(tmp_path), "measured:chat", MIX)
    assert [(step.seconds, step.rate) for step in found.steps] == [(1800, 0), (1800, 2), (3600, 4)]
    assert found.notes[:3] == (
        "the demand has 2 measured hours",
        "a request of the demand is 100 output tokens, as in the profile",
        "in 5 % of the time requests waited or failed: the demand was higher",
    )


def test_a_server_without_token_counts_has_its_demand_in_requests(tmp_path: Path) -> None:
    stored(tmp_path, hour(2, requests="[[3.0,360,0]]"))
    found = demand_of(context(tmp_path), "measured:chat/m", MIX)
    assert (found.mean, found.origin) == (3, "measured")
    assert not any("output tokens" in note for note in found.notes)


def test_a_measured_demand_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(name: str) -> str:
        with pytest.raises(typer.Exit) as ended:
            demand_of(context(tmp_path), f"measured:{name}", MIX)
        return refused(capsys, ended.value.exit_code)

    assert "has no traffic of 'chat' in the last 28 days; see docs/production-traffic.md" in error("chat")
    stored(tmp_path, hour(2, requests="[[0,360,0]]"), hour(1, requests="[[1.0,360,0]]", model="other"))
    assert "the store has chat/m, chat/other" in error("nobody")
    assert "chat serves several models; give one of measured:chat/m, measured:chat/other" in error("chat")
    assert "--demand: chat: the demand is 0 at all times" in error("chat/m")


def test_hours_of_several_hosts_are_not_one_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(tmp_path, hour(2, requests="[[1.0,360,0]]"), hour(2, requests="[[1.0,360,0]]", host="other"))
    with pytest.raises(typer.Exit) as ended:
        demand_of(context(tmp_path), "measured:chat", MIX)
    assert "chat has hours of several hosts" in refused(capsys, ended.value.exit_code)
