"""Reads YAML reports with the safe loader, which makes plain values only."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from agent.imports.records import ResultError
from agent.runtime.text_input import parser_fault

if TYPE_CHECKING:
    from agent.imports.records import ResultFile

MAX_YAML_BYTES = 64 << 10
"""More than ten times the size of a report; the time of the loader can grow with the square of the size."""
_Record = TypeVar("_Record")
_REMEDY = "Install the extra `import`: pip install 'inferometer[import]'"


def from_yaml(file: ResultFile, kind: type[_Record]) -> _Record:
    """Return a YAML document as a record. Raises ResultError."""
    if len(file.content) > MAX_YAML_BYTES:
        raise ResultError(f"{file.name}: it is larger than {MAX_YAML_BYTES >> 10} KiB. Name the report of one stage")
    if b"&" in file.content or b"*" in file.content:
        raise ResultError(f"{file.name}: it has YAML aliases, which a report has not. Name the report of one stage")
    try:
        return msgspec.yaml.decode(file.content, type=kind)
    except ImportError as error:
        raise ResultError(f"{file.name}: this is YAML, and PyYAML is not installed. {_REMEDY}") from error
    except (ValueError, RecursionError) as error:
        cause = " ".join(parser_fault(error).split())[:200]
        raise ResultError(
            f"{file.name}: this is not a report: {cause}. Import the file as the tool wrote it"
        ) from error
