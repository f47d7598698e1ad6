"""Turns frozen records into lines of JSON and back, refusing whatever does not fit the record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, cast, get_args, get_origin, get_type_hints

_MAX_SHOWN_CHARACTERS = 80


def to_json(record: object) -> str:
    """Return the record as one line of canonical JSON: keys sorted, no spaces, no NaN.

    A class with a `TAG` (key, name) carries it, so that a reader can tell it from its siblings.
    """
    return json.dumps(_to_plain(record), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str | bytes, *kinds: type) -> Any:
    """Return the record in a line of JSON, one of `kinds`; more than one kind are told apart by their `TAG`.

    Raises ValueError naming what does not fit: no JSON, an unknown tag, a missing, unknown or mistyped field, or
    whatever the record itself refuses.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON object: {error}") from error
    return _record(kinds, value, "")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _to_plain(value: object) -> object:
    if is_dataclass(value):
        plain = {field.name: _to_plain(getattr(value, field.name)) for field in fields(value)}
        return {**plain, **_tag(type(value))}
    if isinstance(value, tuple):
        return [_to_plain(element) for element in value]
    if isinstance(value, Mapping):
        return {str(key): _to_plain(element) for key, element in value.items()}
    return str(value) if isinstance(value, Path) else value


def _tag(kind: type) -> dict[str, str]:
    tag: tuple[str, str] | None = getattr(kind, "TAG", None)
    return {} if tag is None else {tag[0]: tag[1]}


@lru_cache
def _field_types(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _record(kinds: tuple[Any, ...], value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'the line'} is {_abbreviated(value)}, not an object")  # noqa: TRY004 - all misfits alike
    kind = next((kind for kind in kinds if _tag(kind).items() <= value.items()), None)
    if kind is None:
        names = ", ".join(f"{key} {name}" for kind in kinds for key, name in _tag(kind).items())
        raise ValueError(f"{where or 'the line'} {_abbreviated(value)} is none of: {names}")
    found = {key: element for key, element in value.items() if key not in _tag(kind)}
    field_types = _field_types(kind)
    if unknown_fields := sorted(field_types.keys() ^ found.keys()):
        raise ValueError(f"{where or 'the line'}: {', '.join(unknown_fields)} missing or unknown in {kind.__name__}")
    return kind(**{name: _value(field_type, found[name], name) for name, field_type in field_types.items()})


def _value(field_type: Any, value: object, where: str) -> object:
    if field_type is float and type(value) in (int, float) and math.isfinite(cast("float", value)):
        return float(cast("float", value))
    if field_type in (int, str, bool) and type(value) is field_type:
        return value
    if field_type is Path and isinstance(value, str):
        return Path(value)
    if is_dataclass(field_type):
        return _record((field_type,), value, where)
    return _decode_composite(field_type, value, where)


def _decode_composite(field_type: Any, value: object, where: str) -> object:
    origin, parts = get_origin(field_type), get_args(field_type)
    if origin is Literal and value in parts:
        return value
    if origin in (Union, UnionType):
        kinds = tuple(part for part in parts if part is not NoneType)
        if value is None and NoneType in parts:
            return None
        if type(value) in kinds:
            return value
        if len(kinds) > 1 and kinds[0] is str:
            raise ValueError(f"{where} is {_abbreviated(value)}, not {' or '.join(kind.__name__ for kind in kinds)}")
        return _record(kinds, value, where) if is_dataclass(kinds[0]) else _value(kinds[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(parts[0], element, where) for element in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _value(parts[1], element, f"{where} {key}") for key, element in value.items()}
    raise ValueError(f"{where} is {_abbreviated(value)}, not {getattr(field_type, '__name__', field_type)}")


def _abbreviated(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."
