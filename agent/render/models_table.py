"""The table of a profile whose points run different models, such as one for each precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.figures import preferred_cost, time_unit, total_cost
from agent.render.tables import number, percent, plain, titled_table

if TYPE_CHECKING:
    from collections.abc import Sequence

_Json = dict[str, Any]
_MILLION = 1e6


def models_table(points: Sequence[_Json], width: int) -> str:
    """Return energy, money, latency, size and agreement side by side; empty if all points have the same model."""
    points = [point for point in points if point.get("model")]
    if not points:
        return ""
    factor, unit = time_unit(point["mean_latency_seconds"]["mean"] for point in points)
    money = [point["cost"] for point in points if point["cost"]]
    agreements = [point["model"]["agreement"] for point in points if point["model"]["agreement"]]
    classes = any(each["top1_agreement"] is not None for each in agreements)
    computed = any(point["model"].get("computes_in") not in {None, point["model"]["precision"]} for point in points)
    columns = ["POINT", "JOULES>", *(["COST>"] if money else []), "LATENCY>", "MODEL>", "COSINE>"]
    columns += [*(["TOP-1>"] if classes else []), *(["COMPUTED IN"] if computed else [])]
    title = f"Models. JOULES and LATENCY ({unit}) are means of an inference, MODEL is the size of the weights."
    if money:
        title += f" COST is that of a million inferences in {money[0]['currency'] or 'the unit of the prices given'}."
    if agreements:
        title += (
            f" The outputs are compared with those of {agreements[0]['reference']}: COSINE is their mean similarity"
        )
        title += ", TOP-1 the share with the same likeliest token or class." if classes else "."
    rows = [_row(point, factor, computed=computed, money=bool(money), classes=classes) for point in points]
    return titled_table(title, columns, rows, width)


def _row(point: _Json, factor: float, *, computed: bool, money: bool, classes: bool) -> list[str]:
    model, energy = point["model"], point["energy"]
    agreement = model["agreement"]
    row = [point["name"], plain(energy["joules_per_inference"]["total"]["mean"]) if energy else "-"]
    row += [_cost(point["cost"])] if money else []
    row += [plain(point["mean_latency_seconds"]["mean"] * factor), number(model["model_bytes"], "B")]
    row += [f"{agreement['cosine_similarity']:.4f}" if agreement else "-"]
    if classes:
        share = agreement and agreement["top1_agreement"]
        row.append("-" if share is None else percent(share))
    return [*row, model.get("computes_in") or "-"] if computed else row


def _cost(cost: _Json | None) -> str:
    preferred = preferred_cost(cost) if cost else None
    total = total_cost(preferred[1]["per_inference"]) if preferred else None
    return plain(total["mean"] * _MILLION) if total else "-"
