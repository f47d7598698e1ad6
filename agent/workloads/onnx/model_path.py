"""Opens a model file if it is a regular file of possible size, and identifies files of other formats."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

_MOST_BYTES = (1 << 31) - 1
"""The size limit of a protobuf."""

_MAGIC_BYTES = 64

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
# The first bytes of formats that users mistake for ONNX.
_OTHER_FORMATS = (
    (b"version https://git-lfs", "a Git LFS pointer", "run 'git lfs pull' beside it"),
    (b"<!doctype", "a web page", "download the model itself"),
    (b"<html", "a web page", "download the model itself"),
    (b"{", "JSON text", "give the model in ONNX's binary format"),
    (b"<", "text", "give the model in ONNX's binary format"),
    (b"ir_version:", "text", "give the model in ONNX's binary format"),
    (b"pk\x03\x04", "an archive (a zip file or a PyTorch checkpoint)", "unpack it, or export it with torch.onnx"),
    (b"\x1f\x8b", "an archive (gzip)", "unpack it"),
    (b"\x89hdf", "an HDF5 file", "export it with tf2onnx"),
    (b"gguf", "a GGUF file", "export the model as ONNX"),
)
_SAFETENSORS_AT, _TFLITE_AT = slice(8, 10), slice(4, 8)


@contextmanager
def open_model(path: Path) -> Iterator[BufferedReader]:
    """Open a model file that is a regular file of possible size. Raises WorkloadError that names the cause."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise WorkloadError(f"the model {path} does not exist", "give the path of an .onnx file") from error
    except OSError as error:
        remedy = "give your user permission to read it" if isinstance(error, PermissionError) else "give another path"
        raise WorkloadError(f"the model {path} cannot be opened: {error.strerror}", remedy) from error
    try:
        _check_file(path, os.fstat(descriptor))
    except WorkloadError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(found.st_mode)), "no regular file")
        raise WorkloadError(f"the model {path} is {kind}, not a file", "give the path of an .onnx file")
    if found.st_size == 0:
        raise WorkloadError(f"the model {path} is empty", "export or download it again")
    if found.st_size > _MOST_BYTES:
        raise WorkloadError(
            f"the model {path} has {found.st_size} bytes, and an ONNX file has at most {_MOST_BYTES}",
            "export it with its weights in a file beside it (external data)",
        )


def unsupported_format_error(path: Path) -> WorkloadError:
    """Return the error for a file that is not an ONNX model; it names the format if the first bytes identify it."""
    with path.open("rb") as file:
        start = file.read(_MAGIC_BYTES).lower()
    found = next(((what, remedy) for magic, what, remedy in _OTHER_FORMATS if start.startswith(magic)), None)
    if start[_SAFETENSORS_AT] == b'{"':
        found = "a safetensors file", "export the model as ONNX"
    if start[_TFLITE_AT] == b"tfl3":
        found = "a TensorFlow Lite file", "export it with tf2onnx"
    if found is None:
        return WorkloadError(f"the file {path} is not an ONNX model, or it is truncated", "export or download it again")
    return WorkloadError(f"the file {path} is {found[0]}, not an ONNX model", found[1])
