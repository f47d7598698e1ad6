"""The row of a profile in a list: date, model, best point and the cost of an inference there."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from agent.render.figures import best_point, joules_per_inference, preferred_cost, total_cost
from agent.render.tables import number, plain

_Json = dict[str, Any]
COLUMNS = (
    *("ID", "TAG", "DATE", "MODEL", "HOST", "STATUS", "BEST POINT"),
    *("J/INFERENCE>", "COST>", "SOURCE", "BOUNDARY"),
)
_MILLION = 1e6


def summary(document: _Json, tag: str | None = None) -> dict[str, Any]:
    """Return the summary of a profile; the figures are those of the best point."""
    point = best_point(document["points"])
    return {
        "id": document["id"],
        "tag": tag,
        "created": document["created"],
        "workload": document["workload"]["name"],
        "model": model_name(document["workload"]),
        "host": document["host"]["name"],
        "status": document["status"],
        "points": len(document["points"]),
        "best_point": point["name"] if point else None,
        "joules_per_inference": joules_per_inference(point) if point and point["energy"] else None,
        "cost": _cost(point["cost"]) if point and point["cost"] else None,
        "source": document["coverage"]["source"],
        "boundary": document["coverage"]["boundary"],
    }


def cells(found: _Json) -> tuple[str, ...]:
    """Return a summary as one row under COLUMNS."""
    cost = found["cost"]
    price = f"{cost['amount']:.4g} {cost['currency'] or ''}".strip() + f"/{cost['per']}" if cost else "-"
    return (
        found["id"],
        found["tag"] or "-",
        found["created"][:16].replace("T", " "),
        found["model"],
        found["host"],
        f"{found['status']}, imported" if found.get("origin") == "imported" else found["status"],
        found["best_point"] or "-",
        plain(found["joules_per_inference"]),
        price,
        found["source"] or "-",
        found["boundary"],
    )


def model_name(workload: _Json) -> str:
    """Return the name of the model without its folders, or the size of a generated one."""
    settings = workload["settings"]
    if "model" in settings:
        return PurePath(str(settings["model"])).name
    count = workload["parameter_count"]
    return " ".join(filter(None, (workload["name"], None if count is None else number(count), workload["precision"])))


def _cost(cost: _Json) -> dict[str, Any] | None:
    """Return the cost of a million output tokens, or of a million inferences if there are no tokens."""
    preferred = preferred_cost(cost)
    if preferred is None:
        return None
    basis, prices = preferred
    tokens = prices["per_million_output_tokens"]
    total = total_cost(tokens or prices["per_inference"])
    if total is None:
        return None
    amount = total["mean"] if tokens else total["mean"] * _MILLION
    return {
        "amount": amount,
        "currency": cost["currency"],
        "per": "M output tokens" if tokens else "M inferences",
        "basis": basis,
    }
