"""The checks of `inferometer doctor` as a JSON document and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.host.checks import Check, Verdict


def document(checks: Sequence[Check], verdict: Verdict) -> dict[str, Any]:
    """Return the checks and the worst verdict as a JSON document."""
    return {
        "verdict": verdict.value,
        "checks": [
            {"check": c.name, "verdict": c.verdict.value, "found": c.found, "remedy": c.remedy or None} for c in checks
        ],
    }


def doctor_text(checks: Sequence[Check]) -> str:
    """Return a line for each check, and one for its remedy."""
    lines = []
    for check in checks:
        lines.append(f"{check.verdict.value}  {check.name}: {check.found}")
        if check.remedy:
            lines.append(f"      remedy: {check.remedy}")
    return "\n".join(lines)
