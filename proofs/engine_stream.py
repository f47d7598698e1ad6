"""Compares `inferometer profile stream` with likwid-bench, which is written in assembly.

The kernel `copy_avx` copies with ordinary stores, as the copy of NumPy did here. Triad of NumPy reads every line before
it writes it, as the kernel `stream_avx` does; NumPy works in blocks, so triad has no bar. This likwid-bench has no
kernels for scale and add.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

from engine_environments import engine_environment
from engine_pairs import PAIRS, QUICK_PAIRS, interleaved, profiled
from programs import built, run

if TYPE_CHECKING:
    from pathlib import Path

    from reporting import Bar

_PACKAGES = ("likwid", "liblua5.3-0", "libhwloc15")
_KERNELS = {"copy": "copy_avx", "triad": "stream_avx"}
_ARRAY_MIB, _SECONDS = 256, 4.0
_RATE = re.compile(r"^MByte/s:\s+([\d.]+)", re.MULTILINE)


def environment() -> Path:
    """Return the environment with NumPy; likwid-bench is unpacked from the packages of Debian."""
    _likwid()
    return engine_environment("stream")


def prove(quick: bool) -> list[Bar]:
    """Compare the bytes per second of each operation on the same number of threads and sizes."""
    threads = len(os.sched_getaffinity(0))
    home, program, bars = environment(), _likwid(), []
    for operation, kernel in list(_KERNELS.items())[: 1 if quick else None]:
        pairs = interleaved(
            f"{operation}: bytes per second on {threads} threads",
            partial(_profiled, home, operation, threads),
            partial(_measured, program, kernel, operation, threads),
            QUICK_PAIRS if quick else PAIRS,
        )
        if operation == "copy" and not quick:
            bars.append(pairs.bar())
    return bars


def _profiled(home: Path, operation: str, threads: int) -> float:
    """Return the rate of all windows; their results were verified."""
    plan = ("--repeats", "3", "--window-seconds", str(_SECONDS / 3), "--idle-seconds", "0.2", "--warmup-seconds", "1")
    sizes = ("--array-mib", str(_ARRAY_MIB), "--threads", str(threads))
    document = profiled(home, "stream", "--operation", operation, *sizes, *plan)
    ((work,),) = (point["work"] for point in document["points"])
    return float(work["bytes_per_second"]["mean"])


def _measured(program: Path, kernel: str, operation: str, threads: int) -> float:
    """Return the rate that likwid-bench prints; it counts as STREAM does."""
    arrays = 2 if operation in {"copy", "scale"} else 3
    work = f"N:{arrays * _ARRAY_MIB * 1048576 // 1000}kB:{threads}"
    line = [program, "-t", kernel, "-w", work, "-s", str(int(_SECONDS))]
    usr = program.parent.parent
    (libraries,) = usr.glob("lib/*-linux-gnu")
    variables = {
        **os.environ, "LD_LIBRARY_PATH": str(libraries), "PATH": f"{os.environ['PATH']}:{usr / 'sbin'}",
    }  # fmt: skip
    done = subprocess.run([*map(str, line)], capture_output=True, text=True, check=False, env=variables, timeout=120)
    rate = _RATE.search(done.stdout)
    if rate is None:
        raise SystemExit(f"likwid-bench printed no rate:\n{(done.stdout + done.stderr)[-2000:]}")
    return float(rate[1]) * 1e6


def _likwid() -> Path:
    """Return likwid-bench, from the packages of Debian, unpacked without installing them."""

    def unpack(folder: Path) -> None:
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise SystemExit(f"likwid-bench comes from Debian: {program} is missing")
        packages = folder / "packages"
        packages.mkdir()
        subprocess.run(["apt-get", "-qq", "download", *_PACKAGES], cwd=packages, check=True)
        for package in packages.glob("*.deb"):
            run("dpkg-deb", "--extract", package, folder)
        shutil.rmtree(packages)

    return built("likwid", " ".join(_PACKAGES), unpack) / "usr/bin/likwid-bench"
