"""Checks of effects on the host: nothing is written, nothing stays open, and the cost of a read is measured."""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from probes.conformance.bench import Bench, require
from probes.conformance.file_watch import changes, snapshot
from probes.conformance.host import NotOfferedError

if TYPE_CHECKING:
    from collections.abc import Callable

_READS = 3
_COST_READS = 10
_END_SECONDS = 5.0


def writing(bench: Bench) -> str:
    """Check that discovery, reads and the end change no file of the host and no setting of the device."""
    roots = (bench.host.roots.sysfs, bench.host.roots.procfs, bench.host.roots.dev)
    tops = [Path(root) for root in roots if Path(root).is_relative_to(bench.folder) and Path(root).is_dir()]
    before, watch = snapshot(tops), changes(tops)
    try:
        _whole_life(bench)
        events = watch.events()
    finally:
        watch.close()
    require(not events, f"the family changes files of the host: {'; '.join(events[:5])}")
    require(snapshot(tops) == before, "the files of the host differ after reading")
    try:
        requests = bench.host.written()
    except NotOfferedError:
        if not tops:
            raise
        return f"{len(before)} files and folders"
    require(not requests, f"the family changes the device: {'; '.join(requests[:5])}")
    return f"{len(before)} files and folders, and the requests to the device"


def handles(bench: Bench) -> str:
    """Check that closed probes leave no descriptor and no thread behind, even if the device failed meanwhile."""
    _whole_life(bench)  # imports and caches open files once
    files, threads = _descriptors(), set(_threads(bench))
    _whole_life(bench)
    with suppress(NotOfferedError):
        bench.discovered()
        bench.read_all()
        bench.host.refuse()
        for probe in bench.probes:
            bench.step()
            bench.read(probe)
        bench.host.repair()
        bench.close_probes()
    bench.close_probes()
    _await(lambda: set(_threads(bench)) <= threads)
    left = [thread.name for thread in _threads(bench) if thread not in threads]
    require(not left, f"threads run after the probes are closed: {left}")
    _await(lambda: _descriptors() == files)
    opened = sorted(_descriptors().items() - files.items())
    require(not opened, f"descriptors are open after the probes are closed: {opened}")
    return f"{len(files)} descriptors before and after"


def cost(bench: Bench) -> str:
    """Measure the time of a read and the CPU time of this process in it, the medians over several reads."""
    sentences = []
    for probe in bench.discovered():
        wall, busy = [], []
        for _ in range(_COST_READS):
            bench.step()
            began, began_busy = time.perf_counter(), time.process_time()
            bench.read(probe)
            wall.append(time.perf_counter() - began)
            busy.append(time.process_time() - began_busy)
        medians = statistics.median(wall) * 1e6, statistics.median(busy) * 1e6
        sentences.append(f"{probe.name} {medians[0]:.0f} us ({medians[1]:.0f} us of CPU)")
    return ", ".join(sentences)


def _whole_life(bench: Bench) -> None:
    bench.discovered()
    for _ in range(_READS):
        bench.step()
        for probe in bench.probes:
            bench.read(probe)
    bench.close_probes()


def _threads(bench: Bench) -> list[threading.Thread]:
    """Return the threads of this process without those of the fake host."""
    return [each for each in threading.enumerate() if not each.name.startswith(bench.host.own_threads)]


def _descriptors() -> dict[int, str]:
    """Return the open files of this process by descriptor, without the folder that lists them."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found[int(path.name)] = str(path.readlink())
    return {number: target for number, target in found.items() if not target.startswith("/proc/")}


def _await(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + _END_SECONDS
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
