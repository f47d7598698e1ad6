"""Reads a GGUF file before an engine opens it: its header, its size, its hash."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.workloads.errors import WorkloadError
from agent.workloads.llama.gguf import GgufError, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

    from agent.workloads.llama.gguf import Header


def read_model(path: Path) -> tuple[Header, int]:
    """Return the header of a GGUF file, and its bytes. Raises WorkloadError that names the cause."""
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            header = read_header(file, size)
        except (GgufError, OSError) as error:
            remedy = "give a file in the format GGUF, or download it again"
            raise WorkloadError(f"the model {path.name} cannot be read: {error}", remedy) from error
    if header.files > 1:
        raise WorkloadError(
            f"the model {path.name} is one of {header.files} files",
            "join them with `llama-gguf-split --merge FIRST-FILE MODEL.gguf`",
        )
    return header, size


def sha256_of(path: Path) -> str:
    """Return the hash of a model file. Raises WorkloadError."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        remedy = "give the path of a GGUF file that your user may read"
        raise WorkloadError(f"the model {path.name} cannot be opened: {error.strerror}", remedy) from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise WorkloadError(f"the model {path.name} is not a regular file", "give the path of a GGUF file")
        yield file
