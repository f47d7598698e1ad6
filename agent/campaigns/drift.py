"""The drift of a campaign's hosts since the run that was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.comparison.regression import Drift, drift
from agent.profiling.records import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.campaigns.events import RunState

_Json = dict[str, Any]


def drift_since(accepted: RunState, state: RunState, document: Callable[[str], _Json | None], share: float) -> Drift:
    """Return the drift between two runs; `document` returns the stored profile of an id.

    A workload is recognized by its words in the file, so that a changed one is not compared with what it was. A host or
    a workload that only one of the runs has is a reason.
    """
    before, now = _groups(accepted), _groups(state)

    def documents(uids: Iterable[str]) -> list[Document]:
        return [msgspec.convert(found, Document) for uid in uids if (found := document(uid)) is not None]

    pairs = ((subject, (before.get(subject, ()), now.get(subject, ()))) for subject in before | now)
    return drift(((subject, (documents(old), documents(new))) for subject, (old, new) in pairs), share)


def _groups(state: RunState) -> dict[str, list[str]]:
    """Return the ids of the profiles of each host and workload."""
    found: dict[str, list[str]] = {}
    for uid, task in state.tasks.items():
        subject = f"{task.planned.host}: {state.begun.workloads[task.planned.workload]}"
        found.setdefault(subject, []).append(uid)
    return found
