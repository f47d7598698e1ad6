"""Reads the password of a meter from a file that other users cannot read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from probes.errors import ProbeUnavailableError

_MOST_BYTES = 4096
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK


def secret(path: str) -> str:
    """Return the only line of a file of mode 0600, which belongs to this user or to root; the group may read it.

    Raises ProbeUnavailableError with the remedy: other users may read or change the file, or it holds no line.
    """
    try:
        with os.fdopen(os.open(path, _FLAGS), "rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(_MOST_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        remedy = f"write the password to {path}; the service reads it as the user inferometer"
        raise ProbeUnavailableError(f"{path}: it cannot be read ({error.strerror})", remedy) from error
    if status.st_mode & 0o137 or status.st_uid not in {0, os.geteuid()}:
        remedy = f"chown root:inferometer {path} && chmod 0640 {path}, or chown it to this user and chmod 0600"
        raise ProbeUnavailableError(f"{path}: other users may read or change it", remedy)
    line = content.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    if not line or len(content) > _MOST_BYTES or not line.isprintable():
        raise ProbeUnavailableError(f"{path}: it must contain one line, the password", f"write it to {Path(path).name}")
    return line
