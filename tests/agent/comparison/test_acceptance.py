"""Claims about a machine: the file, the verdict by the interval, percentiles by counts, and missing figures."""

from __future__ import annotations

import tomllib
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.comparison.acceptance import accept, shares_within
from agent.comparison.claims import CLAIMED, SpecError, read_spec
from agent.cost.interval import Interval
from agent.cost.tariff import Tariff
from agent.profiling.analysis.statistics import summarize_latencies
from agent.profiling.records import Baseline, Document
from agent.profiling.run_facts import checked
from command import ROOT
from compared_documents import PRICES, profile
from profile_documents import example
from serving_documents import OPEN, served
from store.records import RunStatus

SERVED = msgspec.convert(served(OPEN), Document)
BATCH = {"batch": 8}


def spec(metric="joules_per_request", **more):
    return read_spec({"currency": "EUR", "claim": [{"metric": metric, **more}]})


def check(document, metric, **more):
    (found,) = accept(document, spec(metric, **more)).claims
    return found


def test_the_example_file_has_every_kind_of_claim_and_names_real_metrics() -> None:
    text = (ROOT / "docs/acceptance.example.toml").read_text(encoding="utf-8")
    found = read_spec(tomllib.loads(text))
    assert (found.name, found.currency, len(found.claims)) == ("Offer 2026-114, server S", "EUR", 7)
    named = {metric for metric in CLAIMED if metric in text}
    assert {"watts_idle_unloaded", "joules_per_input_token", "cost_per_million_requests"} < named


@pytest.mark.parametrize("metric", CLAIMED)
def test_every_metric_of_the_page_is_checked(metric) -> None:
    baselines = msgspec.convert(example()["baselines"], tuple[Baseline, ...])
    found = check(structs.replace(SERVED, baselines=baselines), metric, at_most=1e9)
    assert found.verdict == "met" or found.reason.endswith(("is no such figure", "too few for p99")), found


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({"at_most": 1.06}, "met"),
        ({"at_most": 1.05}, "undecided"),
        ({"at_most": 0.94}, "undecided"),
        ({"at_most": 0.93}, "missed"),
        ({"at_least": 0.94}, "met"),
        ({"at_least": 0.95}, "undecided"),
        ({"at_least": 1.06}, "undecided"),
        ({"at_least": 1.07}, "missed"),
    ],
)
def test_the_whole_interval_decides(limits, verdict) -> None:
    """The interval is 6 % of the mean on both sides; the limit itself meets a claim."""
    document = profile()
    mean = document.points[0].energy.joules_per_inference.total.mean
    given = {name: value * mean for name, value in limits.items()}
    found = check(document, "joules_per_request", point={"batch": 1}, **given)
    assert found.verdict == verdict
    assert ("interval contains the limit" in found.reason) == (verdict == "undecided")
    assert (found.point, found.source) == ("batch=1", "measured")


def test_an_open_interval_decides_one_side_alone() -> None:
    document = profile()
    points = [structs.replace(each, mean_latency_seconds=Interval(0.1)) for each in document.points]
    open_sided = structs.replace(document, points=tuple(points))
    for limits in ({"at_most": 1e9}, {"at_most": 0.0}, {"at_least": 0.0}, {"at_least": 1e9}):
        assert check(open_sided, "e2e_mean_seconds", **limits).verdict == "undecided"


def test_the_verdict_of_all_is_the_worst() -> None:
    def verdict(*limits):
        claims = [{"metric": "watts_busy", "at_most": limit} for limit in limits]
        return accept(profile(), read_spec({"claim": claims})).verdict

    watts = profile().points[-1].power.mean_watts.mean
    assert [verdict(1e9), verdict(1e9, watts), verdict(1e9, watts, 0.0)] == ["met", "undecided", "missed"]


def test_a_p99_needs_299_latencies_below_the_limit() -> None:
    few, many = (summarize_latencies([0.1] * count) for count in (298, 299))
    assert shares_within(few, 0.1)[0] < 0.99 <= shares_within(many, 0.1)[0]
    assert shares_within(many, 0.09) == (0.0, pytest.approx(1 - 0.05 ** (1 / 299)))


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=400), st.floats(0, 1.1))
def test_the_shares_contain_the_share_of_the_latencies_within_the_limit(latencies, limit) -> None:
    low, high = shares_within(summarize_latencies(latencies), limit)
    share = sum(each <= limit for each in latencies) / len(latencies)
    assert low <= share + 1e-9
    assert high >= share - 1e-9


