"""Measures known energies of a GPU with Inferometer and with Zeus, on an energy counter that refreshes seldom.

Both load a fake NVIDIA driver through NVIDIA's own binding. Its counter follows a power that jumps at random, and
shows a new value once per refresh period. Each tool is compared with the true energy of the window that it reports.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c_programs import HERE
from peer_environments import PEERS, PeerUnavailableError, python_of
from power_steps import Steps
from reporting import Bar, arguments, finish, table

sys.path.insert(0, str(HERE.parent / "tests"))
import fake_nvml

if TYPE_CHECKING:
    from collections.abc import Iterator

REFRESHES_MS, WINDOWS_SECONDS, REPEATS = (20, 100), (0.1, 1.0, 5.0), 10
LEAST_WATTS, MOST_WATTS = 60.0, 600.0
SHORTEST_SECONDS, LONGEST_SECONDS = 0.03, 0.4
TIMEOUT_SECONDS = 180.0
GPU = fake_nvml.Gpu("GPU-of-steps", limit_watts=700.0, highest_limit_watts=700.0)


@dataclass(frozen=True, slots=True)
class Row:
    """The errors of a tool's windows, in percent of their true energy, and their excess over the requested length."""

    refresh_ms: int
    seconds: float
    tool: str
    errors_percent: tuple[float, ...]
    longer_ms: float
    held: int | None = None

    @property
    def mean_percent(self) -> float:
        """The mean of the errors' absolute values."""
        return statistics.fmean(map(abs, self.errors_percent))


@dataclass(frozen=True, slots=True)
class Gpu:
    """The library of a GPU whose power jumps, and the page that records it."""

    library: Path
    steps: Steps
    page: Path


@contextmanager
def moving(refresh_ms: int) -> Iterator[Gpu]:
    """Make a GPU and let its power jump at random inside the block."""
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-", dir="/dev/shm") as folder:
        page, library = Path(folder, "steps"), Path(folder, "libnvidia-ml.so.1")
        steps = Steps.create(page, LEAST_WATTS)
        flags = ["-O2", "-shared", "-fPIC", "-pthread", f"-Wl,-soname,{library.name}"]
        defined = {"FAKE_NVML_STATE": f'"{folder}/state"', "GPU_STEPS": f'"{page}"'}
        flags += [f"-D{name}={value}" for name, value in defined.items()]
        flags.append(f"-DGPU_REFRESH_NS=INT64_C({refresh_ms}000000)")
        subprocess.run(["gcc", *flags, "-o", library, HERE / "gpu_counter.c"], check=True)
        fake_nvml.write_state(library, [GPU])
        over = threading.Event()

        def jump() -> None:
            chance = random.Random(1)
            while not over.wait(chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)):
                steps.draw(chance.uniform(LEAST_WATTS, MOST_WATTS), time.monotonic_ns())

        jumping = threading.Thread(target=jump)
        jumping.start()
        try:
            yield Gpu(library, steps, page)
        finally:
            over.set()
            jumping.join()


def ours(gpu: Gpu, refresh_ms: int, seconds: float, repeats: int) -> Row:
    """Measure with `inferometer measure --duration`, one process a window."""
    program = [sys.executable, "-c", "from agent.cli.main import main; main()"]
    options = ["--no-estimates", "--path.nvml-library", str(gpu.library)]
    errors, longer, held = [], [], 0
    for _ in range(repeats):
        found = json.loads(_run([*program, *options, "measure", "--json", "--duration", str(seconds)]))
        start = found["start_ns"] - (time.time_ns() - time.monotonic_ns())
        end = start + round(found["duration_seconds"] * 1e9)
        (device,) = (each for each in found["devices"] if each["device"] == GPU.uuid)
        truth = gpu.steps.joules(start, end)
        errors.append(100 * (device["joules"] / truth - 1))
        longer.append(1e3 * (found["duration_seconds"] - seconds))
        held += device["lower"] <= truth <= device["upper"]
    return Row(refresh_ms, seconds, "inferometer", tuple(errors), statistics.median(longer), held)


def zeus(gpu: Gpu, refresh_ms: int, seconds: float, repeats: int) -> Row:
    """Measure with Zeus: the window is the work between its two calls."""
    (peer,) = (peer for peer in PEERS if peer.name == "zeus")
    work = ["0", str(repeats), "gpu", "0", str(seconds)]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(gpu.library.parent)}
    said = _run([str(python_of(peer)), str(peer.script), str(gpu.page), *work], environment)
    errors, longer = [], []
    for window in json.loads(said.splitlines()[-1]):
        truth = gpu.steps.joules(window["start_ns"], window["end_ns"])
        errors.append(100 * (window["joules"]["gpu"] / truth - 1))
        longer.append((window["end_ns"] - window["start_ns"]) / 1e6 - 1e3 * seconds)
    return Row(refresh_ms, seconds, "zeus", tuple(errors), statistics.median(longer))


def _run(argv: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        argv, cwd=HERE.parent, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def main() -> None:
    """Measure windows of every length on every counter with both tools."""
    options = arguments(__doc__.splitlines()[0])
    rows: list[Row] = []
    for refresh_ms in REFRESHES_MS:
        for seconds in WINDOWS_SECONDS[:2] if options.quick else WINDOWS_SECONDS:
            with moving(refresh_ms) as gpu:
                rows.append(ours(gpu, refresh_ms, seconds, 2 if options.quick else REPEATS))
            with moving(refresh_ms) as gpu:
                try:
                    rows.append(zeus(gpu, refresh_ms, seconds, 2 if options.quick else REPEATS))
                except PeerUnavailableError as error:
                    print(f"zeus cannot be installed: {error}", file=sys.stderr)
            print(f"{refresh_ms} ms, {seconds:g} s: done", file=sys.stderr, flush=True)
    show(rows)
    finish(options.json, {"rows": [asdict(row) for row in rows]}, bars(rows))


def show(rows: list[Row]) -> None:
    """Print the table."""
    cells = [
        (
            f"{row.refresh_ms} ms",
            f"{row.seconds:g} s",
            row.tool,
            f"{row.mean_percent:.2f} %",
            f"{max(row.errors_percent, key=abs):+.2f} %",
            f"{row.longer_ms:+.1f} ms",
            "" if row.held is None else f"{row.held} of {len(row.errors_percent)}",
        )
        for row in rows
    ]
    columns = ("REFRESH>", "WINDOW>", "TOOL", "MEAN ERROR>", "WORST ERROR>", "LONGER BY>", "BOUNDS HOLD>")
    table("Error in percent of the true energy of the window that the tool reports", columns, cells)


def bars(rows: list[Row]) -> list[Bar]:
    """Return the bars: no worse than Zeus, and bounds that hold."""
    theirs = {(row.refresh_ms, row.seconds): row for row in rows if row.tool == "zeus"}
    mine = [row for row in rows if row.held is not None]
    found = []
    for row in mine:
        if other := theirs.get((row.refresh_ms, row.seconds)):
            name = f"{row.refresh_ms} ms counter, {row.seconds:g} s, mean error"
            found.append(Bar(name, row.mean_percent, other.mean_percent, "%", note="that of Zeus"))
    windows = sum(len(row.errors_percent) for row in mine)
    share = 100 * sum(row.held or 0 for row in mine) / windows
    return [*found, Bar("its bounds hold", share, 100.0, "%", at_least=True, note=f"of {windows} windows")]


if __name__ == "__main__":
    main()
