"""Reads the files of results: capped in size, no devices, parsed without running anything."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from agent.imports.records import ResultError, ResultFile, UnusableFileError
from agent.runtime.text_input import TextInputError, named, read_bytes
from agent.runtime.typed_json import from_json

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 128 << 20
"""The size of about 10,000 requests of the tools that write most about each."""
_Record = TypeVar("_Record")
_Object = dict[str, msgspec.Raw]
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_file(path: Path) -> ResultFile:
    """Return the content of a file and its outer form. Raises ResultError, UnusableFileError for the path."""
    name = named(path)
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise UnusableFileError(f"{name}: this is not a file: name the file that the tool wrote")
        content = read_bytes(path, MAX_BYTES, "the result of a tool")
    except OSError as error:
        raise UnusableFileError(
            f"{name}: it cannot be read ({error.strerror}): check the path and its permissions"
        ) from error
    except TextInputError as error:
        raise UnusableFileError(f"{name}: {error}") from error
    content = content.removeprefix(_BYTE_ORDER_MARK).strip()
    if not content.startswith((b"{", b"[")):
        return ResultFile(name, "text", content, frozenset())
    try:
        return _json(name, content)
    except ValueError as error:
        raise ResultError(f"{name}: this is not JSON: {error}. Import the file as the tool wrote it") from error


def _json(name: str, content: bytes) -> ResultFile:
    first, newline, rest = content.partition(b"\n")
    if newline and first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{"):
        return ResultFile(name, "lines", content, frozenset(from_json(first, _Object)))
    if content.startswith(b"{"):
        return ResultFile(name, "object", content, frozenset(from_json(content, _Object)))
    parts = from_json(content, list[msgspec.Raw])
    keys = frozenset(from_json(bytes(parts[0]), _Object)) if parts and bytes(parts[0]).startswith(b"{") else frozenset()
    return ResultFile(name, "list", content, keys)


def records(file: ResultFile, kind: type[_Record]) -> list[_Record]:
    """Return the objects of a file as records. Raises ResultError that names the place of a wrong value."""
    try:
        if file.form == "lines":
            lines = (line for line in file.content.splitlines() if line.strip())
            return [_line(number, line, kind) for number, line in enumerate(lines, 1)]
        found: Any = from_json(file.content, kind if file.form == "object" else list[kind])  # type: ignore[valid-type]
    except ValueError as error:
        raise ResultError(f"{file.name}: {error}. Import the file as the tool wrote it") from error
    return [found] if file.form == "object" else found


def _line(number: int, line: bytes, kind: type[_Record]) -> _Record:
    try:
        found: _Record = from_json(line, kind)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    return found