def test_percentiles_are_met_missed_or_undecided_by_the_counts() -> None:
    latencies = [NormalDist(0.1, 0.01).inv_cdf((rank + 0.5) / 1000) for rank in range(1000)]
    point = structs.replace(SERVED.points[0], time_to_first_token_seconds=summarize_latencies(latencies))
    document = structs.replace(SERVED, points=(point,))
    for metric, limit, verdict in (
        ("ttft_p99_seconds", 0.14, "met"),
        ("ttft_p99_seconds", 0.125, "undecided"),
        ("ttft_p99_seconds", 0.11, "missed"),
        ("ttft_p50_seconds", 0.113, "met"),
        ("ttft_p50_seconds", 0.06, "missed"),
    ):
        found = check(document, metric, at_most=limit)
        assert found.verdict == verdict, (metric, limit)
    assert check(document, "ttft_p99_seconds", at_most=0.125).reason == "1,000 latencies do not decide it"
    assert check(document, "ttft_p50_seconds", at_least=0.06).verdict == "met"
    assert check(document, "ttft_p99_seconds", at_least=0.14).verdict == "missed"


def test_a_claim_without_a_point_is_checked_at_the_best_one() -> None:
    document = profile()
    assert check(document, "requests_per_second", at_least=1).point == "batch=8"
    silent = [structs.replace(each, energy=None) for each in document.points]
    assert check(structs.replace(document, points=tuple(silent)), "requests_per_second", at_least=1).point == "batch=8"
    settings = check(document, "requests_per_second", at_least=1, point={"batch": 2, "prompt_tokens": 64})
    assert settings.point == "batch=2"


def test_missing_figures_are_undecided_with_their_reason() -> None:
    document = profile()

    def reason(changed, metric, **more):
        found = check(changed, metric, at_most=1.0, **more)
        assert (found.verdict, found.value) == ("undecided", None)
        return found.reason

    bare = structs.replace(document.points[0], energy=None, power=None, cost=None)
    failed = structs.replace(bare, checks=(checked("repeats", passed=False, message="2 repeats", severity="invalid"),))
    uncovered = structs.replace(document, points=(bare,), coverage=structs.replace(document.coverage, includes=()))
    assert reason(structs.replace(document, points=()), "e2e_mean_seconds") == "the profile has no points"
    assert "has no point batch=3: it has batch=1" in reason(document, "watts_busy", point={"batch": 3})
    assert reason(structs.replace(document, points=(failed,)), "watts_busy").endswith("is withheld: 2 repeats")
    for metric in ("e2e_mean_seconds", "requests_per_second", "cost_per_million_requests"):
        assert reason(structs.replace(document, points=(failed,)), metric).endswith("is invalid: 2 repeats")
    assert reason(structs.replace(document, points=(bare,)), "joules_per_request") == "batch=1 has no such figure"
    assert reason(uncovered, "joules_per_request") == "nothing on the measured host measures power"
    assert reason(structs.replace(document, points=(bare,)), "cost_per_million_requests").startswith(
        "the profile has no p"
    )
    assert reason(structs.replace(document, baselines=()), "watts_idle") == "the loaded idle power was not measured"
    assert reason(document, "tpot_p50_seconds") == "batch=8 has no percentiles of this latency"
    assert "too few for p99" in reason(SERVED, "ttft_p99_seconds")


