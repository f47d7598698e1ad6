"""The types of settings: each checks a value of a file, and parses the text of an option or a variable."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.runtime.console import LOG_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.001, 60.0
_MIN_SHARE = 0.001
_MAX_AMOUNT = 1e15
"""A petabyte, or more days than the age of the universe: larger numbers are typing errors, and some would overflow."""
_LAST_PORT = 65535
_LONGEST_SOCKET_PATH = 107
"""unix(7): sun_path has 108 bytes, the last of them NUL."""
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+(%\w+)?\]|[^\s:\[\]]+):[0-9]{1,5}")
_HOST_NAME = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\.?")
_FLEET_URL = re.compile(
    r"postgres(ql)?(\+psycopg)?://(?![^@\s]*:[^@\s]*@)(?!\S*[?&](?!passfile=)[^=&]*(?:pass|secret))[^\s\x00]*",
    re.IGNORECASE,
)
"""A URL of PostgreSQL without a password."""
_URL = re.compile(r"(https?://[^\s@#?\\]+)?")
_LONGEST_EXPORT_SECONDS = 3600
NONE = "none"
"""The text that empties a list which the file sets."""
_SENSOR_NAME = re.compile(r"[^\s,]+")
_FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}
"""The words that the command line accepts for a flag in the environment."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a setting.

    `wanted` completes the sentence "x is not ..." for a value of a file, and `wanted_text` for the text of an option or
    a variable, if that is written differently. `convert` returns the value as the configuration stores it, and
    `parse` a file's value from a text; both raise ValueError. `metavar` stands for the value in help texts; a type
    without one is a flag.
    """

    wanted: str
    convert: Callable[[object], Any]
    parse: Callable[[str], object] = str
    metavar: str = "TEXT"
    wanted_text: str = ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004  the caller writes the message, from `wanted`
    return value


def _not_empty(text: str) -> str:
    """Return the text of an option; an empty one is mostly that of an unset variable of a shell."""
    if not text:
        raise ValueError
    return text


def _matching(pattern: re.Pattern[str], value: object) -> str:
    text = _text(value)
    if not pattern.fullmatch(text):
        raise ValueError
    return text


def _log_level(value: object) -> str:
    if value not in LOG_LEVELS:
        raise ValueError
    return str(value)


def _address(value: object) -> str:
    text = _matching(_HOST_PORT, value)
    if int(text.rpartition(":")[2]) > _LAST_PORT:
        raise ValueError
    return text


def _socket_path(value: object) -> str:
    path = _text(value)
    if path and not (path.startswith("/") and "\0" not in path and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH):
        raise ValueError
    return path


def url(value: object) -> str:
    """Return an http or https URL without a user, query and fragment, or an empty text. Raises ValueError."""
    text = _matching(_URL, value)
    parts = urlsplit(text)
    if text and not (parts.hostname and (parts.port is None or parts.port)):
        raise ValueError
    return text


def _list(value: object, pattern: re.Pattern[str]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError  # noqa: TRY004
    return tuple(_matching(pattern, each) for each in value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004
    return value


def _between(value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError
    return float(value)


def _share(value: object) -> float:
    return 0.0 if value == 0 and value is not False else _between(value, _MIN_SHARE, 1)


def _whole(value: object) -> int:
    _between(value, 0, _MAX_AMOUNT)
    if not isinstance(value, int):
        raise ValueError  # noqa: TRY004
    return value


def _fleet_place(value: object) -> str:
    text = _text(value)
    if text and not text.startswith("/"):
        _matching(_FLEET_URL, text)
    return text


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _sensor_names(value: object) -> tuple[str, ...]:
    names = _list(value, _SENSOR_NAME)
    if NONE in names:  # beside other names it contradicts them
        raise ValueError
    return names


TEXT = ValueType("a text in quotes", _text)
DATABASE = ValueType("a text in quotes", _text, _not_empty, wanted_text="the path or the URL of a database")
PATH = ValueType("a path in quotes", _text, metavar="PATH")
SOCKET_PATH = ValueType(
    f"an absolute path in quotes of at most {_LONGEST_SOCKET_PATH} bytes", _socket_path, metavar="PATH"
)
FLEET_PLACE = ValueType(
    "postgresql://USER@HOST/DATABASE without a password, or the absolute path of a directory, in quotes",
    _fleet_place,
    metavar="PLACE",
)
LEVEL = ValueType(f"one of {', '.join(LOG_LEVELS)}", _log_level, metavar="LEVEL")
ADDRESS = ValueType("host:port, such as 127.0.0.1:19795 or [::1]:19795", _address, metavar="HOST:PORT")
HOST_NAMES = ValueType(
    'a list of host names in quotes, such as ["monitor.example.org"]',
    lambda value: tuple(name.lower().rstrip(".") for name in _list(value, _HOST_NAME)),
    _split,
    "NAME,...",
)
SENSOR_NAMES = ValueType(
    'a list of families, devices and domains in quotes, such as ["nvml", "package-0/dram"]',
    _sensor_names,
    lambda text: [] if text.strip() == NONE else _split(text),
    "NAME,...",
    f"a list of families, devices and domains, such as nvml,package-0/dram, or {NONE} alone",
)
URL = ValueType('an http or https URL without a user, such as "http://127.0.0.1:4318/v1/metrics"', url, metavar="URL")
EXPORT_SECONDS = ValueType(
    f"a number of seconds from 1 to {_LONGEST_EXPORT_SECONDS}",
    lambda value: _between(value, 1, _LONGEST_EXPORT_SECONDS),
    float,
    "SECONDS",
)
FLAG = ValueType("true or false", _flag, lambda text: _FLAGS.get(text.lower()), "")
SECONDS = ValueType(
    f"a number of seconds from {_FASTEST_SECONDS:g} to {_SLOWEST_SECONDS:g}",
    lambda value: _between(value, _FASTEST_SECONDS, _SLOWEST_SECONDS),
    float,
    "SECONDS",
)
SHARE = ValueType(f"a share of one processor from {_MIN_SHARE:g} to 1, or 0 for no limit", _share, float, "SHARE")
DAYS = ValueType(
    f"a number from 0 to {_MAX_AMOUNT:g}; 0 sets no limit", lambda value: _between(value, 0, _MAX_AMOUNT), float, "DAYS"
)
BYTES = ValueType(f"a whole number from 0 to {_MAX_AMOUNT:g}; 0 sets no limit", _whole, int, "BYTES")
