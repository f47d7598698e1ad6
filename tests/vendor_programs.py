"""Programs of vendors: scripts that print a captured output, with a banner, truncated, late or with an error.

program = vendor_programs.install(tmp_path, "hl-smi", capture)
gaudi.discover(Roots(str(sysfs), commands=str(tmp_path / "commands")))
program.prints("another output")                          # from the next run on
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "commands"


class VendorProgram:
    """One script in `folder`; `calls` are the arguments of its runs so far."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / FOLDER
        self._script = self.folder / name
        self._output = self.folder / f"{name}.output"
        self._log = self.folder / f"{name}.log"
        self.folder.mkdir(exist_ok=True)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    def prints(self, output: str | bytes, *, seconds: float = 0.0, status: int = 0, error: str = "") -> None:
        """Print this after `seconds`, then `error` on the other stream, and end with `status`."""
        content = output if isinstance(output, bytes) else output.encode()
        written = self._output.with_suffix(".new")
        written.write_bytes(content)
        written.replace(self._output)
        self.runs(
            f"sleep {seconds}" if seconds else "",
            f"cat {shlex.quote(str(self._output))}",
            f"echo {shlex.quote(error)} >&2" if error else "",
            f"exit {status}",
        )

    def runs(self, *lines: str) -> None:
        """Run these lines of a shell."""
        text = "\n".join(["#!/bin/sh", f'echo "$*" >> {shlex.quote(str(self._log))}', *filter(None, lines), ""])
        written = self._script.with_suffix(".new")
        written.write_text(text, encoding="utf-8")
        written.chmod(0o755)
        written.replace(self._script)

    def remove(self) -> None:
        self._script.unlink()


def install(folder: Path, name: str, output: str | bytes) -> VendorProgram:
    """Install a program in `folder`/commands that prints `output`."""
    program = VendorProgram(folder, name)
    program.prints(output)
    return program
