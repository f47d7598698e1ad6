"""Finds every place at which a document does not fit the records of the present schema, or is impossible."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from agent.profiling.document.impossible import impossible_figures
from agent.profiling.document.versions import ProfileError, parse
from agent.profiling.records import SCHEMA_VERSION, Document
from agent.runtime.text_input import parser_fault

_PLACE = re.compile(r" - at `[^`]*`$")


class Fault(NamedTuple):
    """A place in a document, as a JSONPath such as `$.points[0].valid`, and its fault."""

    path: str
    message: str


def faults(text: str) -> tuple[str | None, tuple[Fault, ...]]:
    """Return the schema version of a profile as JSON text (None if it has none), and its faults: none if it is valid.

    A document of an earlier version is upgraded first, so a path is that of the present schema.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        return None, (Fault("$", f"not JSON: {parser_fault(error)}. Name a profile as JSON, or a bundle"),)
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    version = None if version is None else str(version)
    try:
        document = parse(text)
    except ProfileError as error:
        if version != SCHEMA_VERSION or raw.get("schema") != "inferometer.profile":
            return version, (Fault("$", str(error)),)
        document = raw  # a field is missing or mistyped, which the upgrade does not name by its path
    found: list[Fault] = []
    _find(document, Document, "$", found)
    if not found:
        found += [Fault(*each) for each in impossible_figures(msgspec.convert(document, Document))]
    return version, tuple(found)


def _find(value: Any, kind: Any, path: str, found: list[Fault]) -> None:
    """Append the faults of a value of a type; those of its parts if there are any, else its own."""
    try:
        msgspec.convert(value, kind)
    except ValueError as error:
        before = len(found)
        for name, part, part_kind in _parts(value, kind, path, found):
            _find(part, part_kind, f"{path}{name}", found)
        if len(found) == before:
            found.append(Fault(path, _PLACE.sub("", str(error))))


def _parts(value: Any, kind: Any, path: str, found: list[Fault]) -> list[tuple[str, Any, Any]]:
    """Return the parts of a value with the end of their path and their type; append missing and unknown fields."""
    kind = _fitting(value, kind)
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        found += [Fault(f"{path}.{name}", "this field is unknown") for name in value if name not in fields]
        missing = [name for name, field in fields.items() if field.required and name not in value]
        found += [Fault(f"{path}.{name}", "this field is missing") for name in missing]
        return [(f".{name}", value[name], field.type) for name, field in fields.items() if name in value]
    arguments = get_args(kind)
    if isinstance(value, list) and arguments:
        return [(f"[{index}]", each, arguments[0]) for index, each in enumerate(value)]
    if isinstance(value, dict) and len(arguments) > 1:
        return [(f".{name}", each, arguments[1]) for name, each in value.items()]
    return []


def _fitting(value: Any, kind: Any) -> Any:
    """Return the alternative of a union that takes an object or a list, if the value is one."""
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    alternatives = [each for each in get_args(kind) if each is not NoneType]
    if isinstance(value, dict):
        return next((each for each in alternatives if _takes_objects(each)), None)
    return next((each for each in alternatives if get_origin(each) in {list, tuple}), None)


def _takes_objects(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, msgspec.Struct | Mapping)
