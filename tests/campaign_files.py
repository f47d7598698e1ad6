"""Campaign files, bundles of scripted profiles, and a launcher that runs nothing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agent.bundles.writing import bundle_bytes
from agent.campaigns.file import read_campaign
from agent.campaigns.records import Outcome
from command import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from agent.campaigns.campaign import Campaign
    from agent.campaigns.records import Notes, Task

HEAD = """
name = "nightly"
[launcher]
kind = "local"
"""
TWO_HOSTS = f"""{HEAD}
[[host]]
name = "one"
[[host]]
name = "two"
[[workload]]
name = "transformer"
options = {{ batch = [1, 8] }}
"""
_EXAMPLE = (ROOT / "docs/profile.example.json").read_text(encoding="utf-8")


def campaign_file(folder: Path, text: str) -> Path:
    """Write a campaign file that only this user can write."""
    path = folder / "campaign.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def campaign_of(folder: Path, text: str) -> Campaign:
    """Return the campaign of a text."""
    return read_campaign(campaign_file(folder, text))


def profile_of(uid: str, energy: float = 1.0) -> dict[str, Any]:
    """Return the example profile with an id, and its energies times a factor."""
    document: dict[str, Any] = json.loads(_EXAMPLE) | {"id": uid}
    for point in document["points"]:
        total = point["energy"]["joules_per_inference"]["total"]
        for name in ("mean", "lower", "upper"):
            total[name] *= energy
            point["energy"]["repeats"][name] *= energy
    return document


def bundle_of(uid: str, **changed: Any) -> bytes:
    """Return the bundle of the example profile with an id."""
    return bundle_bytes({**profile_of(uid), **changed}, None, None)


def facts_of(**changed: Any) -> dict[str, Any]:
    """Return the facts of a host without a fault."""
    now = time.time_ns()
    return {
        "schema": "inferometer.facts",
        "id": json.loads(_EXAMPLE)["host"]["id"],
        "name": "gpu-server",
        "version": version("inferometer"),
        "started_ns": now,
        "ended_ns": now,
        "devices": [{"id": "package-0", "kind": "cpu", "name": "AMD EPYC 9654"}],
        "energy": "measured",
        "boundary": "package",
        "other_load": 0.01,
        "gpu_users": [],
        "measuring": "",
        **changed,
    }


def answer(task: Task, facts: Mapping[str, Any] | None = None) -> Outcome:
    """Return the outcome of a task on a host without a fault."""
    sent_ns = time.time_ns()
    result = json.dumps(facts or facts_of()).encode() if task.words[1] == "facts" else bundle_of(task.uid)
    return Outcome(task, 0, result, "", sent_ns, time.time_ns())


@dataclass
class FakeLauncher:
    """A launcher that asks `answers` for the outcome of each task, one host after another.

    It runs the tasks of a refused host, too, unless it `obeys`.
    """

    answers: Callable[[Task], Outcome] = answer
    obeys: bool = True
    ran: list[Task] = field(default_factory=list)

    def members(self, group: str) -> Sequence[str]:
        return {"gpu": ("g[1-2]",), "none": ()}[group]

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        return {task.uid: " ".join(task.command()) for task in tasks}

    def run(self, tasks: Sequence[Task], _notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        refused = set[str]()
        for task in tasks:
            if task.host.name in refused:
                continue
            self.ran.append(task)
            outcome = self.answers(task)
            if not proceed(outcome) and self.obeys:
                refused.add(task.host.name)
            yield outcome
