"""Parsers with a valid example of their input, damage to that input, and the numbers that it has."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from functools import cache

from hypothesis import strategies as st

from probes.errors import ReadError

MOST_BYTES = 1 << 17
MOST_TERMS = 8
MOST_LINES = 400
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[-+\w.]+")
WORDS = (b"N/A", b"-", b"nan", b"inf", b"-1", b"1e999", b"9" * 400, b"0x", b"[Not Supported]", b"null", b"")


@dataclass(frozen=True)
class Parser:
    """A parser and a valid example of its input: bytes for a parser of bytes, text for one of text.

    Every number of the result is a number of the input times one of `factors`, the sum of up to eight numbers of one
    line if `sums`, a hexadecimal number without a prefix if `hexadecimal`, an integer of up to eight bytes at any place
    if `binary`, or one of `constants`. `raises` are the exceptions that its caller turns into a ReadError.
    """

    name: str
    parse: object
    example: str | bytes
    factors: tuple[float, ...] = (1.0,)
    raises: tuple[type[Exception], ...] = (ReadError,)
    sums: bool = False
    hexadecimal: bool = False
    binary: bool = False
    constants: frozenset[float] = frozenset()


@st.composite
def damaged(draw, example: bytes) -> bytes:
    """The example after one to three kinds of damage."""
    text = example
    for kind in draw(st.lists(st.sampled_from(sorted(DAMAGES)), min_size=1, max_size=3)):
        text = DAMAGES[kind](draw, text)[:MOST_BYTES]
    return text


def _place(draw, text: bytes) -> int:
    return draw(st.integers(0, len(text)))


def _insert(draw, text: bytes, added: bytes) -> bytes:
    place = _place(draw, text)
    return text[:place] + added + text[place:]


def _without_lines(draw, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)[:MOST_LINES]
    return b"".join(line for line in lines if draw(st.booleans()))


def _reordered(draw, text: bytes) -> bytes:
    return b"".join(draw(st.permutations(text.splitlines(keepends=True)[:MOST_LINES])))


def _with_word(draw, text: bytes) -> bytes:
    """Replace one word by one that stands for no value."""
    words = list(re.finditer(rb"[^\s:,]+", text)) or [re.match(b"", text)]
    word = draw(st.sampled_from(words))
    return text[: word.start()] + draw(st.sampled_from(WORDS)) + text[word.end() :]


DAMAGES = {
    "truncated": lambda draw, text: text[: _place(draw, text)],
    "without its start": lambda draw, text: text[_place(draw, text) :],
    "empty": lambda _draw, _text: b"",
    "huge": lambda draw, text: text * draw(st.integers(2, 40)),
    "not UTF-8": lambda draw, text: _insert(draw, text, draw(st.binary(min_size=1, max_size=12)) + b"\xff"),
    "with other characters": lambda draw, text: _insert(draw, text, draw(st.text(min_size=1, max_size=8)).encode()),
    "without lines": _without_lines,
    "reordered": _reordered,
    "with a word in place of a value": _with_word,
}


def numbers_of(result: object) -> list[float]:
    """Return every number in a result, without the keys of mappings; NaN is no number."""
    if isinstance(result, bool) or result is None or isinstance(result, str | bytes):
        return []
    if isinstance(result, int | float):
        return [] if isinstance(result, float) and math.isnan(result) else [result]
    if isinstance(result, Mapping):
        return numbers_of(list(result.values()))
    if is_dataclass(result):
        return numbers_of([getattr(result, field.name) for field in fields(result)])
    if isinstance(result, list | tuple | AbstractSet):
        return [number for each in result for number in numbers_of(each)]
    raise AssertionError(f"a parser returned {result!r}: extend numbers_of")


@cache
def numbers_in(line: str, *, hexadecimal: bool) -> tuple[float, ...]:
    """Return the numbers of a line: decimal, and as Python reads its words."""
    found = [*_NUMBER.findall(line), *re.findall(r"\d+", line), *_WORD.findall(line)]
    found += [word.lstrip("-+") for word in found]
    values = [_as(convert, word) for word in found for convert in (float, int, lambda text: int(text, 0))]
    if hexadecimal:
        values += [_as(lambda text: int(text, 16), word) for word in re.findall(r"[0-9a-fA-F]+", line)]
    return tuple({value for value in values if value is not None and value == value})  # noqa: PLR0124  NaN differs


def _as(convert, text: str):
    try:
        return convert(text)
    except (ValueError, OverflowError):
        return None


def bytes_as_integers(content: bytes) -> set[float]:
    found = set()
    for size in (1, 2, 4, 8):
        found |= {int.from_bytes(content[at : at + size], "little") for at in range(len(content) - size + 1)}
    return found


def is_derived(parser: Parser, number: float, content: bytes) -> bool:
    """Return whether a number of the result is in the input, after the declared scaling."""
    if number in parser.constants:
        return True
    if parser.binary:
        return any(_is_scaled(number, each, parser.factors) for each in bytes_as_integers(content))
    lines = {line.decode(errors="replace") for line in content.splitlines()}
    own = (value for line in lines for value in numbers_in(line, hexadecimal=parser.hexadecimal))
    if any(_is_scaled(number, value, parser.factors) for value in own):
        return True
    return parser.sums and any(number in sums_of(line) for line in lines)


@cache
def sums_of(line: str) -> frozenset[int]:
    """Return the sums of some of the first eight integers after the first word of a line."""
    words = (_as(int, word) for word in line.split()[1 : MOST_TERMS + 1])
    found = {0}
    for value in words:
        found |= {each + (value or 0) for each in found}
    return frozenset(found)


def _is_scaled(found: float, value: float, factors: tuple[float, ...]) -> bool:
    for factor in factors:
        try:
            scaled = value * (int(factor) if factor.is_integer() else factor)
            if scaled == found or math.isclose(found, scaled, rel_tol=1e-9):
                return True
        except OverflowError:
            continue  # an integer beyond the range of a float equals only itself
    return False


def is_finite(number: float) -> bool:
    return isinstance(number, int) or math.isfinite(number)
