"""Reads a secret from a file that only its owner can read."""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING

from agent.runtime.path_walk import resolved
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

    from agent.runtime.path_walk import Place

_MOST_BYTES = 4096


def read_secret(file: Path, source: str) -> str:
    """Return the content without the spaces around it: one line of ASCII, or nothing.

    Links are followed as `path_walk` allows. Raises WorkloadError, which never has the content.
    """
    try:
        with resolved(file) as place, os.fdopen(_opened(place), "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
                raise WorkloadError(f"{source}: it is not a file", "name the file with the secret")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise WorkloadError(f"{source}: other users have access to it", f"chmod 600 {shlex.quote(str(file))}")
            folders = (os.fstat(place.directory), file.parent.stat()) if place.descriptor is None else ()
            if any(map(_replaceable, folders)):
                raise WorkloadError(f"{source}: other users can replace it", "move it to a folder of your own")
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise WorkloadError(f"{source}: {error.strerror}", "check the path and its permissions") from error
    if len(content) > _MOST_BYTES:
        raise WorkloadError(f"{source}: larger than {_MOST_BYTES} bytes", "write only the secret into it")
    secret = content.decode(errors="replace").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise WorkloadError(f"{source}: other characters than printable ASCII", "write only the secret, on one line")
    return secret


def _opened(place: Place) -> int:
    """Open a file, or the pipe of a shell's `<(...)`; a pipe without a writer is empty, and never waited for."""
    if place.descriptor is not None:
        return os.dup(place.descriptor)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW | os.O_NONBLOCK
    opened = os.open(place.name, flags, dir_fd=place.directory)
    os.set_blocking(opened, True)
    return opened


def _replaceable(folder: os.stat_result) -> bool:
    """Return whether other users can replace a file or a link in a folder."""
    return bool(folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX)
