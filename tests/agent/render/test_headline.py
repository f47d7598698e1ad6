"""The first three lines of a printed profile."""

from __future__ import annotations

from typing import Any

import pytest

from profile_documents import COST, DOCUMENT, POINT, REFUSED, example, failed, shown


def headline(**changed: Any) -> list[str]:
    return shown({**DOCUMENT, **changed}, width=200)[:3]


def test_the_first_three_lines_are_the_best_point_its_energy_and_cost_and_the_main_caveat() -> None:
    assert shown(example(), 80)[:4] == [
        "Best point        batch=8: 65.8 inferences/s, 2,100 output tok/s, TTFT 33.9 ms",
        "1M output tokens  1,640 J ±73 % estimated, 0.0116 EUR ±14 % at 30 % utilization",
        "Caveat            the energy is estimated to ±51 %, not measured",
        "",
    ]


def test_without_tokens_the_headline_is_about_an_inference() -> None:
    cost = "500,000 price units (250,000 or more) per million at 100 % utilization"
    assert headline(points=[POINT]) == [
        "Best point        batch=1: 4.00 inferences/s",
        f"1 inference       4.00 J ±25 % (82 % estimated), {cost}",
        "Caveat            a part of the energy is estimated to ±50 %, not measured",
    ]


def test_the_headline_names_the_known_part_of_the_cost() -> None:
    usage = {**COST["usage"], "per_inference": {**COST["usage"]["per_inference"], "capital": None}}
    [_, cost, _] = headline(points=[{**POINT, "cost": {**COST, "currency": "EUR", "usage": usage}}])
    assert cost.endswith(", 2.00 EUR ±50 % per million (energy alone) at 100 % utilization")
    [_, cost, _] = headline(points=[{**POINT, "cost": None}])
    assert cost.endswith("(82 % estimated), no prices given")
    nothing = {**usage, "per_inference": {"energy": None, "capital": None}}
    [_, cost, _] = headline(points=[{**POINT, "cost": {**COST, "usage": nothing}}])
    assert cost.endswith("(82 % estimated)")


MEASURED = {**DOCUMENT["coverage"], "source": "measured", "relative_uncertainty": None}


@pytest.mark.parametrize(
    ("changed", "caveat"),
    [
        ({"status": "interrupted"}, "the run is interrupted: points and repeats after that are missing"),
        ({}, "no energy and cost for batch=2: a check failed, see below"),
        (
            {"points": [POINT], "coverage": {**MEASURED, "source": "estimated"}},
            "the energy is estimated, not measured",
        ),
        (
            {"points": [{**POINT, "energy": None}], "coverage": {**MEASURED, "source": None, "includes": []}},
            "nothing on this host measures power: speed only",
        ),
        ({"points": [POINT], "coverage": MEASURED}, "the energy does not cover memory"),
        ({"points": [POINT], "coverage": {**MEASURED, "not_covered": []}}, "none: every check passed"),
    ],
)
def test_the_caveat_is_the_first_reason_for_doubt(changed: dict[str, Any], caveat: str) -> None:
    assert headline(**changed)[2] == f"Caveat            {caveat}"


def test_the_caveat_counts_failed_checks() -> None:
    one, two = failed("steady", "it changes"), failed("idle_drift", "it moved")
    assert headline(points=[{**POINT, "checks": [one]}], coverage=MEASURED)[2].endswith(
        "1 check failed, see the warnings below"
    )
    assert headline(points=[{**POINT, "checks": [one, two]}], coverage=MEASURED)[2].endswith(
        "2 checks failed, see the warnings below"
    )


def test_a_profile_without_points_has_no_best_one() -> None:
    assert headline(points=[], coverage=MEASURED)[0] == "Best point        none: no point is complete"


def test_the_headline_has_the_reason_for_missing_energy() -> None:
    assert headline(points=[REFUSED])[1] == "1 inference       energy not available: 2 complete repeats"
