"""Setups side by side: grouping, matching, refusals, values, differences and their significance."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import structs

from agent.comparison.compare import compare, prices_of
from agent.comparison.matching import IncomparableError, NoSharedLoadError
from agent.comparison.metrics import METRICS, Prices, sensor_bounds
from agent.comparison.records import Difference
from agent.comparison.setups import group
from agent.comparison.significance import Bounds
from agent.cost.tariff import Tariff
from agent.energy.counted_sensors import Boundary
from agent.profiling.document.versions import parse
from agent.profiling.records import Document
from command import ROOT
from compared_documents import PRICES, profile, runs
from serving_documents import OPEN, served
from store.records import RunStatus

COSTS = ("cost_per_million_inferences", "cost_per_million_output_tokens")
EXAMPLE = msgspec.convert(parse((ROOT / "docs/profile.example.json").read_text(encoding="utf-8")), Document)
HALF = {"precision": "int8", "energy": 0.5, "speed": 2.0}


def differences(found, metric, setup="B") -> list[Difference | None]:
    return [
        cell.difference
        for point in found.points
        for row in point.metrics
        if row.metric == metric
        for cell in row.cells
        if cell.setup == setup
    ]


def compared(*documents, by=None, force=False):
    return compare(group(documents, by), force=force)


def test_three_runs_a_side_show_a_significant_difference_with_its_interval() -> None:
    found = compared(*runs(3), *runs(4, 10, **HALF))
    for metric, ratio in (("joules_per_inference", 0.5), ("mean_latency_seconds", 0.5), ("inferences_per_second", 2.0)):
        for each in differences(found, metric):
            assert each.verdict == "significant"
            assert each.ratio == pytest.approx(ratio, rel=1e-3)
            assert each.lower < each.ratio < each.upper
            assert each.p < 0.05
    assert all(each.verdict == "significant" for metric in COSTS for each in differences(found, metric))
    assert differences(found, "joules_per_inference", "A") == [None] * 4


def test_p_values_are_corrected_for_the_number_of_points() -> None:
    documents = [*runs(3, spread=0.02), *runs(3, 10, spread=0.02, precision="int8", energy=1.06)]
    several = differences(compared(*documents), "joules_per_inference")
    first = [structs.replace(each, points=each.points[:1]) for each in documents]
    single = differences(compared(*first), "joules_per_inference")
    assert single[0].verdict == "significant"
    assert several[0].p == pytest.approx(4 * single[0].p)
    assert several[0].verdict == "not significant"
    assert several[0].ratio == pytest.approx(single[0].ratio)


def test_fewer_than_three_runs_differ_within_these_runs_only() -> None:
    found = compared(profile(0), *runs(2, 10, **HALF))
    each = differences(found, "joules_per_inference")[0]
    assert (each.verdict, each.p) == ("within this run only", None)
    assert each.ratio == pytest.approx(0.5)
    assert each.lower < 0.5 < each.upper
    assert differences(found, "median_time_to_first_token_seconds")[0].lower is None
    assert any("fewer than 3 profiles" in note for note in found.notes)


def test_the_bias_of_one_sensor_cancels_and_the_bounds_of_two_add() -> None:
    same = differences(compared(*runs(3), *runs(3, 10, **HALF)), "joules_per_inference")[0]
    other = compared(*runs(3), *runs(3, 10, host="two", **HALF))
    two = differences(other, "joules_per_inference")[0]
    bounds = sensor_bounds(profile().points[0])
    assert bounds == Bounds(pytest.approx(0.01), pytest.approx(0.01))
    assert two.lower == pytest.approx(same.lower * 0.99 / 1.01)
    assert two.upper == pytest.approx(same.upper * 1.01 / 0.99)
    assert two.verdict == "significant"
    assert any("calibration" in note for note in other.notes)
    costs = [differences(each, COSTS[0])[0] for each in (compared(*runs(3), *runs(3, 10, **HALF)), other)]
    assert costs[1].upper / costs[0].upper < two.upper / same.upper  # the price of the machine has no sensor


def test_the_load_of_other_programs_widens_the_ratio_of_one_sensor() -> None:
    def busy(document):
        points = [
            structs.replace(each, energy=structs.replace(each.energy, background_share=0.2)) for each in document.points
        ]
        return structs.replace(document, points=tuple(points))

    quiet = differences(compared(*runs(3), *runs(3, 10, **HALF)), "joules_per_inference")[0]
    loaded = differences(compared(*runs(3), *map(busy, runs(3, 10, **HALF))), "joules_per_inference")[0]
    assert loaded.lower == pytest.approx(quiet.lower * 0.8)
    assert loaded.upper == pytest.approx(quiet.upper)


def test_estimates_of_two_machines_have_no_ratio_of_energy_or_cost() -> None:
    estimated = {"source": "estimated"}
    found = compared(*runs(3, **estimated), *runs(3, 10, host="two", **estimated, **HALF))
    for metric in ("joules_per_inference", "joules_per_output_token", *COSTS):
        assert {(each.verdict, each.ratio) for each in differences(found, metric)} == {("not comparable", None)}
    assert differences(found, "mean_latency_seconds")[0].verdict == "significant"
    assert any("estimated" in note for note in found.notes)
    same = compared(*runs(3, **estimated), *runs(3, 10, **estimated, **HALF))
    assert differences(same, "joules_per_inference")[0].verdict == "significant"


@pytest.mark.parametrize("document", [profile(), structs.replace(EXAMPLE, tariff=None)], ids=["narrow", "wide"])
def test_the_energy_of_one_profile_has_the_interval_that_the_profile_has(document) -> None:
    found = compared(document, profile(10, precision="int8"), force=True)
    for point, shown in zip(document.points, found.points, strict=True):
        cell, _ = next(row.cells for row in shown.metrics if row.metric == "joules_per_inference")
        total = point.energy.joules_per_inference.total
        assert (cell.value.lower, cell.value.upper) == pytest.approx((total.lower, total.upper))


def test_costs_of_machines_alone_are_compared_although_the_energy_is_estimated() -> None:
    tariff = Tariff(capital=8760.0, life_years=1.0, currency="EUR", utilization=0.5)
    estimated = {"source": "estimated", "tariff": tariff}
    found = compared(*runs(3, **estimated), *runs(3, 10, host="two", **estimated, **HALF))
    assert found.cost_basis == "allocation basis, capital"
    each = differences(found, COSTS[0])[0]
    assert (each.verdict, each.ratio) == ("significant", pytest.approx(0.5, rel=1e-3))


def test_a_value_of_zero_has_no_ratio() -> None:
    idle = profile(10, precision="int8", energy=0.0)
    found = differences(compared(profile(0), idle), "joules_per_inference")[0]
    assert found == Difference("not comparable", reason="a value is 0")
    assert sensor_bounds(idle.points[0]) == Bounds(1.0, None)


def test_a_point_without_energy_has_speeds_alone() -> None:
    silent = profile(10, precision="int8")
    points = [structs.replace(each, energy=None, cost=None, output_tokens_per_second=None) for each in silent.points]
    found = compared(profile(0), structs.replace(silent, points=tuple(points)))
    assert differences(found, "joules_per_inference") == []
    assert differences(found, "mean_latency_seconds")[0].verdict == "within this run only"
    assert {metric.name for metric in METRICS} - {row.metric for row in found.points[0].metrics} == set()


def test_one_repeat_has_no_interval_of_its_own() -> None:
    document = profile(10, precision="int8")
    energy = document.points[0].energy
    lone = structs.replace(energy, repeats=structs.replace(energy.repeats, lower=None, upper=None))
    points = (structs.replace(document.points[0], energy=lone), *document.points[1:])
    found = compared(profile(0), structs.replace(document, points=points))
    each = differences(found, "joules_per_inference")[0]
    assert (each.lower, each.upper) == (None, None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"source": "estimated"}, "the source of the energy differs: A has measured, B has estimated"),
        ({"boundary": "package"}, "the boundary of the energy differs: A has wall, B has package"),
        ({"workload": "onnx"}, "the work differs: A has the workload transformer, B has the workload onnx"),
        ({"lengths": 70.0}, "the prompts at batch=1 differ by more than 5 %: 64 tokens in A, 70 in B"),
    ],
)
def test_incomparable_profiles_are_refused_unless_forced_and_then_marked(changed, reason) -> None:
    other = profile(10, precision="int8", source=changed.get("source", "measured"))
    coverage = structs.replace(other.coverage, boundary=Boundary(changed.get("boundary", "wall")))
    workload = structs.replace(other.workload, name=changed.get("workload", "transformer"))
    tokens = changed.get("lengths", 66.0)
    points = tuple(structs.replace(each, input_tokens_per_inference=tokens) for each in other.points)
    other = structs.replace(other, coverage=coverage, workload=workload, points=points)
    with pytest.raises(IncomparableError) as refused:
        compared(profile(0), other)
    assert refused.value.reasons[0] == reason
    assert compared(profile(0), other, force=True).incomparable[0] == reason


def test_a_parameter_that_one_profile_sweeps_matches_the_setting_of_another() -> None:
    swept = profile(10, precision="int8")
    points = [structs.replace(each, parameters={**each.parameters, "prompt_tokens": 64}) for each in swept.points]
    found = compared(profile(0), structs.replace(swept, points=tuple(points)))
    assert [point.point for point in found.points][:2] == ["batch=1 prompt_tokens=64", "batch=2 prompt_tokens=64"]


def test_setups_without_a_load_in_common_are_refused() -> None:
    moved = profile(10, precision="int8")
    points = [structs.replace(each, name="clients=9", parameters={"clients": 9}) for each in moved.points]
    with pytest.raises(NoSharedLoadError, match=r"no load is in two setups: A has batch=1.*; B has clients=9"):
        compared(profile(0), structs.replace(moved, points=tuple(points)), force=True)
    with pytest.raises(NoSharedLoadError, match="B has no points"):
        compared(profile(0), structs.replace(moved, points=()))


def test_a_setup_that_lacks_a_point_is_left_out_of_its_row() -> None:
    documents = [profile(0), profile(10, precision="int8"), profile(20, precision="fp16")]
    documents[0] = structs.replace(documents[0], points=documents[0].points[1:])
    found = compared(*documents)
    row = next(point for point in found.points if point.point == "batch=1").metrics[0]
    assert [(cell.setup, cell.difference is None) for cell in row.cells] == [("B", True), ("C", False)]


def test_costs_have_one_currency_and_the_parts_that_all_have() -> None:
    def priced(*tariffs):
        return group([profile(n, precision=f"p{n}", tariff=each) for n, each in enumerate(tariffs)])

    bare = Tariff(price_per_kwh=0.25, currency="EUR", pue=1.0)
    prices, notes = prices_of(priced(PRICES, bare))
    assert (prices.basis, prices.parts) == ("usage", ("energy",))
    assert notes[0] == "the costs are those of energy alone: the tariff has no other price"
    both, _ = prices_of(priced(PRICES, PRICES))
    assert (both.basis, both.parts, both.currency) == ("allocation", ("energy", "capital"), "EUR")
    assert prices_of(priced(PRICES, structs.replace(PRICES, currency="USD")))[0] is None
    assert prices_of(priced(bare, Tariff(capital=1.0, currency="EUR")))[1] == (
        "the costs have no part in common: give one --tariff",
    )
    assert "no prices are given" in prices_of(priced(None, None))[1][0]
    partly = compare(priced(PRICES, None))
    assert differences(partly, COSTS[0]) == []
    given = Tariff(
        **json.loads(json.dumps({"price_per_kwh": 0.25, "capital": 1.0, "given": list(PRICES.__struct_fields__)}))
    )
    assert prices_of(priced(given, given))[1] == ()


def test_a_cost_without_a_part_that_others_have_is_left_out() -> None:
    half = profile(10, precision="int8").points[0].cost.allocation.per_inference
    prices = Prices("EUR", "allocation", ("energy", "capital"))
    assert prices.total(structs.replace(half, capital=None)) is None
    assert prices.total(half).mean == pytest.approx(half.energy.mean + half.capital.mean)


def test_an_energy_without_an_upper_bound_has_no_upper_bound_of_its_cost() -> None:
    document = profile(10, precision="int8", energy=0.0)
    found = compared(profile(0), document)
    cells = next(row.cells for row in found.points[0].metrics if row.metric == "joules_per_inference")
    assert cells[1].value.upper is None


def test_notes_name_incomplete_runs_and_different_coverage() -> None:
    cut = structs.replace(profile(10, precision="int8"), status=RunStatus.INTERRUPTED)
    cut = structs.replace(cut, coverage=structs.replace(cut.coverage, not_covered=()))
    notes = compared(profile(0), cut).notes
    assert f"incomplete runs: {cut.id}" in notes
    assert "the energies cover different parts: A leaves out accelerators; B leaves out nothing" in notes


def test_loads_on_servers_are_compared_at_each_rate() -> None:
    one = msgspec.convert(served(OPEN), Document)
    other = structs.replace(one, id="other", engine=structs.replace(one.engine, name="vllm"))
    found = compared(one, other)
    assert [point.point for point in found.points] == ["rate=8.0", "rate=16.0"]
    assert [each.name for each in found.setups] == ["llama.cpp server", "vllm server"]
    assert any("one server process" in note for note in found.notes)
