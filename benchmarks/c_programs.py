"""Compiles the benchmarks' own programs in C when they are first needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / ".compiled"


def compile_program(name: str, *, static: bool = True) -> Path:
    """Return the program built from `name`.c; raises SystemExit with the remedy if it cannot be built.

    Static programs start fastest; the others may load libraries.
    """
    source, program = HERE / f"{name}.c", BUILT / name
    newest = max(path.stat().st_mtime for path in (source, *HERE.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        BUILT.mkdir(exist_ok=True)
        linking = ["-static", "-lm"] if static else ["-ldl"]
        line = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), *linking]
        if shutil.which("gcc") is None or subprocess.run(line, check=False).returncode:
            raise SystemExit(f"error: {source.name} could not be compiled: apt-get install gcc libc6-dev")
    return program
