"""Compares `inferometer profile stream` with likwid-bench, which is written in assembly.

The kernel `copy` is the fastest one with ordinary stores here (`copy_sse` reached 0.99 of its rate, `copy_avx` 0.91),
and `numpy.positive` has such stores, too. Triad of NumPy reads every line before it writes it, as the kernel
`stream_avx` does; NumPy works in blocks, so triad has no bar. This likwid-bench has no kernels for scale and add.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from engine_environments import engine_environment
from engine_pairs import SLICE_SECONDS, in_rounds
from engine_phases import worker_of
from programs import built, run

from agent.workloads.stream.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine_pairs import Pairs
    from reporting import Bar

    from agent.workloads.runner.client import WorkloadProcess
    from agent.workloads.stream.spec import Operation

_PACKAGES = ("likwid", "liblua5.3-0", "libhwloc15")
_KERNELS: dict[Operation, str] = {"copy": "copy", "triad": "stream_avx"}
_PAIRS = {"copy": 16, "triad": 3}
_ARRAY_MIB, _PASSES = 256, 12
"""A dozen passes of likwid-bench take about as long as a slice."""
_RATE = re.compile(r"^MByte/s:\s+([\d.]+)", re.MULTILINE)


def environment() -> Path:
    """Return the environment with NumPy; likwid-bench is unpacked from the packages of Debian."""
    _likwid()
    return engine_environment("stream")


def prove(quick: bool) -> list[Bar]:
    """Compare the bytes per second of each operation on the same number of threads and sizes."""
    threads = len(os.sched_getaffinity(0))
    home, program = environment(), _likwid()
    found: dict[str, Pairs] = {}
    for operation, kernel in list(_KERNELS.items())[: 1 if quick else None]:
        spec = StreamSpec(operation=operation, array_mib=_ARRAY_MIB)

        @contextmanager
        def start(
            spec: StreamSpec = spec, kernel: str = kernel
        ) -> Iterator[dict[str, tuple[Callable[[], float], Callable[[], float]]]]:
            with worker_of(home, spec, {"operation": spec.operation}, threads) as worker:
                yield {
                    f"{spec.operation}: bytes per second on {threads} threads": (
                        partial(_rate, worker, spec.operation),
                        partial(_measured, program, kernel, spec.operation, threads),
                    )
                }

        (found[operation],) = in_rounds(start, quick=quick, pairs=_PAIRS[operation])
    return [] if quick else [found["copy"].bar()]


def _rate(worker: WorkloadProcess, operation: str) -> float:
    """Return the mean rate of a slice, as likwid-bench does; the results were verified."""
    seconds = worker.measure("pass", SLICE_SECONDS, 1).latencies_seconds
    return _arrays(operation) * (_ARRAY_MIB << 20) * len(seconds) / sum(seconds)


def _measured(program: Path, kernel: str, operation: str, threads: int) -> float:
    """Return the rate of a slice that likwid-bench prints; it counts bytes as STREAM does."""
    work = f"N:{_arrays(operation) * _ARRAY_MIB * 1048576 // 1000}kB:{threads}"
    line = [program, "-t", kernel, "-w", work, "-i", str(_PASSES)]
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


def _arrays(operation: str) -> int:
    return 2 if operation in {"copy", "scale"} else 3


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
