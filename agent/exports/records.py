"""The records of an export: the exporter, its request, its files, and the refusal with the command that helps."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.exports.run_power import PoweredWindow
    from agent.profiling.records import Document
    from agent.workloads.point import Point


class ExportError(ValueError):
    """A refused export: each line of `missing` names one thing; `command` measures the missing points, if it can."""

    def __init__(self, missing: Sequence[str], command: str = "") -> None:
        super().__init__("; ".join(missing))
        self.missing = tuple(missing)
        self.command = command


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that a profile cannot have, given with --set NAME=VALUE; a `number` is above 0."""

    name: str
    help: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The profiles to export, with their tariffs, and the given facts by name.

    `windows` returns the windows of a profile with the power in them, none if their samples are not stored.
    """

    documents: tuple[Document, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    windows: Callable[[Document], Sequence[PoweredWindow]] = lambda _: ()

    def text(self, name: str) -> str | None:
        """Return a given fact, None if it is not given."""
        return self.facts.get(name)

    def number(self, name: str) -> float | None:
        """Return a given number, None if it is not given."""
        given = self.facts.get(name)
        return None if given is None else float(given)


@dataclass(frozen=True, slots=True)
class Exported:
    """The content of the files by their names, and the sentences that a reader of them needs to know."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exporter:
    """A kind of files.

    `summary` names the files and their reader in one line. `files` returns them; it raises ExportError. With `folder`
    they are several, in a folder, else it is one file, of text unless it is `binary`. `points` are the points of a load
    that the reader needs, and `requests` the successful requests that each needs: `inferometer profile endpoint --for
    NAME` measures them. `extra` is the extra of the libraries that it imports; without it `files` raises
    ModuleNotFoundError.
    """

    name: str
    summary: str
    files: Callable[[ExportRequest], Exported]
    folder: bool = False
    binary: bool = False
    facts: tuple[Fact, ...] = ()
    points: tuple[Point, ...] = ()
    requests: int = 0
    extra: str = ""

    def check(self, given: Mapping[str, str]) -> None:
        """Raise ValueError if a given fact is unknown, empty, or not a number above 0 where one is needed."""
        known = {each.name: each for each in self.facts}
        for name, value in given.items():
            if name not in known:
                allowed = f"it takes {', '.join(known)}" if known else "it takes none"
                raise ValueError(f"--set {name}: {self.name} has no such fact; {allowed}")
            if not value.strip():
                raise ValueError(f"--set {name}: the value is empty; write {name}=VALUE")
            if known[name].number and not _is_positive(value):
                raise ValueError(f"--set {name}={value[:40]}: this is not a number above 0")


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def json_file(content: Any) -> bytes:
    """Return the bytes of a JSON file."""
    return f"{json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)}\n".encode()
