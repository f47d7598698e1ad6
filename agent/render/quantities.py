"""Parses shares, durations, times and sizes from the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_UNIT_BYTES: dict[str, int] = {"": 1, **{f"{p}B": 1000**n for n, p in enumerate(("", "k", "M", "G", "T"))}}
_UNIT_BYTES |= {f"{p}iB": 1024**n for n, p in enumerate(("K", "M", "G", "T"), 1)}
_SHARE = re.compile(r"(\d+\.?\d*|\.\d+) ?(%?)", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGT]?i?B|)")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_QUOTED_CHARS = 40
_SECOND_NS = 1_000_000_000
_LONGEST_SECONDS = 36_500 * _UNIT_SECONDS["d"]
"""A hundred years."""
_MOST_BYTES = 1000 * _UNIT_BYTES["TB"]
_LATEST_NS = (1 << 63) - 1
"""The latest time in the database, in the year 2262."""


def share_of(text: str) -> float:
    """Return `5%` or `0.05` as a share above 0 and below 1. Raises ValueError."""
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share < 1:
        raise ValueError(f"{_short(text)!r} is not a share; write it as 5% or 0.05")
    return share


def seconds_of(text: str) -> float:
    """Return the seconds of a length such as 90s, 15m, 1h, 2d or 1w. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{_short(text)!r} is not a duration; write it as 90s, 15m, 1h, 2d or 1w")
    seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{_short(text)} is too long; give at most {_LONGEST_SECONDS / _UNIT_SECONDS['d']:.0f}d")
    return seconds


def bytes_of(text: str) -> int:
    """Return the bytes of a size such as 500MB (of 1000) or 2GiB (of 1024). Raises ValueError."""
    match = _SIZE.fullmatch(text)
    unit = match[2].replace("KB", "kB").replace("kiB", "KiB") if match else "?"
    if not match or unit not in _UNIT_BYTES:
        raise ValueError(f"{_short(text)!r} is not a size; write it as 500MB, 2GB or 2GiB")
    size = float(match[1]) * _UNIT_BYTES[unit]
    if size > _MOST_BYTES:
        raise ValueError(f"{_short(text)} is too much; give at most {_MOST_BYTES // _UNIT_BYTES['TB']}TB")
    return round(size)


def moment_ns(text: str, now_ns: int) -> int:
    """Return the Unix time of a duration before `now_ns`, or of a time by RFC 3339. Raises ValueError.

    Times before 1970 or after 2262 become the nearest of these.
    """
    if ago := _DURATION.fullmatch(text):
        seconds = min(float(ago[1]) * _UNIT_SECONDS[ago[2]], now_ns / _SECOND_NS)
        return max(0, now_ns - round(seconds * _SECOND_NS))
    match = _MOMENT.fullmatch(text)
    ways = "write it as 15m, 2d or 2026-01-31T08:30:00Z (with Z or an offset such as +01:00)"
    wrong = f"{_short(text)!r} is not a time; {ways}"
    if not match:
        raise ValueError(wrong)
    try:
        whole = datetime.fromisoformat(f"{match[1]}{match[3]}".upper())
    except ValueError as error:
        raise ValueError(f"{wrong}: {error}") from error
    since_epoch = (whole - _EPOCH) // timedelta(seconds=1)
    return min(max(0, since_epoch * _SECOND_NS + int((match[2] or "").ljust(9, "0"))), _LATEST_NS)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}..."


def rfc3339(at_ns: int) -> str:
    """Return a Unix time by RFC 3339, in UTC and to the nanosecond."""
    seconds, nanoseconds = divmod(at_ns, _SECOND_NS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
