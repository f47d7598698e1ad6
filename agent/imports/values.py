"""The types of numbers in results, with their limits, and their conversion to nanoseconds and figures."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

from agent.imports.records import ResultError
from agent.profiling.tool_records import ToolFigure
from agent.runtime.console import printable_line

Seconds = Annotated[float, Meta(ge=0, le=1e7)]
"""A length of up to four months."""
MonotonicSeconds = Annotated[float, Meta(ge=0, le=1e9)]
UnixSeconds = Annotated[float, Meta(ge=946_684_800, le=4_102_444_800)]
"""A time from the year 2000 to the year 2100."""
UnixNanoseconds = Annotated[int, Meta(ge=946_684_800 * 10**9, le=4_102_444_800 * 10**9)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Number = Annotated[float, Meta(ge=0, le=1e15)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_LONGEST_OUTCOME = 60
_LONGEST_SEARCHED = 1000
_STATUS = re.compile(r"\b([45]\d\d) [A-Z][a-z]+ ?[A-Z]?")
"""The status of a failed request in a text such as `Client error '400 Bad Request' for url ...`."""


def ns(seconds: float) -> int:
    """Return seconds as nanoseconds."""
    return round(seconds * 1e9)


def unix_ns(moment: datetime) -> int:
    """Return a time with a zone as nanoseconds of Unix time. Raises ValueError before 2000 and after 2100."""
    if not _FIRST <= moment <= _LAST:
        raise ValueError(f"the year {moment.year} is outside 2000 to 2100")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def shown(at_ns: int) -> str:
    """Return a Unix time in UTC, to the millisecond."""
    return f"{(_EPOCH + timedelta(microseconds=at_ns // 1000)).isoformat(timespec='milliseconds')[:-6]}Z"


def outcome(text: object) -> str:
    """Return the text of an error as an outcome: its HTTP status, or its first line, shortened and printable."""
    if status := _STATUS.search(str(text)[:_LONGEST_SEARCHED]):
        return f"http {status[1]}"
    line = printable_line(str(text).strip().partition("\n")[0])
    return line[:_LONGEST_OUTCOME] or "error"


def figure(mean: float | None, scale: float = 1.0, **percentiles: float | None) -> ToolFigure:
    """Return a figure from the values of a tool; `scale` converts its unit to the SI unit."""
    scaled = {name: None if value is None else value * scale for name, value in percentiles.items()}
    return ToolFigure(None if mean is None else mean * scale, **scaled)


def checked_duration(file: str, duration_ns: int) -> int:
    """Return the length of a measured part. Raises ResultError if it is empty."""
    if duration_ns <= 0:
        raise ResultError(f"{file}: the measured part has no length: import the result of a finished run")
    return duration_ns
