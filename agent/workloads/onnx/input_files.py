"""Reads arrays of .npy and .npz files: limited in size, checked before reading, and never unpickled."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from contextlib import contextmanager
from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from agent.workloads.input_spec import InputSpec
    from agent.workloads.onnx.input_values import Element

MOST_BYTES = 1 << 31
"""The largest array that is read, and the largest file."""

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_input(name: str, path: Path, given: InputSpec, element: Element) -> tuple[NDArray[Any], str]:
    """Return the array for an input and the SHA-256 of its file. Raises WorkloadError that names input and file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size > MOST_BYTES:
                raise _refusal(name, path, f"the file has {size} bytes", f"give a file of at most {MOST_BYTES} bytes")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            with _array_stream(name, path, file, given.array) as (stream, length):
                return _read(name, path, stream, length, element), digest
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        words = " ".join(str(error).split())[:200]
        raise _refusal(name, path, f"no readable array ({words})", "write it with numpy.save or numpy.savez") from error


@contextmanager
def _array_stream(name: str, path: Path, file: IO[bytes], array: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """Open the array in a .npz file, or the .npy file itself; yield it with its length in bytes."""
    if array is None:
        yield file, path.stat().st_size
        return
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        if array not in entries:
            raise _refusal(name, path, f"no array {array!r}", f"its arrays are {', '.join(sorted(entries)[:20])}")
        with archive.open(entries[array]) as stream:
            yield stream, entries[array].file_size


def _read(name: str, path: Path, stream: IO[bytes], length: int, element: Element) -> NDArray[Any]:
    """Read an array after checking its header, type and length, so a false header reserves no memory."""
    read_header = _HEADERS.get(npy.read_magic(stream))
    if read_header is None:
        raise ValueError("an unknown version of the .npy format")
    shape, fortran, dtype = read_header(stream)
    if dtype.newbyteorder("=") != element.dtype or element.onnx_type is not None:
        wanted = "leave this input synthetic" if element.onnx_type is not None else f"array.astype({element.name!r})"
        raise _refusal(name, path, f"the array has the type {dtype}, the model takes {element.name}", f"save {wanted}")
    size = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > min(MOST_BYTES, length):
        raise _refusal(
            name, path, f"its header declares {size} bytes, the file has {length}", f"give at most {MOST_BYTES} bytes"
        )
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(size - len(content), 1 << 20))):
        content += chunk
    if len(content) < size:
        raise ValueError(f"truncated after {len(content)} of {size} bytes")
    if stream.read(1):  # reading to the end also makes zipfile compare the checksum
        raise ValueError(f"longer than the {size} bytes of its header")
    flat = np.frombuffer(content, dtype) if size else np.empty(0, dtype)
    values = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return np.asarray(values, element.dtype, order="C")


def _refusal(name: str, path: Path, reason: str, remedy: str) -> WorkloadError:
    return WorkloadError(f"--input {name}={path.name}: {reason}", remedy)
