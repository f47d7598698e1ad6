"""Tasks of a campaign whose program is a script, and notes that a test can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.campaigns.records import Host, Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROGRAM = """#!/bin/sh
# The last word is the path of the result, or its option comes before it.
echo "$0 $*" >&2
case "$1" in
facts) echo facts >"$3" ;;
measure) [ -z "$SLOW" ] || sleep "$SLOW"; cat >"$4"; printf %s "$2" >>"$4"; date +%s%N >>"{runs}" ;;
fail) echo "error: no engine" >&2; exit 3 ;;
wait) sleep 60 ;;
esac
"""


class Notes:
    """The notes of a launcher in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.texts.get(key)

    def put(self, key: str, text: str) -> None:
        json.loads(text)
        self.texts[key] = text


def program(folder: Path) -> Path:
    """Write the program of the hosts; each `measure` adds a line to the file `runs` beside it."""
    path = folder / "inferometer"
    path.write_text(_PROGRAM.replace("{runs}", str(folder / "runs")))
    path.chmod(0o755)
    return path


def tasks_of(script: Path, words: Mapping[str, tuple[str, ...]], labels: Mapping[str, str] | None = None) -> list[Task]:
    """Return for each host its facts and one further task."""
    found = []
    for name, own in words.items():
        host = Host(name, name, str(script), labels=labels or {})
        found.append(Task(f"{name}-facts", host, ("facts",), (), "-o", "", 60.0))
        found.append(Task(f"{name}-profile", host, own, (), "--bundle", f"tariff of {name}\n", 60.0))
    return found


class Head:
    """Collects the outcomes of a launcher; hosts in `refused` do not go on after their facts."""

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.refused = refused
        self.seen: list[str] = []

    def proceed(self, outcome: Outcome) -> bool:
        self.seen.append(outcome.task.uid)
        return outcome.code is not None and outcome.task.host.name not in self.refused

    def all_of(self, outcomes: Iterator[Outcome]) -> dict[str, Outcome]:
        return {outcome.task.uid: outcome for outcome in outcomes}


def runs_of(script: Path) -> int:
    """Return how many times the program measured."""
    path = script.with_name("runs")
    return len(path.read_text().splitlines()) if path.exists() else 0


def fields_of(**table: Any) -> Any:
    """Return the reader of a table [launcher]."""
    from agent.campaigns.fields import Fields

    return Fields("launcher", table, Path("/"))
