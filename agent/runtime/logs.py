"""Log lines as key=value pairs: with a time on a terminal, with a priority in the journal.

`log = get_logger("sampler")`, then `log.info("probe lost", probe="nvml/GPU-1", reason="...")` writes
`ts=2025-01-31T12:00:00.000Z level=info logger=sampler msg="probe lost" probe=nvml/GPU-1 reason="..."`.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

from agent.runtime.console import LOG_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

ROOT: Final = "inferometer"

_LOGGING_KEYWORDS = frozenset({"exc_info", "stack_info", "stacklevel", "extra"})
_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f\x7f-\xa0\u2028\u2029]+")
_ESCAPED = re.compile(r"[\"\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Logger(logging.LoggerAdapter[logging.Logger]):
    """A standard logger that takes the pairs of a line as keywords; a pair that is None is omitted.

    The names `msg`, `level`, `exc_info`, `stack_info`, `stacklevel` and `extra` belong to `logging`.
    """

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Move every keyword that `logging` does not define into the record's `pairs`."""
        own = {key: kwargs[key] for key in kwargs.keys() & _LOGGING_KEYWORDS}
        pairs = {key: value for key, value in kwargs.items() if key not in _LOGGING_KEYWORDS}
        return msg, {**own, "extra": {**(own.get("extra") or {}), "pairs": pairs}}


def get_logger(name: str) -> Logger:
    """Return the logger of one part of the service; its lines have `logger=name`."""
    return Logger(logging.getLogger(f"{ROOT}.{name}"))


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write the lines of `level` (one of LOG_LEVELS) and above to `stream`, by default standard error.

    Other libraries log from `warning` up. A second call replaces the first. Raises ValueError for an unknown level.
    """
    if level not in LOG_LEVELS:
        raise ValueError(f"log level {level!r}: use one of {', '.join(LOG_LEVELS)}")
    stream = stream or sys.stderr
    output = logging.StreamHandler(stream)
    output.setFormatter(LineFormatter(journal=_is_journal(stream)))
    everyone = logging.getLogger()
    for previous in [each for each in everyone.handlers if isinstance(each.formatter, LineFormatter)]:
        everyone.removeHandler(previous)
    everyone.addHandler(output)
    everyone.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level.upper())


class LineFormatter(logging.Formatter):
    """One record, one line; a traceback is the pair `exception`, with its line ends escaped.

    In the journal a line starts with the syslog priority (`<3>`, see sd-daemon(3)) in place of the time, which the
    journal stores itself.
    """

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line end."""
        priority = f"<{_priority(record.levelno)}>" if self._journal else ""
        return priority + " ".join(f"{key}={_value(value)}" for key, value in self._pairs(record))

    def _pairs(self, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
        if not self._journal:
            moment = datetime.fromtimestamp(record.created, UTC)
            yield "ts", f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        yield "level", record.levelname.lower()
        yield "logger", record.name.removeprefix(f"{ROOT}.")
        yield "msg", record.getMessage()
        pairs: Mapping[str, object] = getattr(record, "pairs", {})
        yield from ((key, value) for key, value in pairs.items() if value is not None)
        if record.exc_info:
            yield "exception", self.formatException(record.exc_info)
        if record.stack_info:
            yield "stack", record.stack_info


def _value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _priority(level: int) -> int:
    """Return the syslog priority of syslog(3): 7 debug, 6 info, 4 warning, 3 error, 2 critical."""
    thresholds = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    return next((priority for threshold, priority in thresholds if level >= threshold), 7)


def _is_journal(stream: TextIO) -> bool:
    """Return whether `stream` is the file that $JOURNAL_STREAM names (device:inode)."""
    try:
        opened = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream in memory, or a closed one
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{opened.st_dev}:{opened.st_ino}"
