"""Reads the header of a GGUF file: architecture, type of the weights, number of parameters; pure.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_KEYS, _MOST_TENSORS, _MOST_STRINGS = 1 << 16, 1 << 20, 1 << 23
_LONGEST_HEADER, _LONGEST_NAME = 512 << 20, 1 << 10
_MOST_DIMENSIONS = 4
_MOST_PARAMETERS = 1 << 50
_DEFAULT_ALIGNMENT, _MOST_ALIGNMENT = 32, 1 << 20
_STRING, _ARRAY = 8, 9
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALARS = {number: struct.Struct(f"<{letter}") for number, letter in _FORMATS.items()}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
"""The names of `general.file_type`, the type of most weights (`llama_ftype` in llama.h)."""


class GgufError(ValueError):
    """The file is not a GGUF file that can be read; the message is the cause."""


@dataclass(frozen=True, slots=True)
class Header:
    """The facts in a header; None for a fact that it lacks.

    `file_type` is the type of most weights, such as `Q4_K_M`. `context_tokens` is the length that the model was trained
    for. A model of several files has `files` above 1.
    """

    architecture: str | None
    file_type: str | None
    parameters: int
    context_tokens: int | None
    files: int


def read_header(file: BinaryIO, size: int) -> Header:
    """Return the facts of a file of `size` bytes, read from its begin. Raises GgufError, and OSError."""
    cursor = _Cursor(file, size)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise GgufError("it is not a GGUF file")
    version = cursor.number(_U32)
    if version not in _VERSIONS:
        raise GgufError(f"its GGUF version is {version}, not {' or '.join(map(str, _VERSIONS))}")
    tensors = cursor.count("tensors", _MOST_TENSORS)
    keys = cursor.count("keys", _MOST_KEYS)
    values: dict[str, str | float] = {}
    for _ in range(keys):
        name = cursor.string()
        found = cursor.value()
        if found is not None:
            values[name] = found
    parameters, last_offset = _tensors(cursor, tensors)
    _check_end(cursor.position, last_offset, size, values)
    architecture = values.get("general.architecture")
    file_type = values.get("general.file_type")
    return Header(
        architecture=architecture if isinstance(architecture, str) else None,
        file_type=FILE_TYPES.get(file_type) if isinstance(file_type, int) else None,
        parameters=parameters,
        context_tokens=_whole(values, f"{architecture}.context_length"),
        files=_whole(values, "split.count") or 1,
    )


def _whole(values: Mapping[str, str | float], name: str) -> int | None:
    found = values.get(name)
    return found if isinstance(found, int) and found > 0 else None


def _tensors(cursor: _Cursor, count: int) -> tuple[int, int]:
    """Return the number of parameters, and the place of the last tensor after the header."""
    parameters = last_offset = 0
    for _ in range(count):
        cursor.string()
        dimensions = cursor.number(_U32)
        if dimensions > _MOST_DIMENSIONS:
            raise GgufError(f"a tensor has {dimensions} dimensions, and {_MOST_DIMENSIONS} are possible")
        parameters += prod(cursor.number(_U64) for _ in range(dimensions))
        cursor.number(_U32)
        last_offset = max(last_offset, cursor.number(_U64))
    if parameters > _MOST_PARAMETERS:
        raise GgufError(f"its tensors have {parameters} elements, more than a model can have")
    return parameters, last_offset


def _check_end(position: int, last_offset: int, size: int, values: Mapping[str, str | float]) -> None:
    alignment = _whole(values, "general.alignment") or _DEFAULT_ALIGNMENT
    if alignment > _MOST_ALIGNMENT:
        raise GgufError(f"its alignment is {alignment}")
    start = -(-position // alignment) * alignment
    if last_offset and start + last_offset >= size:
        raise GgufError(f"it is truncated: a tensor begins at byte {start + last_offset}, and the file has {size}")


class _Cursor:
    """Reads the parts of a header in order, no more than a header can have."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._strings = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._advance(count)
        found = self._file.read(count)
        if len(found) < count:
            raise GgufError("it is truncated within its header")
        return found

    def number(self, kind: struct.Struct) -> int:
        """Return the next whole number."""
        (found,) = kind.unpack(self.take(kind.size))
        return int(found)

    def count(self, what: str, most: int) -> int:
        """Return a number of parts of the header."""
        found = self.number(_U64)
        if found > most:
            raise GgufError(f"its header has {found} {what}, and {most} are the limit")
        return found

    def string(self) -> str:
        """Return the next text if it is a short one; of a longer one, its begin."""
        self._strings += 1
        if self._strings > _MOST_STRINGS:
            raise GgufError(f"its header has more than {_MOST_STRINGS} texts")
        length = self.number(_U64)
        start = self.take(min(length, _LONGEST_NAME))
        self._skip(length - len(start))
        return start.decode("utf-8", "replace")

    def value(self) -> str | float | None:
        """Return the next value, None for a list, which is skipped."""
        kind = self.number(_U32)
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            (found,) = self._scalar(kind).unpack(self.take(self._scalar(kind).size))
            return found  # type: ignore[no-any-return]
        kind, count = self.number(_U32), self.number(_U64)
        if kind == _STRING:
            for _ in range(min(count, _MOST_STRINGS + 1)):
                self.string()
        else:
            self._skip(count * self._scalar(kind).size)
        return None

    @staticmethod
    def _scalar(kind: int) -> struct.Struct:
        if kind not in _SCALARS:
            raise GgufError(f"its header has a value of the unknown type {kind}")
        return _SCALARS[kind]

    def _skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(self.position)

    def _advance(self, count: int) -> None:
        self.position += count
        if self.position > self._size:
            raise GgufError("it is truncated within its header")
        if self.position > _LONGEST_HEADER:
            raise GgufError(f"its header has more than {_LONGEST_HEADER >> 20} MiB")
