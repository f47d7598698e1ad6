"""The sentences, sections and text formats of a report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO

import msgspec
import pytest

from agent.cost.offers import Offer
from agent.profiling.records import Document
from agent.render.tables import number, percent, plain
from agent.report.chart import columns
from agent.report.content import answers_of, charts_of, sections_of
from agent.report.decisions import compared, options
from agent.report.honesty import origins
from agent.report.loads import loads_of
from agent.report.offers import priced_offers
from agent.report.sentence import qualifications, sentence
from agent.report.text_report import csv_text, json_report, json_text, markdown_text
from agent.report.view import distinct, views_of
from profile_documents import example
from report_views import TARIFF, TRACE, hostile, priced, two_views, view
from serving_documents import CLOSED, OPEN, served


def tariff(**changes):
    return msgspec.structs.replace(TARIFF, **changes)


def unpriced(**changes):
    return view(None, **changes)


def without_energy(points):
    return [{**point, "energy": None, "power": None, "cost": None} for point in points]


def test_the_first_sentence_has_the_cost_its_energy_and_the_cheapest_offer() -> None:
    found = view()
    cost = found.point.cost.allocation.per_million_output_tokens
    [offer] = priced_offers(found)
    assert sentence(found) == (
        f"A million output tokens cost EUR {plain(cost.total.mean)} on this machine at 30 % utilization, EUR "
        f"{plain(cost.energy.mean)} of it for energy; the offer api is cheaper below {percent(offer.cheaper[0].low)} "
        "utilization."
    )


@pytest.mark.parametrize(
    ("price", "words"),
    [(1e-6, "; the offer api is cheaper at any utilization."), (1e6, "; the offer api is not cheaper at any")],
)
def test_the_sentence_names_an_offer_that_always_or_never_wins(price: float, words: str) -> None:
    offers = (Offer(name="api", price_per_million_input_tokens=0.0, price_per_million_output_tokens=price),)
    assert words in sentence(view(tariff(offers=offers)))


def test_without_prices_the_sentence_is_about_energy() -> None:
    found = unpriced()
    joules = found.point.energy.joules_per_output_token.mean
    assert sentence(found) == (
        f"A million output tokens take {number(joules * 1e6, 'J')} on this machine at "
        f"{plain(found.point.inferences_per_second.mean)} inferences a second. Without prices there is no cost: give "
        "them with --tariff."
    )


def test_without_energy_the_sentence_is_about_speed_and_has_the_reason() -> None:
    found = unpriced(points=without_energy(example()["points"]), coverage={**example()["coverage"], "includes": []})
    assert " inferences a second; nothing on this host measures power, so there is no" in sentence(found)


def test_without_a_point_the_sentence_says_so() -> None:
    empty = unpriced(points=[])
    assert sentence(empty) == "The run has no complete point, so there is no figure."
    assert list(qualifications(empty)) == []
    assert [section.key for section in sections_of([empty])] == [
        "power",
        "energy",
        "cost",
        "origins",
        "figures",
        "runs",
    ]


def test_the_qualifications_have_range_source_point_and_checks() -> None:
    found = list(qualifications(view(status="interrupted")))
    assert found[0].startswith("The 95 % interval is EUR 0.")
    assert ", the worst case EUR 0." in found[0]
    assert found[1] == "The energy is estimated to ±51 %, not measured."
    assert found[2].startswith("The figures are those of batch=8: the capacity is the highest measured rate")
    assert found[3] == "The run is interrupted, so points and repeats are missing."
    assert found[4].endswith("checks failed: see the warnings below.")


def test_the_offers_are_those_that_serve_this_work() -> None:
    hourly = Offer(name="no rate", price_per_hour=1.0, requests_per_second=1.0, throughput_origin="stated")
    found = list(priced_offers(view(tariff(offers=(*TARIFF.offers, hourly)))))
    assert [offer.label for offer in found] == ["api", "no rate, always busy"]
    assert list(priced_offers(unpriced())) == []
    images = msgspec.structs.replace(
        priced(tariff(offers=TARIFF.offers)),
        points=tuple(
            msgspec.structs.replace(
                point,
                output_tokens_per_inference=None,
                input_tokens_per_inference=None,
                input_tokens_per_second=None,
                output_tokens_per_second=None,
            )
            for point in priced().points
        ),
    )
    assert list(priced_offers(views_of([images], [None])[0])) == []


def test_the_load_is_the_only_number_that_varies() -> None:
    assert loads_of([view()]).axis.title == "batch size"
    assert loads_of([view()]).axis.log is False
    points = example()["points"]
    wide = [{**points[0], "parameters": {"rate": 1.0}}, {**points[1], "parameters": {"rate": 50.0}}]
    assert loads_of([view(points=wide)]).axis.log is True
    two = [{**points[0], "parameters": {"batch": 1, "seq": 2}}, {**points[1], "parameters": {"batch": 2, "seq": 4}}]
    assert loads_of([view(points=two)]).axis.names == ("batch=1", "batch=2")
    words = [{**points[0], "parameters": {"precision": "int8"}}, {**points[1], "parameters": {"precision": "fp32"}}]
    assert loads_of([view(points=words)]).parameter is None
    assert loads_of([view(), view(points=wide)]).parameter is None


def test_profiles_of_a_load_have_charts_over_the_rate() -> None:
    document = msgspec.convert(served(OPEN), Document)
    [found] = views_of([document], [None])
    charts = {chart.key: chart for charts in charts_of([found]).values() for chart in charts}
    assert charts["latency"].x.title == "offered load, requests/s"
    assert [line.name for line in charts["latency"].lines][:2] == ["request, mean", "first token, p50"]
    assert sentence(found).startswith("A million output tokens cost EUR")
    closed = views_of([msgspec.convert(served(CLOSED), Document)], [None])
    assert loads_of(closed).axis.title == "concurrent clients"


def test_currencies_are_never_in_one_chart() -> None:
    views = views_of([priced(), priced(tariff(currency="USD", offers=()))], [None, None])
    keys = [chart.key for chart in charts_of(views)["cost"]]
    assert keys == ["cost", "parts", "utilization", "cost-1", "parts-1", "utilization-1"]
    assert charts_of(views)["cost"][3].y.title == "USD per million output tokens"


def test_names_are_left_without_the_words_that_all_have() -> None:
    assert distinct(["llama fp32 on a", "llama int8 on a"]) == ["fp32", "int8"]
    assert distinct(["llama on a", "llama on b"]) == ["a", "b"]
    assert distinct(["llama on a"]) == ["llama on a"]
    same = views_of([priced(), priced()], [None, None])
    assert len({each.label for each in same}) == 2


def test_every_number_has_an_origin() -> None:
    found = dict(origins(view()))
    assert found["Measured"] == ["latencies and rates of 4 points: 3 repeats each"]
    assert found["Estimated"] == ["energy of package-0/package (AMD EPYC): model, refreshed every 10 ms, ±51 %"]
    assert "capital = 900" in found["Given by the user"]
    assert "the prices of the offer api" in found["Given by the user"]
    assert "pue = 1.54 (average of the Uptime Institute Global Data Center Survey 2025)" in found["Assumed"]
    assert "accelerators: without a sensor" in found["Not covered"]
    assert any(line.startswith("Warning (every point") for line in found["Warnings"])
    assert dict(origins(unpriced()))["Given by the user"] == ["nothing"]
    assert "cost: no prices are given (--tariff)" in dict(origins(unpriced()))["Not covered"]


def test_the_absence_of_samples_energy_and_prices_is_stated() -> None:
    found = view(None, trace=None, points=without_energy(example()["points"]))
    texts = {section.key: section.paragraphs for section in sections_of([found])}
    assert texts["power"][0].startswith("The store has no samples of this run")
    assert texts["energy"] == ("No profile of this report has figures of energy.",)
    assert texts["cost"] == ("No profile of this report has figures of cost. Give prices with --tariff.",)


def test_parts_of_the_cost_add_up_to_the_cost() -> None:
    charts = {chart.key: chart for chart in charts_of([view()])["cost"]}
    parts = [sum(bars.values[at] or 0.0 for bars in charts["parts"].bars) for at in (0, 1)]
    assert parts == pytest.approx([charts["cost"].lines[0].y[-1], charts["cost"].lines[1].y[-1]])
    assert [bars.name for bars in charts["parts"].bars] == [
        "energy",
        "cooling and distribution",
        "acquisition",
        "maintenance",
    ]


def test_the_curve_of_utilization_passes_through_the_cost_at_the_given_one() -> None:
    charts = {chart.key: chart for chart in charts_of([view()])["cost"]}
    [curve] = charts["utilization"].lines
    assert dict(zip(curve.x, curve.y, strict=True))[30.0] == pytest.approx(charts["cost"].lines[1].y[-1])
    assert [marker.label for marker in charts["utilization"].markers] == ["given: 30 %", "api"]


def test_the_sensitivity_begins_with_the_largest_influence_and_meets_at_the_cost() -> None:
    [chart] = charts_of([view()])["sensitivity"]
    assert {"utilization, ±10 %", "capital, ±10 %", "throughput, measured bounds"} <= set(chart.y.names)
    cheaper, dearer = chart.bars
    cost = chart.markers[0].value
    assert cost == pytest.approx(view().point.cost.allocation.per_million_output_tokens.total.mean)
    assert [low + part for low, part in zip(cheaper.base, cheaper.values, strict=True)] == pytest.approx(
        [cost] * len(chart.y.names)
    )
    swings = [high - low for low, high in zip(cheaper.listed, dearer.listed, strict=True)]
    assert swings == sorted(swings, reverse=True)
    assert columns(chart)[1][0] == (chart.y.names[0], cheaper.listed[0], dearer.listed[0])
    assert cheaper.listed[0] < cost < dearer.listed[0]
    assert charts_of([unpriced()])["sensitivity"] == ()


def test_own_machines_and_offers_are_compared_in_tables() -> None:
    [section] = [section for section in sections_of([view()]) if section.key == "offers-0"]
    years, break_even = section.tables
    assert [row[0] for row in years.rows] == ["1 own", "api"]
    assert break_even.rows[0][0] == "api"
    assert any("one machine at the utilization of the tariff" in note for note in section.notes)
    assert options(view(tariff(offers=()))) == ((), ())
    assert options(view(tariff(capital=None, maintenance_share=None)))[1][0].startswith("The offers are not compared:")


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ({"carbon_intensity_g_per_kwh": 400.0}, "per inference in operation"),
        ({"embodied_kg_co2e": 100.0}, "per inference of manufacture"),
        ({"carbon_intensity_g_per_kwh": 400.0, "embodied_kg_co2e": 100.0}, "per inference"),
    ],
)
def test_the_key_figures_have_carbon_and_the_parts_of_it(given: dict, unit: str) -> None:
    [answer] = answers_of([view(tariff(**given))])
    assert [(value[-6:], what) for name, value, what in answer.tiles if name == "Carbon"] == [("g CO2e", unit)]


def test_prices_of_input_and_output_tokens_are_given_for_both_bases() -> None:
    [cost] = [section for section in sections_of([view()]) if section.key == "cost"]
    assert [row[0] for row in cost.tables[0].rows] == ["full use", "30 % utilization"]


def test_several_profiles_are_compared_in_words() -> None:
    words, notes = compared(two_views())
    assert words[0] == "A is fp32, B is int8."
    assert any(note.startswith("A, B: fewer than 3 profiles") for note in notes)
    other = priced(id="20260101-000000-abcd", coverage={**example()["coverage"], "boundary": "package"})
    words, notes = compared(views_of([priced(), other], [None, None]))
    assert words == ("No difference is tested, because these profiles are not comparable.",)
    assert "boundary" in notes[0]
    same = views_of([priced(), priced()], [None, None])
    assert compared(same)[0][0].startswith("No difference is tested: the profile ")


def test_json_has_sentences_figures_and_the_values_of_the_charts() -> None:
    found = json_report([view()], "2026-01-31")
    assert json.loads(json_text([view()], "2026-01-31")) == json.loads(json.dumps(found))
    [profile] = found["profiles"]
    assert profile["sentence"] == sentence(view())
    assert profile["point"] == "batch=8"
    assert [chart["key"] for chart in found["charts"]][:2] == ["power-0", "latency"]
    assert len(found["points"]) == 4


def test_csv_has_a_row_for_each_point_and_no_formula() -> None:
    attacked = hostile(example(), ['=HYPERLINK("http://192.0.2.1")', "@x"])
    views = views_of([attacked], [None])
    rows = list(csv.reader(StringIO(csv_text(views, ""))))
    assert len(rows) == 5
    assert [cell for row in rows for cell in row if cell[:1] in {"=", "@", "+"}] == []


def test_markdown_fits_a_ticket() -> None:
    text = markdown_text(two_views(), "2026-01-31")
    assert "## fp32\n\n**A million output tokens cost EUR 0.0" in text
    assert text.count("### Warnings") == 2
    assert "| profile |" in text
    hostile_text = markdown_text(views_of([hostile(example(), ["<img src=x>|`[a](b)"])], [None]), "")
    assert "<img" not in hostile_text


def test_a_view_of_a_trace_shows_each_sensor() -> None:
    [power] = charts_of([view()])["power"]
    assert [line.name for line in power.lines] == ["total", "package-0/package", "package-0/dram"]
    assert power.lines[0].notes[:7:6] == ("idle unloaded", "batch=1 decode, repeat 1")
    long = replace(TRACE, seconds=tuple(at * 60 for at in TRACE.seconds))
    assert charts_of([view(trace=long)])["power"][0].x.title == "minutes since the first window"
