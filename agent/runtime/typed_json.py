"""Writes records as JSON and reads them back; refuses NaN, infinity, unknown fields and values of another type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from agent.runtime.text_input import parser_fault


def to_json(record: object, **style: Any) -> str:
    """Return a record as JSON text; `style` are options of json.dumps. Raises ValueError for NaN and infinity."""
    return json.dumps(msgspec.to_builtins(record, enc_hook=_plain), allow_nan=False, **style)


def from_json(text: str | bytes, kind: Any) -> Any:
    """Return the record of type `kind`, which can be a union of tagged records.

    Raises ValueError that names the place: for malformed JSON, an unknown tag, a missing, unknown or mistyped field,
    or a value that the record refuses.
    """
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_typed)
    except RecursionError as error:
        raise ValueError(f"JSON is malformed: {parser_fault(error)}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _typed(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {kind.__name__}")
