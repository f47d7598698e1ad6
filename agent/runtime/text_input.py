"""Reads the text files that a user names (configuration, tariff, profile): bounded, UTF-8, no links of other users."""

from __future__ import annotations

import os
import re
import reprlib
import stat
import tomllib
from typing import TYPE_CHECKING, Any

from agent.runtime.console import printable_line
from agent.runtime.path_walk import resolved

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20
"""Far more than any configuration or tariff has; a device such as /dev/zero never ends."""
_LONGEST_NAME = 300
_PASSWORD = re.compile(r"(://[^:@\s]*):\S*@")
_PARAMETER = re.compile(r"((?:pass|secret)\w*=)[^&\s]*", re.IGNORECASE)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DIGITS = "integer string conversion"
"""Part of the message of Python for an integer of more digits than it converts."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextInputError(ValueError):
    """A file that cannot be read: the message has the cause and the remedy, but not the file's name."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, which may begin with a byte order mark. Raises TextInputError."""
    return parse_toml(read_bytes(path, MAX_BYTES, "a TOML file"))


def parse_toml(content: bytes) -> dict[str, Any]:
    """Return the tables of the content of a TOML file. Raises TextInputError."""
    try:
        return tomllib.loads(content.removeprefix(_BYTE_ORDER_MARK).decode())
    except UnicodeDecodeError as error:
        line = content.removeprefix(_BYTE_ORDER_MARK).count(b"\n", 0, error.start) + 1
        raise TextInputError(f"this is not TOML: line {line} is not UTF-8. Save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise TextInputError(f"this is not TOML: {parser_fault(error)}") from error


def parser_fault(error: Exception) -> str:
    """Return why a text is not JSON, TOML or YAML that can be read: the words of its parser, not those of Python."""
    if isinstance(error, RecursionError):
        return "its values are nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8. Save the file as UTF-8"
    words = str(error)
    return "a number in it has thousands of digits" if _DIGITS in words else words


def is_utf8(text: str) -> bool:
    """Return whether a word of the command line was UTF-8; Python carries its other bytes as surrogates (PEP 383)."""
    return not _SURROGATE.search(text)


def read_text(path: Path, most_bytes: int) -> str:
    """Return the text of a JSON file of at most `most_bytes`. Raises TextInputError."""
    content = read_bytes(path, most_bytes, "a JSON file")
    try:
        return content.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise TextInputError(parser_fault(error)) from error


def read_bytes(path: Path, most_bytes: int, wanted: str) -> bytes:
    """Return the content of a file of at most `most_bytes`; `wanted` names the kind of file. Raises TextInputError."""
    try:
        content = _read(path, most_bytes + 1)
    except OSError as error:
        raise TextInputError(f"it cannot be read ({error.strerror}). Check the path and its permissions") from error
    if len(content) > most_bytes:
        raise TextInputError(f"it is larger than {most_bytes >> 20} MiB. Name {wanted}")
    return content


def read_regular(path: Path, most_bytes: int, wanted: str) -> bytes:
    """Return the content of a file in a folder that others can write to; as `read_bytes`, but regular files only.

    A link is not followed, and a pipe or a device is not opened, so that neither can delay or harm the reader.
    """
    try:
        _refuse_special(path.stat(follow_symlinks=False), wanted)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags), "rb") as stream:
            found = os.fstat(stream.fileno())
            _refuse_special(found, wanted)  # another file may have replaced it
            content = stream.read(min(found.st_size, most_bytes) + 1)
    except OSError as error:
        raise TextInputError(f"it cannot be read ({error.strerror}). Check its permissions") from error
    if len(content) > most_bytes:
        raise TextInputError(f"it is larger than {most_bytes >> 20} MiB. Name {wanted}")
    return content


def _refuse_special(found: os.stat_result, wanted: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise TextInputError(f"it is not a regular file. Replace it with {wanted}, or delete it")


def _read(path: Path, count: int) -> bytes:
    """Return at most `count` bytes of a file."""
    with resolved(path) as place:
        if place.descriptor is not None:
            opened = os.dup(place.descriptor)
        else:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
            opened = os.open(place.name, flags, dir_fd=place.directory)
    with os.fdopen(opened, "rb") as stream:
        return stream.read(count)


def masked(text: str) -> str:
    """Return a text without the passwords of a URL in it, as far as they can be recognized."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def quoted(value: object) -> str:
    """Return a value of such a file for an error message: shortened, on one line."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python converts
        return "a number of thousands of digits"
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def named(path: Path) -> str:
    """Return a path for an error message: shortened, on one line."""
    text = printable_line(str(path))
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
