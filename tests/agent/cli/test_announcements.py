"""Commands that measure announce it before they touch the host, so that the service puts off its own work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent.runtime.measuring import is_announced
from command import started
from profile_runs import BARE_METAL
from stored import store_of
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path


def runs(home: Path) -> int:
    """Return the number of runs in the store of a home."""
    if not store_of(home).exists():
        return 0
    with closing(sqlite3.connect(f"file:{store_of(home)}?mode=ro", uri=True, timeout=10)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return connection.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0


@pytest.mark.parametrize(
    "words",
    [
        ("measure", "--duration", 30),
        ("profile", "idle", "--duration", "30s"),
        ("profile", "command", "--idle-seconds", 10, "--force", *BARE_METAL, "--", "sleep", 30),
    ],
)
def test_a_measurement_is_announced_before_its_first_baseline_and_no_longer_than_it_lasts(
    tmp_path: Path, words: tuple[object, ...]
) -> None:
    sysfs = tmp_path / "sys"
    sysfs.mkdir()
    dashes = words.index("--") if "--" in words else len(words)
    line = (*words[:dashes], "--path.sysfs", sysfs, *words[dashes:])
    with started(tmp_path, *line) as process:
        await_true(lambda: is_announced(str(sysfs)) or process.poll() is not None)
        assert process.poll() is None
        assert runs(tmp_path) == 0
        process.terminate()
        process.communicate()
    assert not is_announced(str(sysfs))
