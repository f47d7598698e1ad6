"""The load of `crosscheck --load` and `wall learn --load`."""

from __future__ import annotations

import os
from pathlib import Path

from agent.cli.cpu_load import cpu_load


def children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text(encoding="ascii").split()
    return found


def test_a_load_follows_its_share_and_leaves_no_process() -> None:
    before = set(children())
    with cpu_load() as load:
        assert load.cpus == len(os.sched_getaffinity(0))
        load.set(1.0)
        assert len(set(children()) - before) == load.cpus
        load.set(1e-6)
        assert len(set(children()) - before) == 1
        load.set(0.0)
        assert not set(children()) - before
        load.set(0.5)
    assert not set(children()) - before
