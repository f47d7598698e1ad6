"""The benchmarks' own programs in C, compiled when they are first needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / ".compiled"


def compiled(name: str) -> Path:
    """Return the program built from `name`.c; raises SystemExit with the remedy where it cannot be built."""
    source, program = HERE / f"{name}.c", BUILT / name
    newest = max(path.stat().st_mtime for path in (source, *HERE.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        BUILT.mkdir(exist_ok=True)
        # Static: a program that is measured should start as fast as it can.
        line = ["gcc", "-O2", "-Wall", "-Wextra", "-static", "-o", str(program), str(source), "-lm"]
        if shutil.which("gcc") is None or subprocess.run(line, check=False).returncode:
            raise SystemExit(f"error: {source.name} could not be compiled: apt-get install gcc libc6-dev")
    return program
