"""The API key: read from a file of its owner or from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.workloads.errors import WorkloadError
from agent.workloads.load.secret_file import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = "OPENAI_API_KEY"


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
