"""Puts programs of engines (sbatch, kubectl, ansible-playbook) into a folder, each played by a module of the tests."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SCRIPT = """#!{python}
import os, sys
sys.path[:0] = [{tests!r}]
from {module} import play
play(os.path.basename(__file__), sys.argv[1:], {folder!r})
"""


def install(folder: Path, module: str, names: Iterable[str], start: dict[str, Any]) -> Path:
    """Make the programs, whose state begins with `start`; return the folder for PATH."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"calls": [], "running": [], **start}))
    for name in names:
        script = _SCRIPT.format(
            python=sys.executable, tests=str(Path(__file__).parent), module=module, folder=str(folder)
        )
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    return programs


@contextmanager
def state(folder: Path | str) -> Iterator[dict[str, Any]]:
    """Yield the state of an engine, and store it after the block; one process at a time has it."""
    path = Path(folder) / "state.json"
    with path.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        found = json.load(stream)
        yield found
        stream.seek(0)
        stream.truncate()
        json.dump(found, stream)


def in_background(work: Any) -> int:
    """Run a function in a process of its own session; return the number of its group."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.closerange(3, 256)  # the lock of the state is one of them
    with Path(os.devnull).open("r+b") as nothing:
        for descriptor in range(3):
            os.dup2(nothing.fileno(), descriptor)
    try:
        work()
    finally:
        os._exit(0)


def end_all(folder: Path) -> None:
    """Kill what an engine still runs."""
    with state(folder) as found:
        for group in found["running"]:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
