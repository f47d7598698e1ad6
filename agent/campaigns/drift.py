"""The drift of a campaign's hosts since the run that was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.comparison.regression import Drift, drift
from agent.profiling.records import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.campaigns.events import RunState

_Json = dict[str, Any]


def drift_since(accepted: RunState, state: RunState, documents: Mapping[str, _Json], share: float) -> Drift:
    """Return the drift between two runs; `documents` are the stored profiles of both, by id.

    A workload is recognized by its words in the file, so that a changed one is not compared with what it was. A host or
    a workload that only one of the runs has is a reason.
    """
    before, now = _groups(accepted, documents), _groups(state, documents)
    return drift({subject: (before.get(subject, []), now.get(subject, [])) for subject in before | now}, share)


def _groups(state: RunState, documents: Mapping[str, _Json]) -> dict[str, list[Document]]:
    """Return the documents of each host and workload; a host without a document is among them."""
    found: dict[str, list[Document]] = {}
    for task in state.tasks.values():
        own = found.setdefault(f"{task.planned.host}: {state.begun.workloads[task.planned.workload]}", [])
        if document := documents.get(task.planned.uid):
            own.append(msgspec.convert(document, Document))
    return found
