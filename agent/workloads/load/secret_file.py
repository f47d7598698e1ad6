"""Reads a secret from a file that only its owner can read."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 4096


def read_secret(file: Path, source: str) -> str:
    """Return the content without the spaces around it: one line of ASCII, or nothing.

    Raises WorkloadError, which never has the content.
    """
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(opened, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise WorkloadError(f"{source}: {error.strerror}", "check the path and its permissions") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise WorkloadError(f"{source}: other users have access to it", f"chmod 600 {file.name}")
    if len(content) > _MOST_BYTES:
        raise WorkloadError(f"{source}: larger than {_MOST_BYTES} bytes", "write only the secret into it")
    secret = content.decode(errors="replace").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise WorkloadError(f"{source}: other characters than printable ASCII", "write only the secret, on one line")
    return secret
