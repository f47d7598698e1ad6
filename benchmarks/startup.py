"""Measures the CPU time of short commands from start to exit, beside the bare interpreter.

Every command reads the same simulated server on a file tree, with a home of its own, and runs several times.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from reporting import arguments, finish, table

ROOT = Path(__file__).parents[1]
TREES = ROOT / "tests/fixtures"
REPEATS, QUICK_REPEATS = 7, 2


def main() -> None:
    """Run every command, print the medians and their ratio to the bare interpreter."""
    options = arguments(__doc__ or "")
    repeats = QUICK_REPEATS if options.quick else REPEATS
    with tempfile.TemporaryDirectory(prefix="inferometer-startup-") as folder:
        commands = _commands(Path(folder))
        seconds = {name: _cpu_seconds(command, Path(folder), repeats) for name, command in commands.items()}
    bare = seconds["python -c pass"][0]
    rows = [(name, *three, three[0] / bare) for name, three in seconds.items()]
    table("CPU time of a command", ("COMMAND", "MEDIAN s>", "LEAST s>", "MOST s>", "TIMES python -c pass>"), rows)
    finish(options.json, {"cpu_seconds": {name: three[0] for name, three in seconds.items()}}, ())


def _commands(folder: Path) -> dict[str, list[str]]:
    """Return the commands, all of them on a copy of one server's tree."""
    sysfs, procfs = folder / "sys", folder / "proc"
    shutil.copytree(TREES / "trees/intel_server_2s/sys", sysfs, symlinks=True)
    shutil.copytree(TREES / "proc/epyc_two_packages", procfs)
    own = [str(Path(sys.executable).parent / "inferometer"), "--path.sysfs", str(sysfs), "--path.procfs", str(procfs)]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "inferometer --help": [own[0], "--help"],
        "inferometer devices": [*own, "devices"],
        "inferometer doctor": [*own, "doctor"],
        "inferometer measure -- true": [*own, "measure", "--", "true"],
        "inferometer measure --duration 1": [*own, "measure", "--duration", "1"],
    }


def _cpu_seconds(command: list[str], home: Path, repeats: int) -> tuple[float, float, float]:
    """Return the median, least and most CPU time, user and system, of a command; the first run is not counted."""
    left_out = ("INFEROMETER_", "XDG_", "PYTHONDONTWRITEBYTECODE")  # an installed program has its bytecode
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    environment = {**kept, "HOME": str(home)}
    spent = []
    for _ in range(repeats + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, cwd=home, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent[1:]), min(spent[1:]), max(spent[1:])


if __name__ == "__main__":
    main()
