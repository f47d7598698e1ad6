"""The claims about a machine with their measurements and verdicts, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.render.figures import figure
from agent.render.tables import plain, table, wrapped

if TYPE_CHECKING:
    from agent.comparison.acceptance import Acceptance, CheckedClaim


def acceptance_text(found: Acceptance, width: int) -> str:
    """Return the verdicts as text, in lines of up to `width` characters."""
    counts = [sum(each.verdict == verdict for each in found.claims) for verdict in ("met", "missed", "undecided")]
    title = f"{found.name or 'Claims'}: {found.verdict}. {counts[0]} met, {counts[1]} missed, {counts[2]} undecided, "
    title += f"measured by profile {found.profile}."
    rows = [
        [
            each.metric,
            each.verdict if each.verdict == "met" else each.verdict.upper(),
            _limit(each),
            _value(each),
            each.point or "-",
        ]
        for each in found.claims
    ]
    columns = ["CLAIM", "VERDICT", "LIMIT>", "MEASURED", "POINT"]
    reasons = [wrapped(f"{each.metric}: {each.reason}.", width, 2) for each in found.claims if each.reason]
    notes = [wrapped(f"- {note}", width, 2) for note in found.notes]
    parts = [wrapped(title, width, 2), table(columns, rows, width), "\n".join(reasons), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def _limit(claim: CheckedClaim) -> str:
    return f"{'<=' if claim.bound == 'at_most' else '>='} {plain(claim.limit)}"


def _value(claim: CheckedClaim) -> str:
    if claim.value is None:
        return "-"
    source = f" {claim.source}" if claim.source in {"estimated", "mixed"} else ""
    return f"{figure(msgspec.to_builtins(claim.value))}{source}"
