"""The head of a run on two hosts whose outcomes a test sets, and its journal."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.campaigns import journal as journals
from agent.campaigns.events import Checked
from agent.campaigns.facts import read_facts
from agent.campaigns.planning import begun
from agent.campaigns.running import Head
from campaign_files import TWO_HOSTS, FakeLauncher, answer, campaign_of, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agent.campaigns.campaign import Campaign
    from agent.campaigns.journal import Journal
    from agent.campaigns.records import Outcome, Task

RUN = "20260101-000000-0123abcd"


@contextmanager
def head(
    folder: Path, answers: Callable[[Task], Outcome] = answer, text: str = TWO_HOSTS
) -> Iterator[tuple[Head, Journal, FakeLauncher, list[str], list[str]]]:
    """Yield a head, its journal and its launcher, the ids that it stores and the lines that it shows."""
    launcher = FakeLauncher(answers)
    campaign = replace(campaign_of(folder, text), launcher=launcher)
    saved: list[str] = []
    lines: list[str] = []
    with _journal(folder / "runs", campaign) as journal:
        own = Head(campaign, journal, lambda bundle: saved.append(bundle.manifest.uid), lines.append)
        yield own, journal, launcher, saved, lines


def _journal(folder: Path, campaign: Campaign) -> AbstractContextManager[Journal]:
    if journals.newest_run(folder):
        return journals.resume(folder, RUN)
    return journals.begin(folder, begun(campaign, RUN, 1))


def verified(journal: Journal, *names: str, **changed: Any) -> None:
    """Verify hosts, or refuse them with `problems`."""
    facts = read_facts(json.dumps(facts_of()).encode())
    for name in names:
        journal.append(Checked(**{"host": name, "facts": facts, "clock": None, "problems": (), "notes": (), **changed}))
