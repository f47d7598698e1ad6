"""Writes a file as a command does, and reads what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from agent.runtime.output import output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can create device nodes, mounts and files of others"
)


def write(path: Path, content: bytes = b"new", mode: int | None = None) -> None:
    with output(path, mode) as stream:
        stream.write(content)


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def script(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "script.py"
    file.write_text(f"import os, sys\nfrom pathlib import Path\nfrom agent.runtime.output import output\n{text}")
    return [sys.executable, str(file)]


def fill(filler: Path) -> None:
    """Fill the disk of a file."""
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"x" * 4096):
            pass


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this host allows no mount here: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)
