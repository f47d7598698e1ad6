"""The output of every command: results on standard output, all else on standard error, and the exit codes."""

from __future__ import annotations

import json
import re
import shutil
import sys
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """The meaning of an exit code to a script; docs/exit-codes.md has the table."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_RUNNING = 3
    NOT_INSTALLED = 4
    MISSED = 5
    UNDECIDED = 6
    CANNOT_EXECUTE = 126
    NOT_FOUND = 127
    HUNG_UP = 129
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143


LOG_LEVELS = ("debug", "info", "warning", "error")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that control a terminal: control characters, direction marks, lone surrogates."""
_SIZE_WITHOUT_TERMINAL = (80, 24)
_as_json = False


def report_errors_as_json(wanted: bool) -> None:
    """Make `print_error` write JSON objects, as with `--json`, or text."""
    global _as_json  # noqa: PLW0603  one process, one standard error
    _as_json = wanted


def printable(text: str) -> str:
    """Return a text with its terminal control characters escaped, except line ends and tabs."""
    return _UNPRINTABLE.sub(_escaped, text)


def printable_line(text: str) -> str:
    """Return a text with its line ends and tabs escaped as well."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:  # noqa: PLR2004  a byte that is not UTF-8, as Python carries it (PEP 383)
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"  # noqa: PLR2004  two digits hold a byte


def print_error(message: str, code: int = ExitCode.FAILURE) -> None:
    """Write an error with its object, cause and fix: as text, or with `--json` as a JSON object on one line."""
    kind = "usage" if code == ExitCode.USAGE else "failure"
    print_err(_json_error(kind, message, code) if _as_json else f"error: {message}")


def interruption(message: str, code: int) -> str:
    """Return the line of a command that a signal ends with an exit code: the message, or with `--json` an object."""
    return _json_error("interrupted", message, code) if _as_json else message


def _json_error(kind: str, message: str, code: int) -> str:
    return json.dumps({"error": {"kind": kind, "exit_code": int(code), "message": message}})


def print_err(message: str) -> None:
    """Write a message to standard error; a closed standard error is ignored."""
    try:
        print(printable(message), file=sys.stderr, flush=True)  # noqa: T201  this is how the command line speaks
    except OSError:
        return


def print_out(text: str) -> None:
    """Write the result of a command, or a part of it."""
    print(printable(text), flush=True)  # noqa: T201  this is how the command line speaks


def print_json(document: Any) -> None:
    """Write the result as one JSON document."""
    print_out(json.dumps(document, indent=2, allow_nan=False))


def terminal_width() -> int:
    """Return the characters in a line of the terminal, 80 without one; COLUMNS in the environment overrides it."""
    return shutil.get_terminal_size(_SIZE_WITHOUT_TERMINAL).columns
