"""The table of points that run different models."""

from __future__ import annotations

from typing import Any

from agent.render.models_table import models_table
from agent.render.profile_text import profile_text
from profile_documents import DOCUMENT, POINT

AGREEMENT = {"reference": "fp32", "cosine_similarity": 0.98765, "top1_agreement": 0.875, "outputs": 8}


def point(precision: str, agreement: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    sizes = {"fp32": 4_000_000, "int4": 625_000}
    model = {"precision": precision, "model_bytes": sizes[precision], "agreement": agreement}
    return {**POINT, "name": f"batch=1 precision={precision}", "model": model, **changes}


def rows(*points: dict[str, Any]) -> list[list[str]]:
    return [line.split() for line in models_table(points, 200).splitlines()]


def test_precisions_stand_side_by_side_with_energy_money_latency_size_and_agreement() -> None:
    *_, heading, exact, rough = rows(point("fp32", None), point("int4", AGREEMENT))
    assert heading == ["POINT", "JOULES", "COST", "LATENCY", "MODEL", "COSINE", "TOP-1"]
    assert exact == ["batch=1", "precision=fp32", "4.00", "500,000", "260", "4", "MB", "-", "-"]
    assert rough == ["batch=1", "precision=int4", "4.00", "500,000", "260", "625", "kB", "0.9877", "88", "%"]


def test_outputs_that_are_no_scores_have_no_likeliest_token() -> None:
    encoded = {**AGREEMENT, "top1_agreement": None}
    *title, heading, _, rough = rows(point("fp32", None), point("int4", encoded))
    assert heading[-1] == "COSINE"
    assert rough[-1] == "0.9877"
    assert not any("TOP-1" in words for words in title)


def test_a_point_without_energy_and_prices_shows_the_rest() -> None:
    *_, heading, only = rows(point("int4", AGREEMENT, energy=None, cost=None))
    assert "COST" not in heading
    assert only == ["batch=1", "precision=int4", "-", "260", "625", "kB", "0.9877", "88", "%"]


def test_points_of_one_model_have_no_such_table() -> None:
    assert models_table([{**POINT, "model": None}, POINT], 80) == ""
    assert "Models." not in profile_text(DOCUMENT, 80)
    assert "Models." in profile_text({**DOCUMENT, "points": [point("fp32", None)]}, 80)


def test_a_precision_of_the_computation_has_a_column_if_it_is_not_that_of_the_weights() -> None:
    computed = [point("fp32", None), point("int4", AGREEMENT)]
    for each, precision in zip(computed, ("fp32", "int8"), strict=True):
        each["model"]["computes_in"] = precision
    *_, heading, exact, rough = rows(*computed)
    assert heading[-2:] == ["COMPUTED", "IN"]
    assert (exact[-1], rough[-1]) == ("fp32", "int8")
    assert "COMPUTED" not in str(rows(computed[0]))