def test_costs_are_checked_in_their_currency_and_on_their_basis() -> None:
    document = profile()
    cost = document.points[-1].cost
    usage = check(document, "cost_per_million_requests", at_most=1e9)
    assert usage.value.mean == pytest.approx(1e6 * cost.usage.per_inference.total.mean)
    tokens = check(document, "cost_per_million_output_tokens", at_most=1e9, basis="allocation")
    assert tokens.value == cost.allocation.per_million_output_tokens.total
    assert any(
        "assumed prices" in note for note in accept(document, spec("cost_per_million_requests", at_most=1)).notes
    )
    priced = dict.fromkeys(("price_per_kwh", "pue", "capital", "life_years"), 1.0)
    given = Tariff(**priced, currency="EUR", given=tuple(PRICES.__struct_fields__))
    assert accept(profile(tariff=given), spec("cost_per_million_requests", at_most=1)).notes == ()
    dollars = profile(tariff=structs.replace(PRICES, currency="USD"))
    assert check(dollars, "cost_per_million_requests", at_most=1).reason == "the claim is in EUR, the prices are in USD"
    free = profile(tariff=structs.replace(PRICES, currency=None))
    assert "no currency" in check(free, "cost_per_million_requests", at_most=1).reason
    full = profile(tariff=structs.replace(PRICES, utilization=None))
    assert "utilization" in check(full, "cost_per_million_requests", at_most=1, basis="allocation").reason
    half = profile(tariff=structs.replace(PRICES, capital=None))
    assert check(half, "cost_per_million_requests", at_most=1).reason == "no total without capital"
    wordless = document.points[-1]
    amounts = structs.replace(wordless.cost.usage, per_million_output_tokens=None)
    wordless = structs.replace(wordless, cost=structs.replace(wordless.cost, usage=amounts))
    silent = check(structs.replace(document, points=(wordless,)), "cost_per_million_output_tokens", at_most=1)
    assert silent.reason == "the model has no output tokens"
    unmeasured = structs.replace(wordless, energy=None)
    assert (
        check(structs.replace(document, points=(unmeasured,)), "cost_per_million_requests", at_most=1e9).source is None
    )


def test_estimates_and_incomplete_runs_are_noted() -> None:
    estimated = msgspec.convert(example(), Document)
    cut = structs.replace(estimated, status=RunStatus.INTERRUPTED)
    assert accept(cut, spec("watts_busy", at_most=1e9)).notes == (
        "the run is interrupted, not complete",
        "energy and power are estimated, at least in part, not measured",
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "from 1 to 1000 tables"),
        ({"claim": {}}, "from 1 to 1000 tables"),
        ({"claim": [{}] * 1001}, "from 1 to 1000 tables"),
        ({"claims": []}, "unknown key 'claims'"),
        ({"claim": [3]}, "claim 1 is not a table"),
        ({"claim": [{"metric": "ttft_p99", "at_most": 1}]}, "did you mean ttft_p99_seconds"),
        ({"claim": [{"metric": "zzz", "at_most": 1}]}, "the metrics are ttft_p50_seconds"),
        ({"claim": [{"metric": "watts_busy"}]}, "give one of at_most and at_least"),
        ({"claim": [{"metric": "watts_busy", "at_most": 1, "at_least": 1}]}, "give one of"),
        ({"claim": [{"metric": "watts_busy", "at_most": "1 W"}]}, r"at_most = '1 W' is not a number"),
        ({"claim": [{"metric": "watts_busy", "at_most": True}]}, "is not a number"),
        ({"claim": [{"metric": "watts_busy", "at_most": float("inf")}]}, "is not a number"),
        ({"claim": [{"metric": "watts_busy", "at_most": 10**400}]}, "is not a number"),
        ({"claim": [{"metric": "watts_busy", "at_most": 1, "basis": "full"}]}, "is not usage or allocation"),
        ({"claim": [{"metric": "watts_busy", "at_most": 1, "point": 8}]}, "is not a table of parameters"),
        ({"claim": [{"metric": "watts_busy", "at_most": 1, "point": {"rate": []}}]}, "is not a table of parameters"),
        ({"claim": [{"metric": "watts_busy", "at_most": 1, "load": {}}]}, "claim 1: unknown key 'load'"),
        ({"name": 3, "claim": [{"metric": "watts_busy", "at_most": 1}]}, "name = 3 is not a text"),
        ({"claim": [{"metric": "cost_per_million_requests", "at_most": 1}]}, "needs the currency"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(values, message) -> None:
    with pytest.raises(SpecError, match=message):
        read_spec(values)
