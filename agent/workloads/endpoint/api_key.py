"""The API key: read from a file of its owner or from the environment."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = "OPENAI_API_KEY"
_MOST_BYTES = 4096


def read_api_key(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the key, None without one. Raises WorkloadError, whose message never has the key."""
    if file is None:
        source, key = f"the variable {VARIABLE}", environment.get(VARIABLE, "").strip()
    else:
        source, key = f"--api-key-file {file.name}", read_secret(file, f"--api-key-file {file.name}")
        if not key:
            raise WorkloadError(f"{source}: the file is empty", "write the key into it")
    if not key:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise WorkloadError(f"{source}: not a key, but other text", "write only the key, on one line")
    return key


def read_secret(file: Path, source: str) -> str:
    """Return the content of a file that only its owner can read. Raises WorkloadError."""
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
    return content.decode(errors="replace").strip()
