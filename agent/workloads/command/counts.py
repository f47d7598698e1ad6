"""The counts of a run of a program: a fixed number, a number in its output, or a number in a file that it writes."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.runtime.console import printable_line
from agent.runtime.text_input import parser_fault
from agent.workloads.errors import LostPointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 10**15
_MOST_FILE_BYTES = 64 << 20
_LONGEST_SHOWN = 60
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")
_EXAMPLE = "write it as FILE:name.name[0].name"


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A number in a JSON file: names of objects and positions in lists, -1 for the last element."""

    file: Path
    steps: tuple[str | int, ...]
    text: str


def parse_pattern(option: str, text: str) -> re.Pattern[str] | None:
    """Return a regular expression, None for an empty text. Raises ValueError that names the option."""
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise ValueError(f"{option}: {error}; it is a regular expression of Python") from error


def parse_json_path(option: str, text: str) -> JsonPath | None:
    """Return the path in `FILE:name.name[0].name`, None for an empty text. Raises ValueError that names the option."""
    if not text:
        return None
    file, colon, path = text.rpartition(":")
    steps: list[str | int] = []
    position = 0
    while match := _STEP.match(path, position):
        steps.append(match[1] if match[2] is None else int(match[2]))
        position = match.end()
    if not colon or not file or not steps or position < len(path) or path.startswith("."):
        raise ValueError(f"{option}: {text[:_LONGEST_SHOWN]!r} has no file or no path; {_EXAMPLE}")
    return JsonPath(Path(file), tuple(steps), path)


def shown_json_path(text: str) -> str:
    """Return a path in a file without the folder of the file, for a profile."""
    file, _, path = text.rpartition(":")
    return f"{printable_line(Path(file).name)}:{path}" if text else ""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of one count; `option` is `--count` or `--tokens`, and `fixed` the count without pattern and path."""

    option: str
    fixed: int
    pattern: re.Pattern[str] | None = None
    path: JsonPath | None = None


class Counter:
    """Reads one count of one run. The file of a path must be written by that run, so its state before is noted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: str | None = None
        self._before = _state(source.path.file) if source.path else None

    def line(self, text: str) -> None:
        """Search a line of the output: the last match counts, its first group if the pattern has one."""
        if self._source.pattern is not None and (match := self._source.pattern.search(text)):
            self._found = match[1] if self._source.pattern.groups else match[0]

    def count(self, tail: Callable[[], str]) -> int:
        """Return the count. Raises LostPointError, with the end of the output, if there is none."""
        if self._source.pattern is not None:
            option = f"{self._source.option}-regex"
            if self._found is None:
                remedy = "correct the expression, or let the program print such a line"
                raise LostPointError(f"{option}: no line of the output matches", remedy, tail())
            return _number(self._found, option, f"the match {self._found[:_LONGEST_SHOWN]!r}", tail)
        if self._source.path is not None:
            return self._in_file(self._source.path, f"{self._source.option}-json", tail)
        return self._source.fixed

    def _in_file(self, path: JsonPath, option: str, tail: Callable[[], str]) -> int:
        name = printable_line(path.file.name)
        if _state(path.file) in {None, self._before}:
            remedy = "give the file that it writes; a relative path begins at the present folder"
            raise LostPointError(f"{option}: the run did not write {name}", remedy, tail())
        try:
            with path.file.open("rb") as file:
                content = file.read(_MOST_FILE_BYTES + 1)
            document = None if len(content) > _MOST_FILE_BYTES else json.loads(content)
        except (OSError, ValueError, RecursionError) as error:
            raise LostPointError(f"{option}: {name} is not JSON", "give a file in JSON", parser_fault(error)) from error
        if len(content) > _MOST_FILE_BYTES:
            raise LostPointError(f"{option}: {name} is larger than {_MOST_FILE_BYTES >> 20} MiB", "give a smaller file")
        return _number(_at(document, path, option, name), option, f"the value of {path.text} in {name}", tail)


def _at(document: Any, path: JsonPath, option: str, name: str) -> Any:
    found: Any = document
    for step in path.steps:
        if isinstance(step, str):
            found = found.get(step) if isinstance(found, dict) else None
        else:
            found = found[step] if isinstance(found, list) and -len(found) <= step < len(found) else None
        if found is None:
            there = ", ".join(_names(document)) or "no names"
            raise LostPointError(f"{option}: {name} has no {path.text}", f"its first names are: {there}")
    return found


def _names(document: Any) -> Iterator[str]:
    names = list(document)[:12] if isinstance(document, dict) else []
    yield from (printable_line(name)[:_LONGEST_SHOWN] for name in names)


def _number(found: object, option: str, subject: str, tail: Callable[[], str]) -> int:
    """Return a whole number above 0, given as a number or a text. Raises LostPointError."""
    try:
        value = float(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else 0.0
    except ValueError:
        value = 0.0
    if not 1 <= value <= MOST or value != int(value):
        shown = "" if isinstance(found, str) else f" is {json.dumps(found)[:_LONGEST_SHOWN]}, which"
        raise LostPointError(f"{option}: {subject}{shown} is not a whole number of at least 1", "", tail())
    return int(value)


def _state(file: Path) -> tuple[int, int, int] | None:
    """Return the identity of the content of a regular file, None for any other."""
    try:
        found = file.stat()
    except OSError:
        return None
    return None if not stat.S_ISREG(found.st_mode) else (found.st_ino, found.st_mtime_ns, found.st_size)
