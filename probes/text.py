"""Makes text from hardware, firmware and the kernel safe for terminals, files and databases."""

from __future__ import annotations

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MULTILINE = frozenset("\n\t")
_LONGEST = 256


def printable(text: str) -> str:
    """Replace control, format and surrogate characters: blanks by a space, others by U+FFFD; lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(map(_printable_or_line, text))


def one_line(text: str) -> str:
    """Return text as one printable line of at most 256 characters, without blanks at its ends."""
    if not text.isprintable():
        text = "".join(" " if each.isspace() else _printable_or_line(each) for each in text)
    return text.strip()[:_LONGEST]


def decoded(raw: bytes) -> str:
    """Return bytes as one printable line; bytes that are not UTF-8 become U+FFFD."""
    return one_line(raw.decode(errors="replace"))


def _printable_or_line(character: str) -> str:
    if character.isprintable() or character in _MULTILINE:
        return character
    return " " if character.isspace() else _REPLACEMENT
