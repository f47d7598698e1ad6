"""The list of workloads with their engines, and whether this host can run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.workloads.declaration import Workload


def document(workloads: Mapping[str, Workload | str]) -> list[dict[str, Any]]:
    """Return the list as plain values; a workload that cannot be loaded is the reason for it."""
    return [_entry(name, workload) for name, workload in workloads.items()]


def _entry(name: str, workload: Workload | str) -> dict[str, Any]:
    if isinstance(workload, str):
        return {"name": name, "help": None, "available": False, "engines": [], "reason": workload}
    engines = [
        {"name": each.name, "missing": list(missing), "remedy": each.remedy if missing else None}
        for each in workload.engines
        for missing in (each.missing(),)
    ]
    available = not engines or any(not each["missing"] for each in engines)
    summary = workload.help.strip().partition("\n")[0]
    return {"name": name, "help": summary, "available": available, "engines": engines, "reason": None}


def workload_list(workloads: Mapping[str, Workload | str]) -> str:
    """Return the list as a table, one row for each engine."""
    rows = []
    for entry in document(workloads):
        if not entry["engines"]:
            rows.append((entry["name"], "", "yes" if entry["available"] else "no", entry["reason"] or ""))
        for engine in entry["engines"]:
            missing = ", ".join(engine["missing"])
            note = f"{missing} not installed: {engine['remedy']}" if missing else ""
            rows.append((entry["name"], engine["name"], "no" if missing else "yes", note))
    return table(("WORKLOAD", "ENGINE", "AVAILABLE", "NOTE"), rows)
